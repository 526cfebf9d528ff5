#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace idlewatt {

// Reads a page of ours as strictly as no browser does, and says what is wrong: a tag or an
// attribute that we don't write (such as one that loads or runs something), one that is not closed,
// a sign that is not escaped. Empty when nothing is.
class HtmlCheck {
 public:
  static std::string Problem(std::string_view page) { return HtmlCheck(page).Run(); }

 private:
  explicit HtmlCheck(std::string_view page) : rest_(page) {}

  std::string Run() {
    constexpr std::string_view kDoctype = "<!doctype html>";
    if (!rest_.starts_with(kDoctype)) return "no doctype";
    rest_.remove_prefix(kDoctype.size());
    while (!rest_.empty() && problem_.empty()) {
      const size_t end = std::min(rest_.find('<'), rest_.size());
      CheckText(rest_.substr(0, end));
      rest_.remove_prefix(end);
      if (!rest_.empty()) TakeTag();
    }
    if (problem_.empty() && !open_.empty()) return "not closed: " + open_.back();
    return problem_;
  }

  void Wrong(const std::string& what, std::string_view where) {
    if (problem_.empty()) problem_ = what + ": " + std::string(where.substr(0, 60));
  }

  void CheckText(std::string_view text) {
    if (text.find('>') != std::string_view::npos) Wrong("a bare >", text);
    if (text.find('"') != std::string_view::npos) Wrong("a bare quote", text);
    for (size_t at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1)) {
      constexpr std::array<std::string_view, 5> kKnown = {"&amp;", "&lt;", "&gt;", "&quot;",
                                                          "&#39;"};
      const std::string_view rest = text.substr(at);
      if (std::none_of(kKnown.begin(), kKnown.end(),
                       [&](std::string_view known) { return rest.starts_with(known); })) {
        Wrong("a bare &", rest);
      }
    }
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < ' ' && c != '\n') Wrong("a control character", text);
    }
  }

  // `rest_` begins with "<".
  void TakeTag() {
    const std::string_view tag = rest_.substr(0, std::min(rest_.find('>'), rest_.size() - 1) + 1);
    rest_.remove_prefix(tag.size());
    if (!tag.ends_with('>')) return Wrong("a tag without an end", tag);
    if (tag.starts_with("</")) return Close(tag.substr(2, tag.size() - 3));
    const bool is_closed = tag.ends_with("/>");
    std::string_view inner = tag.substr(1, tag.size() - (is_closed ? 3 : 2));
    const std::string name(inner.substr(0, std::min(inner.find(' '), inner.size())));
    if (!IsOneOf(kElements, name)) return Wrong("an element that is not ours", tag);
    inner.remove_prefix(name.size());
    TakeAttributes(inner);
    if (is_closed || name == "meta" || name == "br") return;
    open_.push_back(name);
    if (name == "style") SkipStyle();
  }

  void Close(std::string_view name) {
    if (open_.empty() || open_.back() != name) return Wrong("closes nothing", name);
    open_.pop_back();
  }

  void TakeAttributes(std::string_view text) {
    while (!text.empty()) {
      const size_t quote = text.find("=\"");
      const size_t end = quote == std::string_view::npos ? quote : text.find('"', quote + 2);
      if (text[0] != ' ' || end == std::string_view::npos) return Wrong("an attribute", text);
      const std::string_view name = text.substr(1, quote - 1);
      if (!IsOneOf(kAttributes, name)) return Wrong("an attribute that is not ours", text);
      CheckText(text.substr(quote + 2, end - quote - 2));
      text.remove_prefix(end + 1);
    }
  }

  // A style sheet ends at the first "</", whatever stands around it.
  void SkipStyle() { rest_.remove_prefix(std::min(rest_.find("</"), rest_.size())); }

  template <size_t N>
  static bool IsOneOf(const std::array<std::string_view, N>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  static constexpr std::array<std::string_view, 42> kElements = {
      "html",  "head",    "meta",       "title", "style", "body",  "header", "footer",  "h1",
      "h2",    "h3",      "p",          "b",     "br",    "small", "bdi",    "code",    "span",
      "div",   "figure",  "figcaption", "ul",    "ol",    "li",    "dl",     "dt",      "dd",
      "table", "caption", "thead",      "tbody", "tr",    "th",    "td",     "details", "summary",
      "svg",   "g",       "desc",       "rect",  "line",  "text"};
  static constexpr std::array<std::string_view, 23> kAttributes = {
      "lang",        "charset",
      "name",        "content",
      "http-equiv",  "class",
      "id",          "scope",
      "colspan",     "role",
      "aria-hidden", "aria-labelledby",
      "viewBox",     "preserveAspectRatio",
      "width",       "height",
      "x",           "y",
      "x1",          "x2",
      "y1",          "y2",
      "text-anchor"};

  std::string_view rest_;
  std::vector<std::string> open_;
  std::string problem_;
};

}  // namespace idlewatt
