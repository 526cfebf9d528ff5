#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file_root.h"
#include "collector/process/cpu_accounting.h"
#include "collector/sampler.h"
#include "collector/process/service_classifier.h"

namespace idlewatt {

// CPU time, memory, threads and I/O of every service: all processes of the machine, each counted
// in exactly one service.
// Source:  PID/stat for all processes; PID/io and PID/fd for members of supervised and watched
//          services only, descriptors every 30 s. Kernel Documentation/filesystems/proc.rst.
// Units:   clock ticks and pages as read; seconds and bytes once published. Counters of a service
//          never fall while the daemon runs.
// Errors:  kGone of one process skips that process; only an unreadable /proc fails the read.
// Threads: sampler thread only.
// Owns:    nothing; `proc` and `directory` must outlive this object.
class ProcessSampler final : public Sampler {
 public:
  struct Options {
    std::vector<WatchedService> watched;
    int discovered_top = 20;  // discovered services shown by name; the others are "other"
  };
  // `directory` may be null: no supervised services.
  ProcessSampler(const FileRoot& proc, Options options, ServiceDirectory* directory);
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  // What is known of a service over the ticks.
  struct Service {
    CpuTime cpu;
    double io_read = 0;
    double io_written = 0;
    bool io_known = false;
    std::optional<double> open_fds;  // of the last count
    // Of this tick:
    double memory = 0;
    int processes = 0;
    int threads = 0;
    CpuTime used;
    // For the choice of those shown:
    double busy = 0;  // smoothed CPU ratio
    bool shown = false;
    bool was_named = false;  // given under its own name at the last tick
    BootTime last_member;
  };
  using Services = std::map<ServiceKey, Service>;

  Result<void> Scan();
  void BeginTick();
  void AddProcesses(TimePoint now, const std::vector<const ServiceKey*>& keys,
                    const std::vector<CpuAccounting::Usage>& usage, double seconds, Readings& out);
  void AddIo(const std::vector<const ServiceKey*>& keys);
  void CountDescriptors(const std::vector<const ServiceKey*>& keys);
  void ChooseShown(BootTime now, double seconds);
  void Publish(Readings& out);

  const FileRoot& proc_;
  const Options options_;
  ServiceDirectory* const directory_;
  CpuAccounting accounting_;
  ServiceClassifier classifier_;
  const double page_bytes_;
  const double ticks_per_second_;

  std::vector<PidStat> scan_;  // reused
  std::string buffer_;         // reused
  Services services_;
  CpuTime other_cpu_;  // of discovered services while they had no series that shows a growth
  struct KnownIo {
    uint64_t start = 0;
    PidIo io;
    int32_t parent = 0;
    bool seen = false;
  };
  std::unordered_map<int32_t, KnownIo> io_;
  BootTime last_read_;
  BootTime next_descriptor_count_;
  bool first_read_ = true;
};

}  // namespace idlewatt
