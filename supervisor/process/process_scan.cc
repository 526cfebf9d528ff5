#include "supervisor/process/process_scan.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "supervisor/process/spawner.h"

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

std::optional<ProcessInfo> ReadProcess(const FileRoot& proc, pid_t pid) {
  std::string stat;
  if (!proc.ReadInto(std::to_string(pid) + "/stat", stat)) return std::nullopt;
  const Result<ProcessInfo> process = ParseStat(stat);
  return process ? std::optional(*process) : std::nullopt;
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

std::vector<ProcessInfo> ProcessScan::MembersOf(const RunScope& scope,
                                                const KnownMembers& known) const {
  const pid_t self = ::getpid();
  const auto entry = index_.find(scope.root);
  const bool owns_number =
      entry != index_.end() && processes_[entry->second].start_ticks == scope.root_start_ticks;
  const auto is_below_root = [&](const ProcessInfo& p) {
    return owns_number &&
           (p.session == scope.root || p.group == scope.root || Descends(p.pid, scope.root));
  };
  std::vector<ProcessInfo> members;
  for (const ProcessInfo& p : processes_) {
    if (p.pid == scope.root || p.pid == self || !p.IsAlive()) continue;
    if (is_below_root(p) || StillKnown(p.pid, known) || StillKnown(p.parent, known) ||
        StillKnown(p.session, known) ||
        ((scope.adopted || Descends(p.pid, self)) && HasMarker(p.pid, scope.marker))) {
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

std::vector<ProcessScan::Left> ProcessScan::FindLeft(const std::string& data_dir) const {
  const pid_t self = ::getpid();
  std::vector<Left> left;
  for (const ProcessInfo& p : processes_) {
    if (p.pid == self || !p.IsAlive() || Variable(p.pid, kDataDirVariable) != data_dir) continue;
    if (Descends(p.pid, self)) continue;
    if (const auto service = Variable(p.pid, kServiceVariable)) left.push_back({*service, p});
  }
  return left;
}

bool ProcessScan::HasMarker(pid_t pid, const ServiceMarker& marker) const {
  return Variable(pid, kRunVariable) == marker.run &&
         Variable(pid, kServiceVariable) == marker.service &&
         Variable(pid, kDataDirVariable) == marker.data_dir;
}

std::optional<std::string> ProcessScan::Variable(pid_t pid, std::string_view variable) const {
  // Not to be read: it ended, or is of a user whose processes we do not start.
  const Result<std::string> environment = proc_.Read(std::to_string(pid) + "/environ");
  if (!environment) return std::nullopt;
  for (const std::string_view entry : Split(*environment, '\0')) {
    if (entry.size() > variable.size() && entry.starts_with(variable) &&
        entry[variable.size()] == '=') {
      return std::string(entry.substr(variable.size() + 1));
    }
  }
  return std::nullopt;
}

}  // namespace idlewatt
