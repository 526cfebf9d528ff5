#include "collector/thermal_sampler.h"

#include <array>
#include <optional>
#include <set>
#include <string>

#include "base/text.h"
#include "base/units.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 5> kMetrics{&metrics::kZoneCelsius, &metrics::kZoneTripCelsius,
                                                &metrics::kCoolingState, &metrics::kCoolingMaxState,
                                                &metrics::kThrottleEvents};

// Trip points are settings: they change when somebody sets them, not with the heat.
constexpr std::chrono::minutes kTripInterval{1};
// A trip that is not set reads as 0 (x86_pkg_temp) or as a number no thing is made for.
constexpr int64_t kHottestTrip = 1'000'000;  // millidegrees

constexpr std::string_view kClass = "class/thermal/";
constexpr std::string_view kCpus = "devices/system/cpu/";

std::string TypeOf(const FileRoot& sys, const std::string& folder) {
  const Result<std::string> type = sys.Read(folder + "/type");
  return type ? ToValidUtf8(Trim(*type)) : std::string("unknown");
}

bool IsTripType(std::string_view type) {
  return type == "active" || type == "passive" || type == "hot" || type == "critical";
}

// "trip_point_3" of "trip_point_3_type".
std::optional<std::string_view> TripOf(std::string_view file) {
  constexpr std::string_view kPrefix = "trip_point_";
  constexpr std::string_view kSuffix = "_type";
  if (!file.starts_with(kPrefix) || !file.ends_with(kSuffix)) return std::nullopt;
  if (file.size() <= kPrefix.size() + kSuffix.size()) return std::nullopt;
  return file.substr(0, file.size() - kSuffix.size());
}

bool IsNumbered(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && ParseNumber<uint32_t>(name.substr(prefix.size())).has_value();
}

}  // namespace

const SamplerInfo& ThermalSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "thermal", "Thermal zones, cooling devices and throttle counts of the kernel", true,
      kMetrics};
  return kInfo;
}

Result<void> ThermalSampler::Read(TimePoint now, Readings& out) {
  if (now.boot >= next_trips_) {
    trips_.clear();
    next_trips_ = now.boot + kTripInterval;
  }
  const auto names = sys_.List("class/thermal");
  int found = ReadThrottling(out);
  if (names) found += ReadZones(*names, out) + ReadCoolingDevices(*names, out);
  if (found == 0) {
    return Error{ErrorCode::kNoData, sys_.PathOf("class/thermal"), 0,
                 "has no thermal zone, and no CPU counts throttling"};
  }
  return {};
}

int ThermalSampler::ReadZones(const std::vector<std::string>& names, Readings& out) {
  constexpr std::string_view kPrefix = "thermal_zone";
  int found = 0;
  for (const std::string& name : names) {
    if (!IsNumbered(name, kPrefix)) continue;
    ++found;
    const std::string folder = std::string(kClass) + name;
    const std::string type = TypeOf(sys_, folder);
    const Result<int64_t> temp = sys_.ReadInt(folder + "/temp");
    if (!temp) {
      out.AddRefused("thermal:" + name, "temperature of zone " + type, temp.error());
      continue;
    }
    // ACPI firmware that does not know gives 0 K, some drivers INT64_MAX.
    if (*temp < -273'000 || *temp > 10'000'000) {
      out.AddRefused("thermal:" + name, "temperature of zone " + type,
                     Error{ErrorCode::kParse, sys_.PathOf(folder + "/temp"), 0,
                           "holds " + std::to_string(*temp) + ", which cannot be"});
      continue;
    }
    const std::string_view number = std::string_view(name).substr(kPrefix.size());
    out.Add(metrics::kZoneCelsius, {number, type}, MilliCelsius{*temp}.Si());
    for (const Trip& trip : TripsOf(folder, type)) {
      out.Add(metrics::kZoneTripCelsius, {number, type, trip.name}, trip.celsius);
    }
  }
  if (found > 0) out.AddSource("thermal_zone", std::to_string(found) + " thermal zones");
  return found;
}

// Of several trips of one type the second is "passive#2", in the order of their numbers.
const std::vector<ThermalSampler::Trip>& ThermalSampler::TripsOf(const std::string& folder,
                                                                 const std::string& type) {
  const auto [it, added] = trips_.try_emplace(folder + "/" + type);
  std::vector<Trip>& trips = it->second;
  if (!added) return trips;
  std::map<int, std::string> types;  // by number: trip 10 comes after trip 9
  const auto files = sys_.List(folder);
  for (const std::string& file : files.value_or(std::vector<std::string>())) {
    const std::optional<std::string_view> trip = TripOf(file);
    const auto number = trip ? ParseNumber<int>(trip->substr(trip->rfind('_') + 1)) : std::nullopt;
    const Result<std::string> kind = number ? sys_.Read(folder + "/" + file) : std::string();
    if (number && kind && IsTripType(Trim(*kind))) types.emplace(*number, Trim(*kind));
  }
  std::map<std::string, int> copies;
  for (const auto& [number, kind] : types) {
    const std::string name = "/trip_point_" + std::to_string(number) + "_temp";
    const Result<int64_t> temp = sys_.ReadInt(folder + name);
    const int copy = ++copies[kind];
    if (!temp || *temp <= 0 || *temp > kHottestTrip) continue;
    trips.push_back(
        {copy == 1 ? kind : kind + "#" + std::to_string(copy), MilliCelsius{*temp}.Si()});
  }
  return trips;
}

int ThermalSampler::ReadCoolingDevices(const std::vector<std::string>& names, Readings& out) {
  constexpr std::string_view kPrefix = "cooling_device";
  int found = 0;
  for (const std::string& name : names) {
    if (!IsNumbered(name, kPrefix)) continue;
    ++found;
    const std::string folder = std::string(kClass) + name;
    const std::string type = TypeOf(sys_, folder);
    const std::string_view number = std::string_view(name).substr(kPrefix.size());
    const Result<int64_t> state = sys_.ReadInt(folder + "/cur_state");
    if (!state) {
      out.AddRefused("thermal:" + name, "state of cooling device " + type, state.error());
    } else if (*state >= 0) {  // some drivers say -1 for "not known"
      out.Add(metrics::kCoolingState, {number, type}, static_cast<double>(*state));
    }
    const Result<int64_t> max_state = sys_.ReadInt(folder + "/max_state");
    if (max_state && *max_state >= 0) {
      out.Add(metrics::kCoolingMaxState, {number, type}, static_cast<double>(*max_state));
    }
  }
  if (found > 0) out.AddSource("cooling_device", std::to_string(found) + " cooling devices");
  return found;
}

int ThermalSampler::ReadThrottling(Readings& out) {
  const auto cpus = sys_.List("devices/system/cpu");
  if (!cpus) return 0;
  // Every CPU shows the counts of its core and package; each is taken once.
  std::set<std::pair<int64_t, int64_t>> cores;
  std::set<int64_t> packages;
  for (const std::string& cpu : *cpus) {
    if (!IsNumbered(cpu, "cpu")) continue;
    const std::string folder = std::string(kCpus) + cpu;
    const auto core_count = sys_.ReadInt(folder + "/thermal_throttle/core_throttle_count");
    const auto package_count = sys_.ReadInt(folder + "/thermal_throttle/package_throttle_count");
    if (!core_count && !package_count) continue;
    const auto package = sys_.ReadInt(folder + "/topology/physical_package_id");
    const auto core = sys_.ReadInt(folder + "/topology/core_id");
    if (!package || !core) continue;
    const std::string package_id = std::to_string(*package);
    if (core_count && *core_count >= 0 && cores.emplace(*package, *core).second) {
      out.Add(metrics::kThrottleEvents, {"core", package_id + ":" + std::to_string(*core)},
              static_cast<double>(*core_count));
    }
    if (package_count && *package_count >= 0 && packages.insert(*package).second) {
      out.Add(metrics::kThrottleEvents, {"package", package_id},
              static_cast<double>(*package_count));
    }
  }
  const int found = static_cast<int>(cores.size() + packages.size());
  if (found > 0) out.AddSource("throttle", "throttle counts of cores and packages");
  return found;
}

}  // namespace idlewatt
