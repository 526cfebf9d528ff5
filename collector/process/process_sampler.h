#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_root.h"
#include "collector/gpu/gpu_board.h"
#include "collector/process/cgroup_cpu.h"
#include "collector/process/io_accounting.h"
#include "collector/process/process_backend.h"
#include "collector/process/service.h"
#include "collector/process/service_classifier.h"
#include "collector/sampler.h"

namespace idlewatt {

// CPU time, memory, threads, I/O and GPU use of every service: all processes of the machine, each
// counted in exactly one service.
// Source:  the backend for all processes; of members of supervised and watched services PID/io,
//          and every 30 s PID/fd; with a backend that does not tell of ended processes, cpu.stat of
//          services that have a cgroup to themselves; what the GPU samplers left on the board.
// Units:   seconds and bytes. Counters of a service never fall while the daemon runs.
// Errors:  only when no process can be read, the read fails.
// Threads: sampler thread only.
// Owns:    the backend. `roots` and `directory` must outlive this object.
class ProcessSampler final : public Sampler {
 public:
  struct Options {
    std::vector<WatchedService> watched;
    int discovered_top = 20;           // discovered services shown by name; the others are "other"
    std::optional<Error> without_bpf;  // why backend proc reads, where bpf was wanted
  };
  // `directory` may be null: no supervised services.
  ProcessSampler(const MachineRoots& roots, std::unique_ptr<ProcessBackend> backend,
                 Options options, ServiceDirectory* directory, std::shared_ptr<GpuBoard> board);
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  using Owners = std::vector<ServiceEntry*>;  // one for each process of the scan

  void BeginTick();
  void AddProcesses(TimePoint now, const Owners& owners);
  void AddIo(const Owners& owners);
  void AddEnded(TimePoint now);
  void PreferCgroups(const Owners& owners);
  void AddGpus();
  void CountDescriptors(const Owners& owners);
  void ChooseShown(double seconds);
  void ForgetEmpty(BootTime now);
  void Publish(Readings& out);
  void PublishGpus(Readings& out, const std::string& name, ServiceKind kind, bool named,
                   MeasuredService& service);
  ProcessRows Rows(const Owners& owners, double seconds) const;

  const FileRoot& proc_;
  const std::unique_ptr<ProcessBackend> backend_;
  const Options options_;
  ServiceDirectory* const directory_;
  const std::shared_ptr<GpuBoard> board_;
  MeasuredServices services_;
  ServiceClassifier classifier_;
  IoAccounting io_;
  CgroupCpu cgroup_cpu_;

  ProcessList scan_;   // reused
  CpuTime other_cpu_;  // of discovered services while they had no series that shows a growth
  CpuTime unowned_;    // of this tick: ended processes of which nobody knows whose they were
  std::map<std::string, MeasuredService::Gpu> other_gpus_;         // as other_cpu_
  std::map<std::pair<int32_t, std::string>, double> gpu_seconds_;  // by process and GPU
  BootTime last_read_;
  BootTime next_descriptor_count_;
  bool first_read_ = true;
};

}  // namespace idlewatt
