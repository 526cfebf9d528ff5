// What the subcommands print, as text. Pure functions.
#pragma once

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

// From the body of /api/v1/range, as "table", "json" or "csv".
Result<std::string> RangeText(const std::string& answer, const std::string& format);

// From the body of /api/v1/series, as "table", "json" or "csv".
Result<std::string> SeriesText(const std::string& answer, const std::string& format);

// `text` in quotes where CSV needs them.
std::string CsvField(const std::string& text);

}  // namespace idlewatt
