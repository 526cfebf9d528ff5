// Small text helpers. Numbers are parsed with std::from_chars only: no locale, no exceptions.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace idlewatt {

// Without blanks, tabs, newlines and NULs at both ends.
std::string_view Trim(std::string_view text);

// The whole of `text` as a number; nothing for anything else, blanks included.
template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The integer that a file of the kernel holds, blanks around it allowed; nothing for anything else.
std::optional<int64_t> ParseIntFile(std::string_view text);

// The integer behind `key` in a text of "key integer" lines, as cpu.stat and vmstat have them.
std::optional<int64_t> NumberOfKey(std::string_view text, std::string_view key);

// Takes the next field that ends at `separator` off the front of `rest`; runs of the separator
// count as one. Empty when nothing is left.
std::string_view NextField(std::string_view& rest, char separator = ' ');

// All parts between separators; an empty text gives no part.
std::vector<std::string_view> Split(std::string_view text, char separator);

// `text` as valid UTF-8: each byte that is not becomes U+FFFD.
std::string ToValidUtf8(std::string_view text);

// What printf would print, however long.
[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...);
// The same, behind `text`. Allocates only when `text` must grow.
[[gnu::format(printf, 2, 3)]] void AppendFormat(std::string& text, const char* format, ...);

// About three digits that say something: "0", "0.042", "4.20", "42.0", "420".
std::string Digits(double value);

// "text" with the quotes, for messages.
std::string InQuotes(std::string_view text);

// `name`, or "name#2", "name#3", … if that is used already; it is used from now on.
std::string UniqueName(std::string_view name, std::set<std::string>& used);

// The candidate with the fewest edits to `word`; empty when none is within half of its length.
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

// Does `text` match `pattern`, where * stands for any run of characters?
bool GlobMatch(std::string_view pattern, std::string_view text);

}  // namespace idlewatt
