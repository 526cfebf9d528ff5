// Parsers of the text that /proc gives. Pure functions; every one is a fuzz target.
// Errors: kParse with the offending text; never a crash, never a made-up number.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace idlewatt {

// /proc/PID/stat, the fields we use (proc(5)). Times in clock ticks.
struct PidStat {
  int32_t pid = 0;
  std::string comm;  // as the kernel gives it: any byte, also blanks, newlines and ')'
  char state = '?';
  int32_t parent = 0;
  int32_t session = 0;
  uint32_t flags = 0;
  uint64_t user = 0;
  uint64_t system = 0;
  // Of the children waited for. The kernel keeps them unsigned, prints them signed: a negative
  // number is nonsense from an overflow and read as 0.
  uint64_t children_user = 0;
  uint64_t children_system = 0;
  int32_t threads = 0;
  uint64_t start = 0;
  int64_t rss_pages = 0;

  bool IsKernelThread() const { return (flags & 0x00200000) != 0; }  // PF_KTHREAD
  bool IsZombie() const { return state == 'Z' || state == 'X'; }
};
// Fills `stat`, whose comm keeps its capacity; its content is lost on failure.
Result<void> ParsePidStat(std::string_view text, PidStat& stat);

// The "cpu" line of /proc/stat: ticks by mode, in the order of kCpuModes. Old kernels give fewer
// columns; those are absent. Guest time is part of user and nice and not listed.
inline constexpr std::array<std::string_view, 8> kCpuModes{"user",   "nice", "system",  "idle",
                                                           "iowait", "irq",  "softirq", "steal"};
Result<std::vector<uint64_t>> ParseHostCpu(std::string_view text);

// Bytes of one line of /proc/meminfo ("MemTotal"); nothing when it is not there.
std::optional<double> MeminfoBytes(std::string_view text, std::string_view key);

// Lines of /proc/pressure/*: ("some" or "full", total stall time).
Result<std::vector<std::pair<std::string, Microseconds>>> ParsePressure(std::string_view text);

// The cgroup path of a process: the v2 line ("0::") unless it is the root, else the v1 systemd
// hierarchy. "/" when there is neither.
std::string ParseCgroup(std::string_view text);

// The name under which a process is grouped when nobody named it: container
// ("docker-0123456789ab"), systemd unit ("nginx.service"), nothing for sessions and plain slices.
std::optional<std::string> CgroupGroup(std::string_view cgroup);

// user_usec and system_usec of cpu.stat of a cgroup.
struct CgroupCpuStat {
  Microseconds user;
  Microseconds system;
};
Result<CgroupCpuStat> ParseCgroupCpuStat(std::string_view text);

// read_bytes and write_bytes of /proc/PID/io.
struct PidIo {
  uint64_t read_bytes = 0;
  uint64_t write_bytes = 0;
};
Result<PidIo> ParsePidIo(std::string_view text);

// A listening socket of /proc/net/tcp or tcp6.
struct TcpListener {
  uint16_t port = 0;
  uint64_t inode = 0;  // as the links in PID/fd show it: "socket:[123]"
};
// Rows that listen; a row that makes no sense is left out.
std::vector<TcpListener> ParseTcpListeners(std::string_view text);

}  // namespace idlewatt
