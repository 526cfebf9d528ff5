#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

namespace idlewatt {

// What is wrong with a configuration, in the order in which it was found.
struct ConfigFinding {
  uint32_t line = 0;
  std::string text;  // key first
  bool is_error = true;
};

// Reads one table of a configuration file: every key that is read is known, and what is left over
// at the end is a finding with the nearest known key. A value that does not fit is a finding too,
// and leaves the variable as it was.
class TomlSection {
 public:
  // `table` and `findings` must outlive this object. `path` names the table: "collector.power".
  TomlSection(const toml::table& table, std::string path, std::vector<ConfigFinding>& findings)
      : table_(table), path_(std::move(path)), findings_(findings) {}
  TomlSection(const TomlSection&) = delete;
  TomlSection& operator=(const TomlSection&) = delete;
  // Tells of the keys that nobody read.
  ~TomlSection();

  void Read(std::string_view key, std::string& value);
  void Read(std::string_view key, bool& value);
  void Read(std::string_view key, std::vector<std::string>& values);
  void Read(std::string_view key, std::vector<int>& values);
  void Read(std::string_view key, std::map<std::string, std::string>& values);
  void Read(std::string_view key, std::chrono::milliseconds& value);
  void Read(std::string_view key, std::optional<std::chrono::milliseconds>& value);
  // Any number that fits: somebody else knows the limits.
  void Read(std::string_view key, int& value);
  void Read(std::string_view key, std::optional<int>& value);
  void Read(std::string_view key, double& value);
  void ReadSize(std::string_view key, int64_t& bytes);
  void ReadSize(std::string_view key, std::optional<int64_t>& bytes);
  // Both ends are allowed.
  void ReadNumber(std::string_view key, double& value, double least, double most);
  void ReadNumber(std::string_view key, std::optional<double>& value, double least, double most);
  void ReadInteger(std::string_view key, int& value, int least, int most);
  void ReadChoice(std::string_view key, std::string& value,
                  std::initializer_list<std::string_view> choices);
  // Words that stand for values.
  template <typename T>
  void ReadChoice(std::string_view key, T& value,
                  std::initializer_list<std::pair<std::string_view, T>> choices) {
    std::vector<std::string_view> words;
    for (const auto& [word, meaning] : choices) words.push_back(word);
    if (const auto index = ReadWord(key, words)) value = (choices.begin() + *index)->second;
  }
  // A table of this section; null when it is not there or no table.
  const toml::table* Table(std::string_view key);
  // The tables of [[key]]; empty when there is none.
  std::vector<const toml::table*> Tables(std::string_view key);
  // The value for what no function above fits. Null when it is not there.
  const toml::node* Node(std::string_view key);
  // Keys that a later version will know: told of, without effect.
  void Planned(std::initializer_list<std::string_view> keys);

  bool Has(std::string_view key) const { return table_.contains(key); }
  // "collector.power.interval"
  std::string PathOf(std::string_view key) const;
  void Error(std::string_view key, const std::string& text);
  // `node`, at or below `key`, is not what is `expected`: "a string".
  void Wrong(std::string_view key, const toml::node& node, std::string_view expected);

 private:
  // Which of `words` it is; nothing when it is not there or none of them.
  std::optional<size_t> ReadWord(std::string_view key, std::span<const std::string_view> words);

  const toml::table& table_;
  const std::string path_;
  std::vector<ConfigFinding>& findings_;
  std::vector<std::string> known_;
};

}  // namespace idlewatt
