#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "collector/process/process_backend.h"

#if IDLEWATT_HAVE_BPF

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <malloc.h>
#include <unistd.h>

#include "base/spare.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "collector/process/process_bpf.h"
#include "collector/process/process_bpf_object.h"

namespace idlewatt {
namespace {

constexpr double kNanosecond = 1e-9;
constexpr size_t kReadBytes = size_t{64} << 10;  // the kernel gives at most 32 KiB a read
constexpr uint32_t kKernelThread = 0x00200000;   // PF_KTHREAD
constexpr uint32_t kBatch = 1024;

// What libbpf complained of first; it says more than its error codes.
thread_local std::string complaint;

int TakeComplaint(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  if (complaint.empty()) complaint = ToValidUtf8(Trim(text.data()));
  return 0;
}

Error BpfError(int error, std::string what) {
  const bool refused = error == EPERM || error == EACCES;
  if (!refused && !complaint.empty()) what += " (" + complaint + ")";
  return Error{refused ? ErrorCode::kPermission : ErrorCode::kNoData, "BPF", error,
               std::move(what)};
}

// The letter that PID/stat shows, of the bits in the kernel's include/linux/sched.h.
char StateLetter(uint32_t state) {
  constexpr std::array<std::pair<uint32_t, char>, 8> kStates{{{0x10, 'X'},
                                                              {0x20, 'Z'},
                                                              {0x04, 'T'},
                                                              {0x08, 't'},
                                                              {0x40, 'P'},
                                                              {0x01, 'S'},
                                                              {0x02, 'D'},
                                                              {0x80, 'X'}}};
  constexpr uint32_t kIdle = 0x402;  // TASK_UNINTERRUPTIBLE that is no load
  if ((state & kIdle) == kIdle) return 'I';
  for (const auto& [bit, letter] : kStates) {
    if ((state & bit) != 0) return letter;
  }
  return 'R';
}

idlewatt_use operator+(const idlewatt_use& a, const idlewatt_use& b) {
  return {a.run_ns + b.run_ns, a.user_ns + b.user_ns, a.system_ns + b.system_ns};
}

uint64_t Beyond(uint64_t now, uint64_t before) { return now > before ? now - before : 0; }

// A thread that ends while the scan goes on may be missing from it: no counter falls.
idlewatt_use Growth(const idlewatt_use& now, const idlewatt_use& before) {
  return {Beyond(now.run_ns, before.run_ns), Beyond(now.user_ns, before.user_ns),
          Beyond(now.system_ns, before.system_ns)};
}

idlewatt_use Highest(const idlewatt_use& a, const idlewatt_use& b) {
  return {std::max(a.run_ns, b.run_ns), std::max(a.user_ns, b.user_ns),
          std::max(a.system_ns, b.system_ns)};
}

// The exact time, split as the ticks of `part` found it, or those of `whole` when none fell in it.
CpuTime SplitTime(const idlewatt_use& part, const idlewatt_use& whole) {
  const double seconds = static_cast<double>(part.run_ns) * kNanosecond;
  const idlewatt_use& ticks = part.user_ns + part.system_ns > 0 ? part : whole;
  const auto user = static_cast<double>(ticks.user_ns);
  const auto both = user + static_cast<double>(ticks.system_ns);
  const double user_seconds = both > 0 ? seconds * (user / both) : seconds;
  return {user_seconds, seconds - user_seconds};
}

bool InInitialPidNamespace() {
  std::array<char, 64> link{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", link.data(), link.size() - 1);
  return length > 0 && std::string_view(link.data()) == "pid:[4026531836]";  // PROC_PID_INIT_INO
}

struct ObjectClose {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
struct LinkDestroy {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Object = std::unique_ptr<bpf_object, ObjectClose>;
using Link = std::unique_ptr<bpf_link, LinkDestroy>;

class BpfBackend final : public ProcessBackend {
 public:
  Result<void> Load() {
    if (!InInitialPidNamespace()) {
      return Error{ErrorCode::kNoData, "BPF", 0,
                   "numbers processes as the host does, and this is a pid namespace of its own"};
    }
    if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
      return Error{ErrorCode::kNoData, "/sys/kernel/btf/vmlinux", errno,
                   "is not there (a kernel with CONFIG_DEBUG_INFO_BTF has it)"};
    }
    libbpf_set_print(TakeComplaint);
    complaint.clear();
    object_.reset(
        bpf_object__open_mem(kProcessBpfObject.data(), kProcessBpfObject.size(), nullptr));
    if (!object_) return BpfError(errno, "the programs can't be opened");
    if (const int code = bpf_object__load(object_.get()); code != 0) {
      return BpfError(-code, "the kernel does not take the programs");
    }
    RETURN_IF_ERROR(Attach("on_exit", on_exit_));
    RETURN_IF_ERROR(Attach("on_free", on_free_));
    RETURN_IF_ERROR(Attach("each_thread", iterator_));
    ::malloc_trim(0);  // libbpf has read the types of the whole kernel, megabytes of them
    ended_map_ = bpf_object__find_map_fd_by_name(object_.get(), "ended");
    lost_map_ = bpf_object__find_map_fd_by_name(object_.get(), "lost");
    return {};
  }

  std::string_view name() const override { return "bpf"; }
  bool TellsOfEnded() const override { return true; }

  Result<void> Scan(BootTime now, std::span<const EndedRoot> /*roots*/,
                    ProcessList& scan) override {
    RETURN_IF_ERROR(ReadThreads(scan.processes));
    TakeUse(now, scan.processes);
    scan.ended.clear();
    TakeEnded(now, scan.ended);
    if (first_scan_) scan.ended.clear();  // before anybody counted
    first_scan_ = false;
    return {};
  }

 private:
  // What a process had used when it was last seen.
  struct Known {
    int32_t pid = 0;
    uint64_t start_ns = 0;
    idlewatt_use use{};
    BootTime seen;
  };
  // The threads of one process, while they are read.
  struct Sum {
    uint64_t start_ns = 0;
    idlewatt_use live{};
    idlewatt_use ended{};
  };

  Result<void> Attach(const char* name, Link& link) {
    link.reset(bpf_program__attach(bpf_object__find_program_by_name(object_.get(), name)));
    if (!link) return BpfError(errno, std::string("program ") + name + " can't be attached");
    return {};
  }

  Result<void> ReadThreads(std::vector<Process>& processes) {
    const UniqueFd file(bpf_iter_create(bpf_link__fd(iterator_.get())));
    if (!file) return Error{ErrorCode::kTransient, "BPF", errno, "can't begin to list processes"};
    sums_.clear();
    strays_.clear();
    size_t count = 0;
    size_t left = 0;  // of a record that came in parts
    for (;;) {
      const ssize_t got = ::read(file.get(), buffer_.get() + left, kReadBytes - left);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got < 0) return Error{ErrorCode::kTransient, "BPF", errno, "can't list processes"};
      if (got == 0) break;
      left = TakeRecords(left + static_cast<size_t>(got), processes, count);
    }
    processes.resize(count);
    ReleaseSpare(processes);
    ReleaseSpare(sums_);
    // Numbers of threads may be below that of their process, once numbers begin anew.
    for (const idlewatt_thread& thread : strays_) AddThread(thread, processes, count);
    if (count == 0) return Error{ErrorCode::kNoData, "BPF", 0, "lists no process"};
    return {};
  }

  // Gives how many bytes at the end are not a whole record; they move to the front.
  size_t TakeRecords(size_t bytes, std::vector<Process>& processes, size_t& count) {
    const char* at = buffer_.get();
    while (bytes >= sizeof(idlewatt_thread)) {
      idlewatt_process record;
      std::memcpy(&record.head, at, sizeof record.head);
      const size_t size = record.head.bytes;
      if (size > bytes) break;
      if (size == sizeof record) {
        std::memcpy(&record, at, sizeof record);
        if (count == processes.size()) processes.emplace_back();
        TakeProcess(record, processes[count++]);
      } else if (!AddThread(record.head, processes, count)) {
        strays_.push_back(record.head);
      }
      at += size;
      bytes -= size;
    }
    std::memmove(buffer_.get(), at, bytes);
    return bytes;
  }

  void TakeProcess(const idlewatt_process& record, Process& process) {
    process.pid = static_cast<int32_t>(record.head.pid);
    process.parent = static_cast<int32_t>(record.parent);
    process.session = static_cast<int32_t>(record.session);
    process.threads = static_cast<int32_t>(record.threads);
    process.start = record.start_ns / start_unit_;
    process.comm.assign(record.comm, ::strnlen(record.comm, sizeof record.comm));
    process.state = StateLetter(record.state);
    process.is_kernel_thread = (record.flags & kKernelThread) != 0;
    process.memory_bytes = std::max<int64_t>(record.rss_pages, 0) * page_bytes_;
    sums_.push_back({record.start_ns, record.head.own, record.head.ended});
  }

  // False when its process was not read yet.
  bool AddThread(const idlewatt_thread& thread, const std::vector<Process>& processes,
                 size_t count) {
    const auto pid = static_cast<int32_t>(thread.pid);
    if (count == 0) return false;
    size_t index = count - 1;  // as a rule that of the record before
    if (processes[index].pid != pid) {
      const auto end = processes.begin() + static_cast<std::ptrdiff_t>(count);
      const auto it = std::lower_bound(processes.begin(), end, pid,
                                       [](const Process& p, int32_t id) { return p.pid < id; });
      if (it == end || it->pid != pid) return false;
      index = static_cast<size_t>(it - processes.begin());
    }
    Sum& sum = sums_[index];
    sum.live = sum.live + thread.own;
    // The first that was read: a thread that ended later is in `live` or missing, never in both.
    if (thread.ended.run_ns < sum.ended.run_ns) sum.ended = thread.ended;
    return true;
  }

  // Both lists are in the order of pids.
  void TakeUse(BootTime now, std::vector<Process>& processes) {
    next_.clear();
    auto before = known_.begin();
    const auto keep_gone = [&] {
      if (now - before->seen <= kWaitForEnd) next_.push_back(*before);
      ++before;
    };
    for (size_t i = 0; i < processes.size(); ++i) {
      Process& process = processes[i];
      const Sum& sum = sums_[i];
      while (before != known_.end() && before->pid < process.pid) keep_gone();
      idlewatt_use counted{};
      process.first_seen = true;
      while (before != known_.end() && before->pid == process.pid) {
        if (before->start_ns != sum.start_ns) {
          keep_gone();  // another process, whose number this one has now
          continue;
        }
        process.first_seen = false;
        counted = before->use;
        ++before;
      }
      const idlewatt_use whole = Highest(sum.live + sum.ended, counted);
      const idlewatt_use used = Growth(whole, counted);
      process.total = SplitTime(whole, whole);
      process.used = SplitTime(used, whole);
      next_.push_back({process.pid, sum.start_ns, whole, now});
    }
    while (before != known_.end()) keep_gone();
    known_.swap(next_);
    next_.clear();
    ReleaseSpare(known_);
    ReleaseSpare(next_);
  }

  // Takes what the hooks have kept; what is told once and for all is removed there.
  void TakeEnded(BootTime now, std::vector<EndedUse>& out) {
    ReadEnded();
    told_.clear();
    for (auto& [key, sum] : sums_of_ended_) sum.seen = false;
    for (size_t i = 0; i < ended_keys_.size(); ++i) {
      const idlewatt_ended_key& key = ended_keys_[i];
      const idlewatt_use& whole = ended_values_[i];
      const idlewatt_use used =
          key.pid != 0 ? GrowthAtEnd(now, key, whole) : GrowthOfSum(now, key, whole);
      if (used.run_ns == 0) continue;
      out.push_back({static_cast<int32_t>(key.pid), key.start_ns / start_unit_,
                     static_cast<int32_t>(key.ancestor), key.ancestor_start_ns / start_unit_,
                     static_cast<int32_t>(key.session), SplitTime(used, whole)});
    }
    std::erase_if(sums_of_ended_, [](const auto& item) { return !item.second.seen; });
    for (size_t i = 0; i < told_.size(); i += kBatch) {
      auto many = static_cast<uint32_t>(std::min<size_t>(kBatch, told_.size() - i));
      bpf_map_delete_batch(ended_map_, &told_[i], &many, nullptr);
    }
    ReleaseSpare(told_);
    TakeLost(out);
  }

  void ReadEnded() {
    ended_keys_.clear();
    ended_values_.clear();
    std::array<char, sizeof(idlewatt_ended_key)> at{};
    for (bool first = true;; first = false) {
      const size_t size = ended_keys_.size();
      ended_keys_.resize(size + kBatch);
      ended_values_.resize(size + kBatch);
      uint32_t many = kBatch;
      const int code =
          bpf_map_lookup_batch(ended_map_, first ? nullptr : at.data(), at.data(),
                               &ended_keys_[size], &ended_values_[size], &many, nullptr);
      const bool more = code == 0;
      if (!more && errno != ENOENT) many = 0;
      ended_keys_.resize(size + many);
      ended_values_.resize(size + many);
      if (!more) break;
    }
    ReleaseSpare(ended_keys_);
    ReleaseSpare(ended_values_);
  }

  idlewatt_use GrowthAtEnd(BootTime now, const idlewatt_ended_key& key, const idlewatt_use& whole) {
    told_.push_back(key);
    const auto pid = static_cast<int32_t>(key.pid);
    auto it = std::lower_bound(known_.begin(), known_.end(), pid,
                               [](const Known& known, int32_t id) { return known.pid < id; });
    while (it != known_.end() && it->pid == pid && it->start_ns != key.start_ns) ++it;
    if (it != known_.end() && it->pid == pid) {
      const idlewatt_use counted = std::exchange(it->use, Highest(it->use, whole));
      return Growth(whole, counted);
    }
    // Not known: born and ended between two scans, or gone for so long that nobody knows what was
    // counted of it.
    const BootTime start{std::chrono::nanoseconds(key.start_ns)};
    return now - start <= kWaitForEnd ? whole : idlewatt_use{};
  }

  idlewatt_use GrowthOfSum(BootTime now, const idlewatt_ended_key& key, const idlewatt_use& whole) {
    SumOfEnded& sum = sums_of_ended_[KeyBytes(key)];
    const idlewatt_use growth = Growth(whole, sum.counted);
    if (growth.run_ns > 0) sum.grew = now;
    sum.counted = whole;
    sum.seen = now - sum.grew <= kWaitForEnd;
    if (!sum.seen) told_.push_back(key);
    return growth;
  }

  void TakeLost(std::vector<EndedUse>& out) {
    const uint32_t first = 0;
    idlewatt_use lost{};
    if (bpf_map_lookup_elem(lost_map_, &first, &lost) != 0) return;
    const idlewatt_use growth = Growth(lost, std::exchange(lost_counted_, lost));
    if (growth.run_ns > 0) {
      out.push_back({0, 0, 0, 0, 0, SplitTime(growth, lost)});
    }
  }

  // A sum in the kernel, which only grows while it stays there.
  struct SumOfEnded {
    idlewatt_use counted{};
    BootTime grew;
    bool seen = false;
  };
  static std::string KeyBytes(const idlewatt_ended_key& key) {
    return {reinterpret_cast<const char*>(&key), sizeof key};
  }

  // The kernel may free a task, and tell of it, many seconds after its end.
  static constexpr std::chrono::seconds kWaitForEnd{60};

  Object object_;
  Link on_exit_;
  Link on_free_;
  Link iterator_;
  int ended_map_ = -1;
  int lost_map_ = -1;
  const uint64_t start_unit_ = 1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  const int64_t page_bytes_ = ::sysconf(_SC_PAGESIZE);

  std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(kReadBytes);
  std::vector<Sum> sums_;                // one for each process, in the same order
  std::vector<idlewatt_thread> strays_;  // read before their process
  std::vector<Known> known_;
  std::vector<Known> next_;
  std::vector<idlewatt_ended_key> ended_keys_;
  std::vector<idlewatt_use> ended_values_;
  std::vector<idlewatt_ended_key> told_;
  std::unordered_map<std::string, SumOfEnded> sums_of_ended_;
  idlewatt_use lost_counted_{};
  bool first_scan_ = true;
};

}  // namespace

Result<std::unique_ptr<ProcessBackend>> MakeBpfBackend() {
  auto backend = std::make_unique<BpfBackend>();
  RETURN_IF_ERROR(backend->Load());
  return std::unique_ptr<ProcessBackend>(std::move(backend));
}

}  // namespace idlewatt

#else

namespace idlewatt {

Result<std::unique_ptr<ProcessBackend>> MakeBpfBackend() {
  return Error{ErrorCode::kNoData, "BPF", 0, "this idlewatt was built without clang or libbpf"};
}

}  // namespace idlewatt

#endif
