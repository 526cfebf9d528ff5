// A whole machine as `--procfs` and `--sysfs` would show it: the test writes its files, every
// sampler reads them, and the ticks go the way they go in the daemon.
#pragma once

#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analysis/analyzer.h"
#include "analysis/power_ledger.h"
#include "base/clock.h"
#include "collector/sampler_table.h"
#include "collector/sampling_loop.h"
#include "collector/snapshot.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {

class RecordedMachine : public FrameSink {
 public:
  RecordedMachine() {
    tree.MakeDir("sys");
    PutProcStat();
    tree.Write("proc/meminfo", "MemTotal: 16000000 kB\nMemFree: 8000000 kB\n");
    tree.Write("proc/1/stat",
               "1 (init) S 0 1 1 0 -1 4194560 0 0 0 0 50 30 0 0 20 0 1 0 1 0 2500 0\n");
  }
  ~RecordedMachine() override {
    if (loop_) loop_->StopLanes();
  }

  // A file below /sys; the kernel ends most of them with a newline.
  void Sys(const std::string& folder, const std::string& file, const std::string& text) {
    tree.Write("sys/" + folder + "/" + file, text + "\n");
  }
  void Sys(const std::string& folder, const std::map<std::string, std::string>& files) {
    for (const auto& [file, text] : files) Sys(folder, file, text);
  }

  // One tick of the daemon, now; the samplers are made at the first.
  void Tick() {
    if (!loop_) Start();
    loop_->Tick();
  }
  // One tick `d` later, in which a tenth of the CPUs was busy.
  void Tick(std::chrono::seconds d) {
    clock.Advance(d);
    seconds_ += d.count();
    PutProcStat();
    Tick();
  }

  // The series as Prometheus would show them, with their values.
  std::map<std::string, double> Values(const std::string& metric) const {
    std::map<std::string, double> values;
    for (const SnapshotValue& value : snapshot.Family(metric)) {
      std::string labels = value.series->ToString().substr(metric.size());
      values[std::move(labels)] = value.value;
    }
    return values;
  }
  // By domain, of one source.
  std::map<std::string, double> Watts(std::string_view source) const {
    return ByDomain("idlewatt_power_watts", source);
  }
  std::map<std::string, double> Joules(std::string_view source) const {
    return ByDomain("idlewatt_energy_joules_total", source);
  }
  // What the machine used in the last tick, each joule once.
  double HostJoules() const {
    double sum = 0;
    for (const DomainEnergy& row : used_) {
      if (row.role != DomainRole::kNone && row.role != DomainRole::kWhole) sum += row.joules;
    }
    return sum;
  }
  // Why a source is refused; empty when it is read, "?" when nothing is said of it.
  std::string Refused(const std::string& source) const {
    for (const SourceStatus& row : snapshot.sources) {
      if (row.source != source) continue;
      return row.error ? std::string(ErrorCodeName(row.error->code)) : "";
    }
    return "?";
  }

  FakeTree tree;
  ManualClock clock;
  Snapshot snapshot;  // of the last tick

 private:
  static constexpr int64_t kCpus = 8;

  void PutProcStat() {
    static const int64_t hz = ::sysconf(_SC_CLK_TCK);
    const int64_t ticks = (1000 + seconds_) * kCpus * hz;
    tree.Write("proc/stat", "cpu  " + std::to_string(ticks / 10) + " 0 0 " +
                                std::to_string(ticks - ticks / 10) + " 0 0 0 0 0 0\n");
  }

  void Start() {
    roots_ = std::make_unique<MachineRoots>(MachineRoots{tree.Root("proc"), tree.Root("sys")});
    SamplingLoop::Options options;
    // The lanes are waited for: a test wants all values of a tick.
    options.lane_patience = std::chrono::seconds(30);
    SamplerContext context{*roots_, options_};
    context.live = false;
    loop_ = std::make_unique<SamplingLoop>(options, MakeSamplers(context), registry_, clock, *this);
  }

  // As the recorder of the daemon, without ring, history and readers.
  void OnFrame(Frame frame) override {
    CheckOnce(frame);
    const size_t derived_run = frame.runs.size();
    builder_.Apply(frame);
    Readings scratch(registry_);
    const auto used = ledger_.Update(builder_.Current(), scratch);
    used_.assign(used.begin(), used.end());
    Readings derived(registry_);
    analyzer_.Analyze(builder_.Current(), derived);
    SamplerRun run{&Analyzer::Info(), SamplerRun::Outcome::kOk};
    run.first = frame.samples.size();
    run.count = derived.samples.size();
    frame.samples.insert(frame.samples.end(), derived.samples.begin(), derived.samples.end());
    frame.runs.push_back(std::move(run));
    builder_.Apply(frame, derived_run);
    snapshot = builder_.Current();
  }

  // Two values of one series in a tick spoil its rate, and the snapshot would hide one.
  void CheckOnce(const Frame& frame) const {
    std::set<SeriesId> seen;
    for (const Sample& sample : frame.samples) {
      EXPECT_TRUE(seen.insert(sample.series).second)
          << registry_.Find(sample.series)->ToString() << " was given twice";
    }
  }

  std::map<std::string, double> ByDomain(std::string_view metric, std::string_view source) const {
    std::map<std::string, double> values;
    for (const SnapshotValue& value : snapshot.Family(metric)) {
      if (value.series->labels[0] == source) values[value.series->labels[1]] = value.value;
    }
    return values;
  }

  const CollectorOptions options_;
  int64_t seconds_ = 0;
  SeriesRegistry registry_;
  SnapshotBuilder builder_{registry_};
  Analyzer analyzer_{AnalysisOptions{}};
  PowerLedger ledger_{std::nullopt};  // beside that of the analyzer, to look into
  std::vector<DomainEnergy> used_;
  std::unique_ptr<MachineRoots> roots_;
  std::unique_ptr<SamplingLoop> loop_;
};

}  // namespace idlewatt
