// The labels of a series as storage knows them: name and value, sorted by name.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "collector/series.h"

namespace idlewatt {

using Labels = std::vector<std::pair<std::string, std::string>>;

Labels LabelsOf(const Series& series);

// {"domain":"dram","source":"rapl"}: keys sorted; bytes that are not UTF-8 become U+FFFD.
std::string LabelsToJson(const Labels& labels);
// kParse for anything but an object of strings.
Result<Labels> LabelsFromJson(std::string_view json);

}  // namespace idlewatt
