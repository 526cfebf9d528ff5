// A machine made of numbers, for tests of the analysis: samplers whose values a test sets, and
// ticks that go the way they go in the daemon.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analysis/analyzer.h"
#include "analysis/metrics.h"
#include "base/clock.h"
#include "collector/frame.h"
#include "collector/metrics.h"
#include "collector/sampler.h"
#include "collector/snapshot.h"

namespace idlewatt {

// What one sampler would read, in every tick in which it is due.
class FakeSampler {
 public:
  explicit FakeSampler(std::string_view name) : info_{name, "made of numbers", false, {}} {}

  using Labels = std::vector<std::string>;
  void Set(const Metric& metric, Labels labels, double value) {
    values_[{&metric, std::move(labels)}] = value;
  }
  void Add(const Metric& metric, Labels labels, double more) {
    values_[{&metric, std::move(labels)}] += more;
  }
  void Remove(const Metric& metric, const Labels& labels) { values_.erase({&metric, labels}); }

  bool due = true;
  bool fails = false;
  std::chrono::nanoseconds late{0};  // what is read was read that long before the tick

  // Appends one run to the frame, as the sampling loop does.
  void Read(SeriesRegistry& registry, std::chrono::nanoseconds period, Frame& frame) {
    if (!due) return;
    using Outcome = SamplerRun::Outcome;
    SamplerRun run{&info_, fails ? Outcome::kFailed : Outcome::kOk, {}, period};
    run.late = late;
    run.first = frame.samples.size();
    if (!fails) {
      for (const auto& [key, value] : values_) {
        frame.samples.push_back({Intern(registry, *key.first, key.second), value});
      }
    }
    run.count = frame.samples.size() - run.first;
    frame.runs.push_back(std::move(run));
  }

 private:
  static SeriesId Intern(SeriesRegistry& registry, const Metric& metric, const Labels& l) {
    switch (l.size()) {
      case 1:
        return registry.Intern(metric, {l[0]});
      case 2:
        return registry.Intern(metric, {l[0], l[1]});
      case 0:
        return registry.Intern(metric, std::initializer_list<std::string_view>{});
      default:
        return registry.Intern(metric, {l[0], l[1], l[2]});
    }
  }

  const SamplerInfo info_;
  std::map<std::pair<const Metric*, Labels>, double> values_;
};

class AnalysisMachine {
 public:
  explicit AnalysisMachine(AnalysisOptions options = {}, double cpus = 4)
      : cpus_(cpus), analyzer_(std::move(options)) {}

  FakeSampler host{"host"};
  FakeSampler process{"process"};
  FakeSampler sockets{"sockets"};
  FakeSampler rapl{"rapl"};
  FakeSampler hwmon{"hwmon"};
  FakeSampler battery{"battery"};
  FakeSampler nvml{"nvml"};
  FakeSampler other{"other"};  // what no other one gives
  ManualClock clock;

  // A service that uses `cpu` of one CPU from here on.
  void Run(const std::string& name, double cpu, const std::string& kind = "supervised") {
    Service& service = services_[{name, kind}];
    service.there = true;
    service.cpu = cpu;
  }
  // Its series leave; its counters continue when it runs again.
  void Vanish(const std::string& name, const std::string& kind = "supervised") {
    services_[{name, kind}].there = false;
    process.Remove(metrics::kServiceProcesses, {name, kind});
    process.Remove(metrics::kServiceCpuSeconds, {name, kind, "user"});
    process.Remove(metrics::kServiceCpuSeconds, {name, kind, "system"});
  }
  // It has no processes any more; of a service that has a name the series stay.
  void Stop(const std::string& name, const std::string& kind = "supervised") {
    services_[{name, kind}].processes = 0;
    services_[{name, kind}].cpu = 0;
  }
  void SetCpuSeconds(const std::string& name, double seconds,
                     const std::string& kind = "supervised") {
    services_[{name, kind}].seconds = seconds;
  }
  void SetProcesses(const std::string& name, int count) {
    services_[{name, "supervised"}].processes = count;
  }
  // Use of the CPU by nobody's service.
  void RunKernel(double cpu) { kernel_ = cpu; }
  // A port of a service, with what happened on it so far.
  void Port(const std::string& name, double connections = 0, double bytes = 0) {
    sockets.Add(metrics::kServiceConnectionsSeen, {name}, connections);
    sockets.Add(metrics::kServiceNetworkBytes, {name, "in"}, bytes / 2);
    sockets.Add(metrics::kServiceNetworkBytes, {name, "out"}, bytes / 2);
  }
  // A service holds memory of gpu0, and uses its engines for some more seconds.
  void UseGpu(const std::string& name, double bytes, double seconds) {
    process.Set(metrics::kServiceGpuMemoryBytes, {name, "supervised", "gpu0"}, bytes);
    process.Add(metrics::kServiceGpuSeconds, {name, "supervised", "gpu0"}, seconds);
  }
  // A RAPL zone that draws `watts` from here on.
  void Zone(const std::string& name, double watts) { zones_[name].watts = watts; }
  void LoseZone(const std::string& name) {
    zones_.erase(name);
    rapl.Remove(metrics::kEnergyJoules, {"rapl", name});
  }
  void ResetZone(const std::string& name) { zones_[name].joules = 0; }

  // The machine runs for a while, unseen.
  void Advance(std::chrono::nanoseconds d) {
    clock.Advance(d);
    const double seconds = ToSeconds(d);
    double busy = kernel_;
    for (auto& [key, service] : services_) {
      if (!service.there) continue;
      service.seconds += service.cpu * seconds;
      busy += service.cpu;
    }
    user_ += busy * seconds;
    idle_ += (cpus_ - busy) * seconds;
    for (auto& [name, zone] : zones_) zone.joules += zone.watts * seconds;
  }
  // The machine is suspended: the boot clock runs, and counters of energy that draw from it.
  void Suspend(std::chrono::nanoseconds d, double zone_watts = 0) {
    clock.Advance(d);
    for (auto& [name, zone] : zones_) zone.joules += zone_watts * ToSeconds(d);
  }

  // One tick of the daemon, now.
  void Tick() {
    FillSamplers();
    Frame frame;
    frame.begin = clock.Now();
    for (FakeSampler* sampler :
         {&host, &process, &sockets, &rapl, &hwmon, &battery, &nvml, &other}) {
      sampler->Read(registry_, kPeriod, frame);
    }
    frame.end = clock.Now().boot;
    const size_t derived_run = frame.runs.size();
    builder_.Apply(frame);
    Readings derived(registry_);
    analyzer_.Analyze(builder_.Current(), derived);
    sources = analyzer_.Sources();
    SamplerRun run{&Analyzer::Info(), SamplerRun::Outcome::kOk};
    run.first = frame.samples.size();
    run.count = derived.samples.size();
    frame.samples.insert(frame.samples.end(), derived.samples.begin(), derived.samples.end());
    frame.runs.push_back(std::move(run));
    CheckSamples(frame);
    builder_.Apply(frame, derived_run);
    snapshot_ = builder_.Current();
    CountHandedOut();
  }
  void Tick(std::chrono::nanoseconds after) {
    Advance(after);
    Tick();
  }
  // Ticks every five seconds.
  void TickFor(std::chrono::nanoseconds d) {
    for (auto rest = d; rest > rest.zero(); rest -= kPeriod) Tick(kPeriod);
  }

  const Snapshot& snapshot() const { return snapshot_; }
  const Analyzer& analyzer() const { return analyzer_; }
  Analyzer& analyzer() { return analyzer_; }
  std::vector<AlertStatus> Alerts() const { return analyzer_.Alerts(); }
  std::vector<SourceStatus> sources;  // of the analysis, in the last tick
  // One of them; null when it is not there.
  const SourceStatus* Source(std::string_view name) const {
    for (const SourceStatus& source : sources) {
      if (source.source == name) return &source;
    }
    return nullptr;
  }

  std::optional<double> Get(const Metric& metric,
                            std::initializer_list<std::string_view> labels) const {
    const SnapshotValue* value = snapshot_.Find(metric, labels);
    return value == nullptr ? std::nullopt : std::optional(value->value);
  }
  std::optional<double> Watts(std::string_view source, std::string_view domain) const {
    return Get(metrics::kPowerWatts, {source, domain});
  }
  std::optional<double> Joules(std::string_view source, std::string_view domain) const {
    return Get(metrics::kEnergyJoules, {source, domain});
  }
  // Of a service, in both states; 0 while it has none.
  double ServiceJoules(std::string_view service, std::string_view component = "cpu") const {
    return ServiceJoulesIn(service, "active", component) +
           ServiceJoulesIn(service, "idle", component);
  }
  double ServiceJoulesIn(std::string_view service, std::string_view state,
                         std::string_view component = "cpu") const {
    return Get(metrics::kServiceEnergyJoules, {service, component, state}).value_or(0);
  }
  std::optional<double> ServiceWatts(std::string_view service) const {
    return Get(metrics::kServicePowerWatts, {service, "cpu"});
  }
  double Floor(std::string_view domain) const {
    return Get(metrics::kHostFloorJoules, {domain}).value_or(0);
  }
  double Unattributed(std::string_view domain) const {
    return Get(metrics::kUnattributedJoules, {domain}).value_or(0);
  }
  // Joules given to services, floors and nobody since the start, those of services that are gone
  // included.
  double HandedOut() const { return handed_out_; }

  static constexpr std::chrono::seconds kPeriod{5};

 private:
  struct Service {
    bool there = false;
    double cpu = 0;
    double seconds = 0;
    int processes = 1;
  };
  struct Counted {
    double joules = 0;
    BootTime seen;
  };
  struct ZoneState {
    double watts = 0;
    double joules = 0;
  };

  void FillSamplers() {
    host.Set(metrics::kHostCpuSeconds, {"user"}, user_);
    host.Set(metrics::kHostCpuSeconds, {"idle"}, idle_ * 0.9);
    host.Set(metrics::kHostCpuSeconds, {"iowait"}, idle_ * 0.1);
    for (const auto& [key, service] : services_) {
      if (!service.there) continue;
      const auto& [name, kind] = key;
      process.Set(metrics::kServiceProcesses, {name, kind}, service.processes);
      process.Set(metrics::kServiceCpuSeconds, {name, kind, "user"}, service.seconds * 0.75);
      process.Set(metrics::kServiceCpuSeconds, {name, kind, "system"}, service.seconds * 0.25);
    }
    for (const auto& [name, zone] : zones_) {
      rapl.Set(metrics::kEnergyJoules, {"rapl", name}, zone.joules);
    }
  }

  // No counter falls; one that was gone for an hour starts again from 0.
  void CountHandedOut() {
    for (const Metric* metric : {&metrics::kServiceEnergyJoules, &metrics::kHostFloorJoules,
                                 &metrics::kUnattributedJoules}) {
      for (const SnapshotValue& value : snapshot_.Family(*metric)) {
        Counted& counted = counted_[value.series->ToString()];
        EXPECT_GE(value.value, counted.joules) << value.series->ToString();
        handed_out_ += value.value - counted.joules;
        counted = {value.value, value.time.boot};
      }
    }
    std::erase_if(counted_, [&](const auto& item) {
      return item.second.seen + std::chrono::hours(1) <= snapshot_.time.boot;
    });
  }

  // No series twice in a frame; nothing derived is negative or not a number.
  static void CheckSamples(const Frame& frame) {
    std::set<SeriesId> seen;
    for (const Sample& sample : frame.samples) EXPECT_TRUE(seen.insert(sample.series).second);
    for (size_t i = frame.runs.back().first; i < frame.samples.size(); ++i) {
      EXPECT_TRUE(std::isfinite(frame.samples[i].value));
      EXPECT_GE(frame.samples[i].value, 0);
    }
  }

  const double cpus_;
  std::map<std::pair<std::string, std::string>, Service> services_;  // by name, kind
  std::map<std::string, ZoneState> zones_;
  double kernel_ = 0;
  double user_ = 1000;
  double idle_ = 50000;
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
  Analyzer analyzer_;
  Snapshot snapshot_;
  std::map<std::string, Counted> counted_;  // by series
  double handed_out_ = 0;
};

// A machine of four CPUs whose package has drawn 10 W unused for a minute; `busy` is there.
inline void LearnFloor(AnalysisMachine& machine) {
  machine.Zone("package-0", 10);
  machine.Run("busy", 0);
  machine.Tick();
  machine.TickFor(std::chrono::minutes(1));
}

}  // namespace idlewatt
