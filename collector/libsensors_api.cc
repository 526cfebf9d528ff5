#include <sensors/error.h>
#include <sensors/sensors.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <set>

#include "base/text.h"
#include "collector/sensors_api.h"

namespace idlewatt {
namespace {

// New chips appear when a module is loaded or a device plugged in; libsensors looks only when it
// is started.
constexpr int kReadsBetweenRescans = 60;

struct FeatureKind {
  sensors_feature_type feature;
  SensorKind kind;
  // The first of these that a channel has is its value.
  std::array<int, 2> values;
};
constexpr std::array<FeatureKind, 6> kFeatureKinds{{
    {SENSORS_FEATURE_TEMP, SensorKind::kTemperature, {SENSORS_SUBFEATURE_TEMP_INPUT, -1}},
    {SENSORS_FEATURE_FAN, SensorKind::kFan, {SENSORS_SUBFEATURE_FAN_INPUT, -1}},
    {SENSORS_FEATURE_IN, SensorKind::kVoltage, {SENSORS_SUBFEATURE_IN_INPUT, -1}},
    {SENSORS_FEATURE_CURR, SensorKind::kCurrent, {SENSORS_SUBFEATURE_CURR_INPUT, -1}},
    // Some chips have only the average, some only the present value; what both have is the average.
    {SENSORS_FEATURE_POWER,
     SensorKind::kPower,
     {SENSORS_SUBFEATURE_POWER_AVERAGE, SENSORS_SUBFEATURE_POWER_INPUT}},
    {SENSORS_FEATURE_ENERGY, SensorKind::kEnergy, {SENSORS_SUBFEATURE_ENERGY_INPUT, -1}},
}};

struct TemperatureLimit {
  int subfeature;
  std::string_view name;
};
constexpr std::array<TemperatureLimit, 4> kLimits{
    {{SENSORS_SUBFEATURE_TEMP_MIN, "min"},
     {SENSORS_SUBFEATURE_TEMP_MAX, "max"},
     {SENSORS_SUBFEATURE_TEMP_CRIT, "crit"},
     {SENSORS_SUBFEATURE_TEMP_EMERGENCY, "emergency"}}};

// libsensors says "can't read" (SENSORS_ERR_ACCESS_R) for every text that is no number and every
// errno of a read but EIO; it does not mean a missing right.
Error SensorsError(int code, std::string subject) {
  const ErrorCode kind = code == -SENSORS_ERR_NO_ENTRY ? ErrorCode::kGone : ErrorCode::kTransient;
  return Error{kind, std::move(subject), 0, sensors_strerror(code)};
}

const FeatureKind* KindOf(const sensors_feature& feature) {
  for (const FeatureKind& kind : kFeatureKinds) {
    if (kind.feature == feature.type) return &kind;
  }
  return nullptr;
}

std::string ChipName(const sensors_chip_name& chip) {
  std::array<char, 256> name{};
  if (sensors_snprintf_chip_name(name.data(), name.size(), &chip) < 0) return "unknown";
  return ToValidUtf8(name.data());
}

std::string LabelOf(const sensors_chip_name& chip, const sensors_feature& feature) {
  const std::unique_ptr<char, decltype(&std::free)> label(sensors_get_label(&chip, &feature),
                                                          &std::free);
  return ToValidUtf8(label ? label.get() : feature.name);
}

// First word of a file in the chip's folder; empty when it can't be read.
std::string WordIn(const sensors_chip_name& chip, const std::string& file) {
  std::ifstream in(std::string(chip.path != nullptr ? chip.path : "") + "/" + file);
  std::string word;
  in >> word;
  return word;
}

Result<double> ReadValue(const sensors_chip_name& chip, const sensors_feature& feature,
                         const FeatureKind& kind, const std::string& subject) {
  for (const int type : kind.values) {
    if (type < 0) continue;
    const sensors_subfeature* sub =
        sensors_get_subfeature(&chip, &feature, static_cast<sensors_subfeature_type>(type));
    if (sub == nullptr || (sub->flags & SENSORS_MODE_R) == 0) continue;
    double value = 0;
    const int code = sensors_get_value(&chip, sub->number, &value);
    if (code < 0) return SensorsError(code, subject);
    return value;
  }
  return Error{ErrorCode::kNoData, subject, 0, "has no value to read"};
}

void ReadLimits(const sensors_chip_name& chip, const sensors_feature& feature, SensorReading& out) {
  for (const TemperatureLimit& limit : kLimits) {
    const sensors_subfeature* sub = sensors_get_subfeature(
        &chip, &feature, static_cast<sensors_subfeature_type>(limit.subfeature));
    double value = 0;
    if (sub != nullptr && sensors_get_value(&chip, sub->number, &value) == 0) {
      out.limits.emplace_back(limit.name, value);
    }
  }
}

class LibsensorsApi final : public SensorsApi {
 public:
  ~LibsensorsApi() override { sensors_cleanup(); }

  Result<std::vector<SensorReading>> Read() override {
    if (reads_ % kReadsBetweenRescans == 0) RETURN_IF_ERROR(Rescan());
    ++reads_;
    std::vector<SensorReading> readings;
    std::set<std::string> names;
    const std::vector<const sensors_chip_name*> chips = Chips();
    for (const sensors_chip_name* chip : chips) {
      // Two virtual chips may have one name; their series must not be one.
      const std::string name = UniqueName(ChipName(*chip), names);
      // After it was named, or its namesake would change its name with its sleep.
      if (WordIn(*chip, "device/power/runtime_status") == "suspended") continue;
      ReadChip(*chip, name, readings);
    }
    if (chips.empty()) {
      return Error{ErrorCode::kNoData, "/sys/class/hwmon", 0, "has no hardware monitoring chip"};
    }
    return readings;
  }

 private:
  // In the order of their folders. libsensors gives them in that of the directory, which may change
  // from start to start, and with it which of two namesakes is the first.
  static std::vector<const sensors_chip_name*> Chips() {
    std::vector<const sensors_chip_name*> chips;
    int number = 0;
    while (const sensors_chip_name* chip = sensors_get_detected_chips(nullptr, &number)) {
      chips.push_back(chip);
    }
    const auto path = [](const sensors_chip_name* chip) {
      const std::string_view text = chip->path != nullptr ? chip->path : "";
      return std::pair(text.size(), text);  // hwmon9 before hwmon10
    };
    std::stable_sort(chips.begin(), chips.end(),
                     [&](const auto* a, const auto* b) { return path(a) < path(b); });
    return chips;
  }
  static Result<void> Rescan() {
    sensors_cleanup();
    const int code = sensors_init(nullptr);
    if (code != 0) return SensorsError(code, "libsensors");
    return {};
  }

  static void ReadChip(const sensors_chip_name& chip, const std::string& name,
                       std::vector<SensorReading>& out) {
    int number = 0;
    while (const sensors_feature* feature = sensors_get_features(&chip, &number)) {
      const FeatureKind* kind = KindOf(*feature);
      // libsensors knows no switch for a channel.
      if (kind == nullptr || WordIn(chip, std::string(feature->name) + "_enable") == "0") continue;
      SensorReading reading{name,
                            feature->name,
                            LabelOf(chip, *feature),
                            kind->kind,
                            ReadValue(chip, *feature, *kind, name + "/" + feature->name),
                            {}};
      if (kind->kind == SensorKind::kTemperature) ReadLimits(chip, *feature, reading);
      out.push_back(std::move(reading));
    }
  }

  int reads_ = 0;
};

}  // namespace

std::unique_ptr<SensorsApi> MakeLibsensorsApi() { return std::make_unique<LibsensorsApi>(); }

}  // namespace idlewatt
