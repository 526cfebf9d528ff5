#include "supervisor/process_scan.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "supervisor/spawner.h"

namespace idlewatt {

Result<ProcessInfo> ParseStat(std::string_view stat) {
  const Error bad{ErrorCode::kParse, "stat", 0, std::string(stat.substr(0, 80))};
  // comm may hold blanks and ')': the fields go on after the last one.
  const size_t comm = stat.find(" (");
  const size_t comm_end = stat.rfind(')');
  if (comm == std::string_view::npos || comm_end == std::string_view::npos) return bad;
  const auto pid = ParseNumber<pid_t>(stat.substr(0, comm));

  std::string_view rest = stat.substr(comm_end + 1);
  std::array<std::string_view, 20> fields;  // number 3, state, to number 22, starttime
  for (std::string_view& field : fields) field = NextField(rest);
  const auto parent = ParseNumber<pid_t>(fields[1]);
  const auto group = ParseNumber<pid_t>(fields[2]);
  const auto session = ParseNumber<pid_t>(fields[3]);
  const auto threads = ParseNumber<int>(fields[17]);
  const auto start = ParseNumber<uint64_t>(Trim(fields[19]));
  if (!pid || fields[0].size() != 1 || !parent || !group || !session || !threads || !start) {
    return bad;
  }
  return ProcessInfo{*pid, *parent, *group, *session, fields[0][0], *threads, *start};
}

ProcessScan::ProcessScan(const FileRoot& proc) : proc_(proc) {
  const Result<std::vector<std::string>> names = proc.List(".");
  if (!names) return;
  std::string text;
  for (const std::string& name : *names) {
    if (!ParseNumber<pid_t>(name) || !proc.ReadInto(name + "/stat", text)) continue;
    const Result<ProcessInfo> process = ParseStat(text);
    if (!process) continue;
    index_[process->pid] = processes_.size();
    processes_.push_back(*process);
  }
}

bool ProcessScan::Descends(pid_t pid, pid_t ancestor) const {
  // Bounded: parents that changed during the scan could form a ring.
  for (size_t step = 0; step <= index_.size(); ++step) {
    const auto it = index_.find(pid);
    if (it == index_.end()) return false;
    pid = processes_[it->second].parent;
    if (pid == ancestor) return true;
  }
  return false;
}

std::vector<ProcessInfo> ProcessScan::MembersOf(pid_t root, const ServiceMarker& marker,
                                                const KnownMembers& known) const {
  const pid_t self = ::getpid();
  std::vector<ProcessInfo> members;
  for (const ProcessInfo& p : processes_) {
    if (p.pid == root || p.pid == self || !p.IsAlive()) continue;
    if (p.session == root || p.group == root || Descends(p.pid, root) || StillKnown(p.pid, known) ||
        StillKnown(p.parent, known) || StillKnown(p.session, known) ||
        (Descends(p.pid, self) && HasMarker(p.pid, marker))) {
      members.push_back(p);
    }
  }
  return members;
}

// Is `pid` of a known member, and not of a stranger who got its number since? A member that has
// ended still counts: its number stays taken while its session has processes.
bool ProcessScan::StillKnown(pid_t pid, const KnownMembers& known) const {
  const auto member = known.find(pid);
  if (member == known.end()) return false;
  const auto now = index_.find(pid);
  return now == index_.end() || processes_[now->second].start_ticks == member->second;
}

std::optional<pid_t> ProcessScan::FindEarlierRun(const ServiceMarker& marker) const {
  const pid_t self = ::getpid();
  const auto found = std::ranges::find_if(processes_, [&](const ProcessInfo& p) {
    return p.pid != self && p.IsAlive() && !Descends(p.pid, self) && HasMarker(p.pid, marker);
  });
  if (found == processes_.end()) return std::nullopt;
  return found->pid;
}

bool ProcessScan::HasMarker(pid_t pid, const ServiceMarker& marker) const {
  const Result<std::string> environment = proc_.Read(std::to_string(pid) + "/environ");
  if (!environment) return false;  // ended, or of a user whose processes we do not start
  const std::string service = std::string(kServiceVariable) + "=" + marker.service;
  const std::string data_dir = std::string(kDataDirVariable) + "=" + marker.data_dir;
  bool has_service = false;
  bool has_data_dir = false;
  for (const std::string_view entry : Split(*environment, '\0')) {
    has_service |= entry == service;
    has_data_dir |= entry == data_dir;
  }
  return has_service && has_data_dir;
}

}  // namespace idlewatt
