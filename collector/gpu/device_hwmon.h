#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_root.h"

namespace idlewatt {

// The sensors that a GPU or NPU has for itself: <device>/hwmon/hwmon*, kernel
// Documentation/hwmon/sysfs-interface.rst. Functions without state; any thread.

// The folder of the chip named `chip` of a device; nothing when it has none. A device may have
// more than one: i915 has "i915_gt0" for each tile beside "i915" for the card.
std::optional<std::string> FindDeviceHwmon(const FileRoot& sys, const std::string& device_folder,
                                           std::string_view chip);

// "temp2": the channel of a kind that has the first label that is there of those given; without
// one the first channel ("temp1"), whether it exists or not.
std::string ChannelWithLabel(const FileRoot& sys, const std::string& hwmon, std::string_view kind,
                             std::initializer_list<std::string_view> labels);

// An integer from `low` to `high`; kParse for one outside: no device gives that.
Result<int64_t> ReadIntWithin(const FileRoot& sys, const std::string& path, int64_t low,
                              int64_t high);

// No device draws more; what is above is not believed.
inline constexpr double kMostDeviceWatts = 5000;

// Power of a chip: power1_average, else power1_input. kGone when it has neither.
Result<double> ReadWatts(const FileRoot& sys, const std::string& hwmon);

}  // namespace idlewatt
