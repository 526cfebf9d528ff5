#include <unistd.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/spare.h"
#include "base/text.h"
#include "collector/proc_text.h"
#include "collector/process/cpu_accounting.h"
#include "collector/process/process_backend.h"

namespace idlewatt {
namespace {

// Longer chains of parents exist only in a damaged scan.
constexpr int kMaxDepth = 256;

CpuAccounting::Options AccountingOptions() {
  return {static_cast<int32_t>(::getpid()), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)),
          static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

// Bytes of the marked processes since they were read last. A process that is waited for leaves its
// bytes to its parent, as with CPU time; here the parent's own and inherited ones come as one
// number.
class IoAccounting {
 public:
  explicit IoAccounting(const FileRoot& proc) : proc_(proc) {}

  void Add(std::vector<Process>& processes, const std::vector<bool>& marked) {
    for (auto& [pid, known] : known_) known.seen = false;
    std::vector<std::pair<Process*, PidIo>> readings;
    for (size_t i = 0; i < processes.size(); ++i) {
      if (!marked[i]) continue;
      Process& process = processes[i];
      if (!proc_.ReadInto(std::to_string(process.pid) + "/io", buffer_)) continue;
      const Result<PidIo> io = ParsePidIo(buffer_);
      if (!io) continue;
      readings.emplace_back(&process, *io);
      const auto it = known_.find(process.pid);
      if (it != known_.end() && it->second.start == process.start) it->second.seen = true;
    }
    const std::unordered_map<int32_t, PidIo> inherited = Inherited();
    std::erase_if(known_, [](const auto& item) { return !item.second.seen; });
    for (const auto& [process, io] : readings) {
      Known& known = known_[process->pid];  // all zero for one that is new
      const auto from_ended = inherited.find(process->pid);
      const PidIo counted = from_ended == inherited.end() ? PidIo{} : from_ended->second;
      process->io = {Growth(io.read_bytes, known.io.read_bytes, counted.read_bytes),
                     Growth(io.write_bytes, known.io.write_bytes, counted.write_bytes)};
      known = {process->start, io, process->parent, true};
    }
  }

 private:
  struct Known {
    uint64_t start = 0;
    PidIo io;
    int32_t parent = 0;
    bool seen = false;
  };

  static double Growth(uint64_t now, uint64_t before, uint64_t counted) {
    return now > before + counted ? static_cast<double>(now - before - counted) : 0.0;
  }

  // What was counted of processes that are gone, by the nearest ancestor that still lives.
  std::unordered_map<int32_t, PidIo> Inherited() const {
    std::unordered_map<int32_t, PidIo> inherited;
    for (const auto& [pid, known] : known_) {
      if (known.seen) continue;
      int32_t heir = known.parent;
      for (int depth = 0; depth < kMaxDepth; ++depth) {
        const auto it = known_.find(heir);
        if (it == known_.end() || it->second.seen) break;
        heir = it->second.parent;
      }
      inherited[heir].read_bytes += known.io.read_bytes;
      inherited[heir].write_bytes += known.io.write_bytes;
    }
    return inherited;
  }

  const FileRoot& proc_;
  std::string buffer_;  // reused
  std::unordered_map<int32_t, Known> known_;
};

class ProcBackend final : public ProcessBackend {
 public:
  explicit ProcBackend(const FileRoot& proc)
      : proc_(proc),
        accounting_(AccountingOptions()),
        io_(proc),
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
      scan.ended.push_back({roots[i].pid, 0, 0, 0, roots[i].pid, usage.ended[i], {}});
    }
    return {};
  }

  void AddIo(ProcessList& scan, const std::vector<bool>& marked) override {
    io_.Add(scan.processes, marked);
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
    process.io.reset();
  }

  const FileRoot& proc_;
  CpuAccounting accounting_;
  IoAccounting io_;
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
