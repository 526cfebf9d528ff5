#include "analysis/alert_conditions.h"

#include <algorithm>
#include <array>

#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Kind = Finding::Kind;

constexpr double kMegabyte = 1e6;
constexpr double kGibibyte = 1024.0 * 1024 * 1024;
// A service that holds less is no loaded model.
constexpr double kModelBytes = kGibibyte;
constexpr double kModelGpuBytes = kGibibyte / 4;
// A share that is not shown as 0.0 W.
constexpr double kLeastShare = 0.05;
// Less than this above the baseline is no finding, whatever its share.
constexpr double kLeastWatts = 1;
// What lies between this share of a least and all of it changes no judgement.
constexpr double kHolds = 0.9;

Finding Found(std::optional<double> value) {
  if (!value) return {Kind::kUnknown, 0};
  return {Kind::kValue, *value};
}

std::string IdleFor(const AlertView& view, size_t service) {
  return FormatDuration(seconds(static_cast<int64_t>(view.idle.IdleSeconds(service))));
}

const char* Estimated(const AlertView& view) {
  return view.energy.OnModel() ? " (estimated by the model)" : "";
}

// "It draws 4.0 W, 96 Wh a day"; nothing where nothing measures.
void SayPower(const AlertView& view, size_t service, std::string& text) {
  const std::optional<double> watts = view.energy.Watts(service);
  if (!watts) return;
  AppendFormat(text, " It draws %.1f W, %.0f Wh a day%s.", *watts, *watts * 24, Estimated(view));
}

// The idle service that draws most; nothing when none draws anything worth telling of.
std::optional<size_t> LargestIdle(const AlertView& view) {
  std::optional<size_t> largest;
  double most = kLeastShare;
  for (const size_t number : view.services.order()) {
    if (!view.idle.IsIdle(number)) continue;
    const double watts = view.energy.Watts(number).value_or(0);
    if (watts < most) continue;
    most = watts;
    largest = number;
  }
  return largest;
}

void SayLargestIdle(const AlertView& view, std::string& text) {
  const std::optional<size_t> largest = LargestIdle(view);
  if (!largest) {
    text += "no service draws any of it: it is what the machine itself needs";
    return;
  }
  AppendFormat(text, "%s has the largest share, %.1f W%s; stop it while nobody needs it",
               view.services[*largest].name.c_str(), view.energy.Watts(*largest).value_or(0),
               Estimated(view));
}

Finding FindIdlePower(const AlertView& view, size_t /*service*/) {
  if (!view.idle.IsHostIdle()) return {};
  return Found(view.energy.ComputeWatts());
}

void DescribeIdlePower(const AlertView& view, size_t /*service*/, double value, double threshold,
                       AlertText& text) {
  AppendFormat(text.summary,
               "the machine draws %.1f W%s (limit %g W) though nobody uses any service", value,
               Estimated(view), threshold);
  SayLargestIdle(view, text.advice);
}

Finding FindIdleServiceCpu(const AlertView& view, size_t service) {
  if (!view.idle.IsIdle(service)) return {};
  const std::optional<double> cpus = view.services[service].cpus;
  return Found(cpus ? std::optional(*cpus * 100) : std::nullopt);
}

void DescribeIdleServiceCpu(const AlertView& view, size_t service, double value, double threshold,
                            AlertText& text) {
  const char* name = view.services[service].name.c_str();
  AppendFormat(text.summary,
               "%s uses %.1f %% of a CPU (limit %g %%) though nobody has used it for %s", name,
               value, threshold, IdleFor(view, service).c_str());
  AppendFormat(text.advice, "look for a busy loop or polling in %s; stop it while nobody needs it.",
               name);
  SayPower(view, service, text.advice);
}

Finding FindMemoryGrowth(const AlertView& view, size_t service) {
  const ServiceRow& row = view.services[service];
  if (!row.running || !row.configured) return {};
  const std::optional<MemoryGrowth> growth = view.trends.Growth(service);
  if (!growth) return {view.trends.BeganAnew(service) ? Kind::kNone : Kind::kUnknown, 0};
  if (!growth->IsSteady()) return {};
  return {Kind::kValue, growth->bytes_per_hour / kMegabyte};
}

void DescribeMemoryGrowth(const AlertView& view, size_t service, double value, double threshold,
                          AlertText& text) {
  const char* name = view.services[service].name.c_str();
  AppendFormat(text.summary, "memory of %s grows by %.0f MB an hour (limit %g MB)", name, value,
               threshold);
  AppendFormat(text.advice, "look for a leak in %s", name);
  if (const std::optional<MemoryGrowth> growth = view.trends.Growth(service)) {
    AppendFormat(text.advice,
                 ": what it holds at least rose from %.0f to %.0f MB, and not by a step",
                 growth->first_bytes / kMegabyte, growth->last_bytes / kMegabyte);
  }
}

Finding FindThermalPressure(const AlertView& view, size_t /*service*/) {
  if (!view.thermal.state()) return {Kind::kAbsent, 0};
  return {Kind::kValue, static_cast<double>(view.thermal.state()->level)};
}

void DescribeThermalPressure(const AlertView& view, size_t /*service*/, double value,
                             double /*threshold*/, AlertText& text) {
  text.summary += "thermal pressure is ";
  text.summary += ThermalLevelName(static_cast<ThermalLevel>(static_cast<int>(value)));
  if (view.thermal.state()) {
    text.summary += ": ";
    text.summary += view.thermal.state()->cause;
  }
  text.advice += "reduce the load or cool the machine";
  std::optional<size_t> largest;
  for (const size_t number : view.services.order()) {
    const double cpus = view.services[number].cpus.value_or(0);
    if (cpus > (largest ? view.services[*largest].cpus.value_or(0) : 0)) largest = number;
  }
  if (!largest) return;
  AppendFormat(text.advice, "; %s uses most, %.1f CPUs", view.services[*largest].name.c_str(),
               view.services[*largest].cpus.value_or(0));
}

// 1: it may come back by itself; 2: it does not.
Finding FindServiceDown(const AlertView& view, size_t service) {
  const std::string& state = view.services[service].state;
  if (state.empty()) return {};
  if (state == "failed") return {Kind::kValue, 2};
  // Between two tries: whether it is up again shows at the end.
  if (state == "pending" || state == "starting") return {Kind::kUnknown, 0};
  return {Kind::kValue, state == "unhealthy" || state == "backoff" ? 1.0 : 0.0};
}

void DescribeServiceDown(const AlertView& view, size_t service, double /*value*/,
                         double /*threshold*/, AlertText& text) {
  const ServiceRow& row = view.services[service];
  AppendFormat(text.summary, "%s is %s", row.name.c_str(), row.state.c_str());
  AppendFormat(text.advice,
               row.state == "failed"
                   ? "it is not started any more: see `idlewatt logs %s`, then `idlewatt start "
                     "%s`"
                   : "see `idlewatt status` and `idlewatt logs %s` for why %s is down",
               row.name.c_str(), row.name.c_str());
}

Finding FindCrashLoop(const AlertView& view, size_t service) {
  const ServiceRow& row = view.services[service];
  if (!row.supervised) return {};
  return {Kind::kValue, static_cast<double>(view.trends.Restarts(service))};
}

void DescribeCrashLoop(const AlertView& view, size_t service, double value, double threshold,
                       AlertText& text) {
  const char* name = view.services[service].name.c_str();
  AppendFormat(text.summary, "%s was restarted %.0f times within %s (limit %g)", name, value,
               FormatDuration(ServiceTrends::kRestartWindow).c_str(), threshold);
  AppendFormat(text.advice, "see `idlewatt logs %s` for what ends it", name);
}

double GpuMemory(const ServiceRow& row) {
  double bytes = 0;
  for (const GpuUse& gpu : row.gpus) bytes += gpu.memory_bytes;
  return bytes;
}

Finding FindIdleModelLoaded(const AlertView& view, size_t service) {
  const ServiceRow& row = view.services[service];
  if (!row.configured || !view.idle.IsIdle(service)) return {};
  const double size = std::max(row.memory_bytes / kModelBytes, GpuMemory(row) / kModelGpuBytes);
  if (size < 1) return {size < kHolds ? Kind::kNone : Kind::kUnknown, 0};
  return {Kind::kValue, view.idle.IdleSeconds(service) / 60};
}

void DescribeIdleModelLoaded(const AlertView& view, size_t service, double /*value*/,
                             double threshold, AlertText& text) {
  const ServiceRow& row = view.services[service];
  AppendFormat(text.summary, "%s holds %.1f GiB of memory", row.name.c_str(),
               row.memory_bytes / kGibibyte);
  if (GpuMemory(row) > 0) {
    AppendFormat(text.summary, " and %.1f GiB of GPU memory", GpuMemory(row) / kGibibyte);
  }
  AppendFormat(text.summary, " though nobody has used it for %s (limit %g min)",
               IdleFor(view, service).c_str(), threshold);
  AppendFormat(text.advice, "stop %s or unload its model until somebody asks for it.",
               row.name.c_str());
  SayPower(view, service, text.advice);
}

Finding FindSensorLost(const AlertView& view, size_t /*service*/) {
  return {Kind::kValue, static_cast<double>(view.sensors.lost().size())};
}

void DescribeSensorLost(const AlertView& view, size_t /*service*/, double /*value*/,
                        double /*threshold*/, AlertText& text) {
  constexpr size_t kMostNames = 5;
  const auto& lost = view.sensors.lost();
  text.summary += "can't be read any more: ";
  for (size_t i = 0; i < std::min(lost.size(), kMostNames); ++i) {
    if (i > 0) text.summary += ", ";
    text.summary += lost[i];
  }
  if (lost.size() > kMostNames)
    AppendFormat(text.summary, " and %zu more", lost.size() - kMostNames);
  text.advice += "see `idlewatt sensors` for why; figures may be incomplete meanwhile";
}

Finding FindIdleBaseline(const AlertView& view, size_t /*service*/) {
  const std::optional<Baseline>& baseline = view.baseline.baseline();
  if (!baseline || !view.idle.IsHostIdle()) return {};
  const std::optional<double> watts = view.baseline.MeanWatts();
  if (!watts) return {Kind::kUnknown, 0};
  const double above = *watts - baseline->watts;
  if (above < kLeastWatts) return {above < kHolds * kLeastWatts ? Kind::kNone : Kind::kUnknown, 0};
  return {Kind::kValue, 100 * above / std::max(baseline->watts, kLeastWatts)};
}

void DescribeIdleBaseline(const AlertView& view, size_t /*service*/, double value, double threshold,
                          AlertText& text) {
  const std::optional<Baseline>& baseline = view.baseline.baseline();
  if (!baseline) return;
  AppendFormat(text.summary,
               "the idle machine draws %.1f W%s, %.0f %% more than the %.1f W of baseline ",
               view.baseline.MeanWatts().value_or(0), Estimated(view), value, baseline->watts);
  text.summary += baseline->name;
  AppendFormat(text.summary, " (limit %g %%)", threshold);
  text.advice += "something that runs while nobody uses it is new: ";
  SayLargestIdle(view, text.advice);
}

constexpr std::array kBuiltins = {
    AlertBuiltin{"IdlePower", "watts", true, false, 5, 10, minutes(5), FindIdlePower,
                 DescribeIdlePower},
    AlertBuiltin{"IdleServiceCpu", "percent", false, false, 5, 20, seconds(30), FindIdleServiceCpu,
                 DescribeIdleServiceCpu},
    AlertBuiltin{"MemoryGrowth", "MB/h", false, false, 100, 500, minutes(5), FindMemoryGrowth,
                 DescribeMemoryGrowth},
    AlertBuiltin{"ThermalPressure", "level", true, true, 1, 2, seconds(30), FindThermalPressure,
                 DescribeThermalPressure},
    AlertBuiltin{"ServiceDown", "level", false, true, 1, 2, minutes(1), FindServiceDown,
                 DescribeServiceDown},
    AlertBuiltin{"CrashLoop", "restarts", false, false, 2, 5, seconds(0), FindCrashLoop,
                 DescribeCrashLoop},
    AlertBuiltin{"IdleModelLoaded", "minutes", false, false, 30, std::nullopt, seconds(0),
                 FindIdleModelLoaded, DescribeIdleModelLoaded},
    AlertBuiltin{"SensorLost", "sources", true, true, 1, std::nullopt, minutes(5), FindSensorLost,
                 DescribeSensorLost},
    AlertBuiltin{"IdleBaseline", "percent", true, false, 20, 50, minutes(5), FindIdleBaseline,
                 DescribeIdleBaseline},
};

}  // namespace

std::span<const AlertBuiltin> AlertBuiltinTable() { return kBuiltins; }

const AlertBuiltin* FindAlertBuiltin(std::string_view name) {
  const auto it = std::find_if(kBuiltins.begin(), kBuiltins.end(),
                               [&](const AlertBuiltin& builtin) { return builtin.name == name; });
  return it == kBuiltins.end() ? nullptr : &*it;
}

}  // namespace idlewatt
