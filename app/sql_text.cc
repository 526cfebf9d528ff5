#include "app/sql_text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "app/tables.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kRowsOfATable = 1000;

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// As `idlewatt export` writes them.
const char* InfinityText(double number) { return number > 0 ? "+Inf" : "-Inf"; }

// The shortest text that reads as the same number.
template <typename Number>
std::string NumberText(Number number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

struct TextOf {
  std::string null;
  std::string operator()(std::monostate) const { return null; }
  std::string operator()(int64_t number) const { return NumberText(number); }
  std::string operator()(double number) const {
    return std::isinf(number) ? InfinityText(number) : NumberText(number);
  }
  std::string operator()(std::string_view text) const { return std::string(text); }
  std::string operator()(SqlBlob blob) const { return Hex(blob.bytes); }
};

struct JsonOf {
  Json operator()(std::monostate) const { return nullptr; }
  Json operator()(int64_t number) const { return number; }
  Json operator()(double number) const {
    return std::isinf(number) ? Json(InfinityText(number)) : Json(number);
  }
  Json operator()(std::string_view text) const { return text; }
  Json operator()(SqlBlob blob) const { return Hex(blob.bytes); }
};

Result<void> Write(const std::string& text, std::FILE* out) {
  if (std::fwrite(text.data(), 1, text.size(), out) == text.size()) return {};
  return ErrnoError(errno, "output", "cannot be written");
}

Result<void> PrintJson(SqlQuery& query, std::FILE* out) {
  std::vector<std::string> names;
  std::set<std::string> used;
  for (const std::string& column : query.columns()) names.push_back(UniqueName(column, used));
  RETURN_IF_ERROR(Write("[", out));
  for (const char* separator = "\n";; separator = ",\n") {
    ASSIGN_OR_RETURN(bool row, query.Next());
    if (!row) return Write("\n]\n", out);
    Json object = Json::object();
    for (size_t i = 0; i < names.size(); ++i) {
      object[names[i]] = std::visit(JsonOf{}, query.Value(i));
    }
    RETURN_IF_ERROR(Write(
        separator + object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), out));
  }
}

std::string CsvLine(const std::vector<std::string>& fields) {
  std::string line;
  const char* separator = "";
  for (const std::string& field : fields) {
    line += separator + CsvField(field);
    separator = ",";
  }
  return line + "\n";
}

Result<void> PrintCsv(SqlQuery& query, std::FILE* out) {
  RETURN_IF_ERROR(Write(CsvLine(query.columns()), out));
  std::vector<std::string> fields(query.columns().size());
  for (;;) {
    ASSIGN_OR_RETURN(bool row, query.Next());
    if (!row) return {};
    for (size_t i = 0; i < fields.size(); ++i) fields[i] = std::visit(TextOf{}, query.Value(i));
    RETURN_IF_ERROR(Write(CsvLine(fields), out));
  }
}

std::string Harmless(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

// Numbers end at one line.
bool EndsRight(const SqlValue& value) {
  return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value) ||
         std::holds_alternative<std::monostate>(value);
}

Result<void> PrintTable(SqlQuery& query, std::FILE* out) {
  std::vector<std::string> head;
  for (const std::string& column : query.columns()) head.push_back(Harmless(column));
  for (bool first = true, more = true; more; first = false) {
    std::vector<std::vector<std::string>> rows;
    std::vector<bool> right(head.size(), true);
    while (rows.size() < kRowsOfATable) {
      ASSIGN_OR_RETURN(more, query.Next());
      if (!more) break;
      std::vector<std::string>& row = rows.emplace_back();
      for (size_t i = 0; i < head.size(); ++i) {
        const SqlValue value = query.Value(i);
        right[i] = right[i] && EndsRight(value);
        row.push_back(Harmless(std::visit(TextOf{"-"}, value)));
      }
    }
    if (rows.empty() && !first) return {};
    TextTable table(head, right);
    for (std::vector<std::string>& row : rows) table.Add(std::move(row));
    RETURN_IF_ERROR(Write(table.ToString(), out));
  }
  return {};
}

}  // namespace

Result<void> PrintRows(SqlQuery& query, const std::string& format, std::FILE* out) {
  if (format == "json") {
    RETURN_IF_ERROR(PrintJson(query, out));
  } else if (format == "csv") {
    RETURN_IF_ERROR(PrintCsv(query, out));
  } else {
    RETURN_IF_ERROR(PrintTable(query, out));
  }
  if (std::fflush(out) == 0) return {};
  return ErrnoError(errno, "output", "cannot be written");
}

}  // namespace idlewatt
