// Raw kernel numbers as types, so that none reaches a metric unconverted.
#pragma once

#include <cstdint>

namespace idlewatt {

// An integer of one unit. `Scale` turns it into the SI value that is published.
template <typename Tag>
struct RawUnit {
  int64_t raw = 0;
  constexpr double Si() const { return static_cast<double>(raw) * Tag::kScale; }
  constexpr auto operator<=>(const RawUnit&) const = default;
};

struct MicrojoulesTag {
  static constexpr double kScale = 1e-6;
};
struct MicrowattsTag {
  static constexpr double kScale = 1e-6;
};
struct MilliCelsiusTag {
  static constexpr double kScale = 1e-3;
};
struct MillivoltsTag {
  static constexpr double kScale = 1e-3;
};
struct MilliamperesTag {
  static constexpr double kScale = 1e-3;
};
struct MicrosecondsTag {
  static constexpr double kScale = 1e-6;
};

using Microjoules = RawUnit<MicrojoulesTag>;    // joules
using Microwatts = RawUnit<MicrowattsTag>;      // watts
using MilliCelsius = RawUnit<MilliCelsiusTag>;  // degrees Celsius
using Millivolts = RawUnit<MillivoltsTag>;      // volts
using Milliamperes = RawUnit<MilliamperesTag>;  // amperes
using Microseconds = RawUnit<MicrosecondsTag>;  // seconds

}  // namespace idlewatt
