// What the subcommands print, as text. Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/frame.h"

namespace idlewatt {

inline constexpr size_t kUsualColumns = 120;

// Letters and signs, not bytes.
size_t WidthOf(std::string_view text);
// At most `width` of them; "…" stands for what was cut.
std::string Shortened(const std::string& text, size_t width);
// As one line of a terminal or a page: valid UTF-8, and blanks in the place of signs that are not
// seen and change what is, such as controls and what turns the direction of text.
std::string Printable(std::string_view text);
// `text` after `first`, broken at blanks into lines of at most `columns`, but for words that are
// longer; further lines are indented to where it began.
std::string Wrapped(const std::string& first, const std::string& text,
                    size_t columns = kUsualColumns);

// Rows under a head, columns as wide as their widest cell; columns of numbers end at one line.
class TextTable {
 public:
  // A name that ends in '>' makes its column end at the right.
  explicit TextTable(std::vector<std::string> head);
  // `right` says so for each column.
  TextTable(std::vector<std::string> head, std::vector<bool> right);
  void Add(std::vector<std::string> row);
  // Leaves out the columns, but not the first, whose every cell is `empty`.
  void DropEmpty(const std::string& empty);
  // Cuts cells of the columns with these names, the widest first, until a row has at most `columns`
  // or none of them is wider than 8.
  void Fit(size_t columns, const std::vector<std::string>& names);
  std::string ToString() const;

 private:
  std::vector<size_t> Widths() const;

  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // the head first
};

// One row for each source: its state, how often it is read, what a read costs, how old the last
// good one is and what it gives. Below a refused one, why, and what would allow it. At most 120
// columns wide, but for what can't be broken.
std::string SensorsTable(const std::vector<SourceStatus>& sources);

// Series with their points as "table", "json" or "csv".
class RangeText {
 public:
  explicit RangeText(std::string format) : format_(std::move(format)) {}

  // Piece by piece: the begin, each series as /api/v1/range has it, the end.
  std::string Begin() const;
  std::string Series(const nlohmann::ordered_json& series);
  std::string End() const;
  // A whole body of /api/v1/range. kParse when it is not what we expect.
  Result<std::string> Answer(const std::string& answer);

 private:
  const std::string format_;
  bool any_ = false;  // series so far
};

// From the body of /api/v1/series, as "table", "json" or "csv".
Result<std::string> SeriesText(const std::string& answer, const std::string& format);

// `text` in quotes where CSV needs them.
std::string CsvField(const std::string& text);

}  // namespace idlewatt
