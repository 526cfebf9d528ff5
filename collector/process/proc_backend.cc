#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/spare.h"
#include "base/text.h"
#include "collector/proc_text.h"
#include "collector/process/cpu_accounting.h"
#include "collector/process/process_backend.h"

namespace idlewatt {
namespace {

CpuAccounting::Options AccountingOptions() {
  return {static_cast<int32_t>(::getpid()), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)),
          static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

class ProcBackend final : public ProcessBackend {
 public:
  explicit ProcBackend(const FileRoot& proc)
      : proc_(proc),
        accounting_(AccountingOptions()),
        page_bytes_(::sysconf(_SC_PAGESIZE)),
        ticks_per_second_(static_cast<double>(::sysconf(_SC_CLK_TCK))) {}

  std::string_view name() const override { return "proc"; }
  bool TellsOfEnded() const override { return false; }

  Result<void> Scan(BootTime now, std::span<const EndedRoot> roots, ProcessList& scan) override {
    RETURN_IF_ERROR(ReadStats());
    const CpuAccounting::Outcome usage = accounting_.Account(now, stats_, roots);
    scan.processes.resize(stats_.size());
    ReleaseSpare(scan.processes);
    for (size_t i = 0; i < stats_.size(); ++i) {
      Take(stats_[i], usage.processes[i], scan.processes[i]);
    }
    scan.ended.clear();
    for (size_t i = 0; i < roots.size(); ++i) {
      scan.ended.push_back({roots[i].pid, 0, 0, 0, roots[i].pid, usage.ended[i]});
    }
    return {};
  }

 private:
  Result<void> ReadStats() {
    ASSIGN_OR_RETURN(const std::vector<std::string> entries, proc_.List(""));
    pids_.clear();
    for (const std::string& entry : entries) {
      if (const auto pid = ParseNumber<int32_t>(entry)) pids_.push_back(*pid);
    }
    std::sort(pids_.begin(), pids_.end());
    size_t count = 0;
    for (const int32_t pid : pids_) {
      if (count == stats_.size()) stats_.emplace_back();
      // Gone between the listing and the read, or not readable: no process to us.
      if (!proc_.ReadInto(std::to_string(pid) + "/stat", buffer_)) continue;
      if (ParsePidStat(buffer_, stats_[count]) && stats_[count].pid == pid) ++count;
    }
    stats_.resize(count);
    ReleaseSpare(stats_);
    ReleaseSpare(pids_);
    if (count > 0) return {};
    return Error{ErrorCode::kNoData, proc_.path(), 0, "shows no process; is proc mounted there?"};
  }

  void Take(const PidStat& stat, const CpuAccounting::Usage& usage, Process& process) const {
    process.pid = stat.pid;
    process.parent = stat.parent;
    process.session = stat.session;
    process.threads = stat.threads;
    process.start = stat.start;
    process.comm = stat.comm;
    process.state = stat.state;
    process.is_kernel_thread = stat.IsKernelThread();
    process.first_seen = usage.first_seen;
    process.memory_bytes = std::max<int64_t>(stat.rss_pages, 0) * page_bytes_;
    process.total = {static_cast<double>(stat.user) / ticks_per_second_,
                     static_cast<double>(stat.system) / ticks_per_second_};
    process.used = usage.used;
  }

  const FileRoot& proc_;
  CpuAccounting accounting_;
  const int64_t page_bytes_;
  const double ticks_per_second_;
  std::vector<int32_t> pids_;  // reused, as the others
  std::vector<PidStat> stats_;
  std::string buffer_;
};

}  // namespace

std::unique_ptr<ProcessBackend> MakeProcBackend(const FileRoot& proc) {
  return std::make_unique<ProcBackend>(proc);
}

}  // namespace idlewatt
