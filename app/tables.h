// What the subcommands print, as text. Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "collector/frame.h"

namespace idlewatt {

// Rows under a head, columns as wide as their widest cell; columns of numbers end at one line.
class TextTable {
 public:
  // A name that ends in '>' makes its column end at the right.
  explicit TextTable(std::vector<std::string> head);
  // `right` says so for each column.
  TextTable(std::vector<std::string> head, std::vector<bool> right);
  void Add(std::vector<std::string> row);
  std::string ToString() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // the head first
};

// One row for each source: its state, how often it is read, what a read costs, how old the last
// good one is and what it gives. Below a refused one, why, and what would allow it. At most 120
// columns wide, but for what can't be broken.
std::string SensorsTable(const std::vector<SourceStatus>& sources);

// From the bodies of /api/v1/services and /api/v1/alerts. kParse when they are not what we expect.
Result<std::string> StatusTable(const std::string& services, const std::string& alerts);

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
