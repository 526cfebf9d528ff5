#include "collector/gpu/device_hwmon.h"

#include <vector>

#include "base/text.h"
#include "base/units.h"

namespace idlewatt {

std::optional<std::string> FindDeviceHwmon(const FileRoot& sys, const std::string& device_folder,
                                           std::string_view chip) {
  const std::string folder = device_folder + "/hwmon";
  const auto names = sys.List(folder);
  for (const std::string& entry : names.value_or(std::vector<std::string>())) {
    std::string hwmon = folder + "/" + entry;
    const Result<std::string> name = sys.Read(hwmon + "/name");
    if (name && Trim(*name) == chip) return hwmon;
  }
  return std::nullopt;
}

std::string ChannelWithLabel(const FileRoot& sys, const std::string& hwmon, std::string_view kind,
                             std::initializer_list<std::string_view> labels) {
  constexpr std::string_view kSuffix = "_label";
  const auto files = sys.List(hwmon);
  std::vector<std::pair<std::string, std::string>> channels;  // name, label
  for (const std::string& file : files.value_or(std::vector<std::string>())) {
    if (!file.starts_with(kind) || !file.ends_with(kSuffix)) continue;
    const Result<std::string> label = sys.Read(hwmon + "/" + file);
    if (label) channels.emplace_back(file.substr(0, file.size() - kSuffix.size()), Trim(*label));
  }
  for (const std::string_view wanted : labels) {
    for (const auto& [channel, label] : channels) {
      if (label == wanted && sys.Exists(hwmon + "/" + channel + "_input")) return channel;
    }
  }
  return std::string(kind) + "1";
}

Result<int64_t> ReadIntWithin(const FileRoot& sys, const std::string& path, int64_t low,
                              int64_t high) {
  ASSIGN_OR_RETURN(const int64_t value, sys.ReadInt(path));
  if (value < low || value > high) {
    return Error{ErrorCode::kParse, sys.PathOf(path), 0,
                 "holds " + std::to_string(value) + ", which cannot be"};
  }
  return value;
}

Result<double> ReadWatts(const FileRoot& sys, const std::string& hwmon) {
  constexpr auto kMost = static_cast<int64_t>(kMostDeviceWatts / MicrowattsTag::kScale);
  Result<int64_t> power = ReadIntWithin(sys, hwmon + "/power1_average", 0, kMost);
  if (!power && power.error().code == ErrorCode::kGone) {
    power = ReadIntWithin(sys, hwmon + "/power1_input", 0, kMost);
  }
  if (!power) return power.error();
  return Microwatts{*power}.Si();
}

}  // namespace idlewatt
