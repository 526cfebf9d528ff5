#include "app/toml_section.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

uint32_t LineOf(const toml::node& node) { return node.source().begin.line; }

}  // namespace

std::string TomlSection::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

const toml::node* TomlSection::Node(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

void TomlSection::Error(std::string_view key, const std::string& text) {
  const toml::node* node = table_.get(key);
  findings_.push_back({node != nullptr ? LineOf(*node) : table_.source().begin.line,
                       PathOf(key) + ": " + text, true});
}

void TomlSection::Wrong(std::string_view key, const toml::node& node, std::string_view expected) {
  std::ostringstream kind;
  kind << node.type();
  Error(key, "must be " + std::string(expected) + ", not " + kind.str());
}

void TomlSection::Read(std::string_view key, std::string& value) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_string()) return Wrong(key, *node, "a string");
  value = *node->value<std::string>();
}

void TomlSection::Read(std::string_view key, bool& value) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_boolean()) return Wrong(key, *node, "true or false");
  value = *node->value<bool>();
}

void TomlSection::Read(std::string_view key, std::vector<std::string>& values) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) return Wrong(key, *node, "an array of strings");
  std::vector<std::string> read;
  for (const toml::node& item : *array) {
    if (!item.is_string()) return Wrong(key, item, "an array of strings");
    read.push_back(*item.value<std::string>());
  }
  values = std::move(read);
}

void TomlSection::Read(std::string_view key, std::vector<int>& values) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) return Wrong(key, *node, "an array of whole numbers");
  std::vector<int> read;
  for (const toml::node& item : *array) {
    const auto number = item.value_exact<int64_t>();
    if (!number) return Wrong(key, item, "an array of whole numbers");
    if (!std::in_range<int>(*number))
      return Error(key, std::to_string(*number) + " is out of range");
    read.push_back(static_cast<int>(*number));
  }
  values = std::move(read);
}

void TomlSection::Read(std::string_view key, std::map<std::string, std::string>& values) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  const toml::table* table = node->as_table();
  if (table == nullptr) return Wrong(key, *node, "a table of strings");
  for (const auto& [name, item] : *table) {
    if (!item.is_string()) return Wrong(key, item, "a table of strings");
    values[std::string(name.str())] = *item.value<std::string>();
  }
}

void TomlSection::Read(std::string_view key, std::chrono::milliseconds& value) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_string()) return Wrong(key, *node, "a duration in quotes, as in \"15s\"");
  const auto duration = ParseDuration(*node->value<std::string>());
  if (!duration) return Error(key, duration.error().ToString());
  value = *duration;
}

void TomlSection::Read(std::string_view key, std::optional<std::chrono::milliseconds>& value) {
  std::chrono::milliseconds read{-1};
  Read(key, read);
  if (read.count() >= 0) value = read;
}

void TomlSection::Read(std::string_view key, int& value) {
  std::optional<int> read;
  Read(key, read);
  value = read.value_or(value);
}

void TomlSection::Read(std::string_view key, std::optional<int>& value) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_integer()) return Wrong(key, *node, "a whole number");
  const int64_t number = *node->value<int64_t>();
  if (!std::in_range<int>(number)) return Error(key, std::to_string(number) + " is out of range");
  value = static_cast<int>(number);
}

void TomlSection::Read(std::string_view key, double& value) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_number()) return Wrong(key, *node, "a number");
  const double number = *node->value<double>();
  if (!std::isfinite(number)) return Error(key, "must be a finite number");
  value = number;
}

void TomlSection::ReadSize(std::string_view key, std::optional<int64_t>& bytes) {
  int64_t read = -1;
  ReadSize(key, read);
  if (read >= 0) bytes = read;
}

void TomlSection::ReadSize(std::string_view key, int64_t& bytes) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_string()) return Wrong(key, *node, "a size in quotes, as in \"10MiB\"");
  const auto size = ParseSize(*node->value<std::string>());
  if (!size) return Error(key, size.error().ToString());
  bytes = *size;
}

void TomlSection::ReadNumber(std::string_view key, std::optional<double>& value, double least,
                             double most) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_number()) return Wrong(key, *node, "a number");
  const double number = *node->value<double>();
  if (!(number >= least && number <= most)) {
    std::ostringstream range;
    range << "must be between " << least << " and " << most;
    return Error(key, range.str());
  }
  value = number;
}

void TomlSection::ReadNumber(std::string_view key, double& value, double least, double most) {
  std::optional<double> read;
  ReadNumber(key, read, least, most);
  value = read.value_or(value);
}

void TomlSection::ReadInteger(std::string_view key, int& value, int least, int most) {
  const toml::node* node = Node(key);
  if (node == nullptr) return;
  if (!node->is_integer()) return Wrong(key, *node, "a whole number");
  const int64_t number = *node->value<int64_t>();
  if (number < least || number > most) {
    return Error(key, "must be between " + std::to_string(least) + " and " + std::to_string(most));
  }
  value = static_cast<int>(number);
}

void TomlSection::ReadChoice(std::string_view key, std::string& value,
                             std::initializer_list<std::string_view> choices) {
  const std::span<const std::string_view> words(choices.begin(), choices.size());
  if (const auto index = ReadWord(key, words)) value = words[*index];
}

std::optional<size_t> TomlSection::ReadWord(std::string_view key,
                                            std::span<const std::string_view> words) {
  std::string read;
  const size_t findings = findings_.size();
  Read(key, read);
  if (!Has(key) || findings_.size() != findings) return std::nullopt;
  const auto found = std::ranges::find(words, read);
  if (found != words.end()) return static_cast<size_t>(found - words.begin());
  std::string text = "\"" + read + "\" is not one of";
  for (const std::string_view word : words) text += " \"" + std::string(word) + "\"";
  Error(key, text);
  return std::nullopt;
}

const toml::table* TomlSection::Table(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) Wrong(key, *node, "a table");
  return node->as_table();
}

std::vector<const toml::table*> TomlSection::Tables(std::string_view key) {
  std::vector<const toml::table*> tables;
  const toml::node* node = Node(key);
  if (node == nullptr) return tables;
  if (!node->is_array_of_tables()) {
    Wrong(key, *node, "tables, as in [[" + std::string(key) + "]]");
    return tables;
  }
  for (const toml::node& item : *node->as_array()) tables.push_back(item.as_table());
  return tables;
}

void TomlSection::Planned(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const toml::node* node = Node(key);
    if (node == nullptr) continue;
    findings_.push_back(
        {LineOf(*node), PathOf(key) + ": is planned and has no effect in this version", false});
  }
}

TomlSection::~TomlSection() {
  for (const auto& [key, node] : table_) {
    if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
    const std::string nearest = Nearest(key.str(), known_);
    findings_.push_back({key.source().begin.line,
                         PathOf(key.str()) + ": is not a known key" +
                             (nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?"),
                         true});
  }
}

}  // namespace idlewatt
