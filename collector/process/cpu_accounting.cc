#include "collector/process/cpu_accounting.h"

#include <algorithm>

namespace idlewatt {
namespace {

CpuTime operator+(const CpuTime& a, const CpuTime& b) {
  return {a.user + b.user, a.system + b.system};
}

// a - b, each part at least 0.
CpuTime Beyond(const CpuTime& a, const CpuTime& b) {
  return {std::max(0.0, a.user - b.user), std::max(0.0, a.system - b.system)};
}

CpuTime Smaller(const CpuTime& a, const CpuTime& b) {
  return {std::min(a.user, b.user), std::min(a.system, b.system)};
}

// Before the first scan a process may have run for years on many CPUs. What the kernel makes of a
// negative number of nanoseconds is larger (584 years), and so is INT64_MAX in ticks.
constexpr double kMostAtFirst = 1e10;

// Longer chains of parents exist only in a damaged scan.
constexpr int kMaxDepth = 256;

}  // namespace

CpuTime CpuAccounting::Own(const PidStat& stat) const {
  return {static_cast<double>(stat.user) / options_.ticks_per_second,
          static_cast<double>(stat.system) / options_.ticks_per_second};
}

CpuTime CpuAccounting::Children(const PidStat& stat) const {
  return {static_cast<double>(stat.children_user) / options_.ticks_per_second,
          static_cast<double>(stat.children_system) / options_.ticks_per_second};
}

CpuTime CpuAccounting::AtMost(CpuTime time, double most) {
  if (time.Total() <= most) return time;
  ++nonsense_;
  return {};
}

CpuAccounting::Outcome CpuAccounting::Account(BootTime now, const std::vector<PidStat>& scan,
                                              std::span<const EndedRoot> ended) {
  // The scan takes time and ticks are coarse: half a second of slack.
  const double most =
      first_scan_ ? kMostAtFirst : (ToSeconds(now - last_scan_) + 0.5) * options_.cpus;
  MarkSeen(scan);
  const Counted counted = CollectGone();
  Outcome outcome;
  outcome.processes.reserve(scan.size());
  for (const PidStat& stat : scan) {
    const auto [it, first_seen] = known_.try_emplace(stat.pid);
    if (!first_seen) {
      outcome.processes.push_back({Used(stat, it->second, counted, most), false});
      continue;
    }
    const CpuTime children = InheritsChildren(stat.pid) ? CpuTime{} : Children(stat);
    const CpuTime whole = Own(stat) + children;
    outcome.processes.push_back({AtMost(whole, most), true});
    it->second = {stat.start, stat.parent, Own(stat), Children(stat), {}, true};
  }
  for (const EndedRoot& root : ended) {
    CpuTime used{root.user_seconds, root.system_seconds};
    const auto gone = gone_children_.find(root.pid);
    if (gone != gone_children_.end()) {
      used = Beyond(used, gone->second.counted);
      gone_children_.erase(gone);
    }
    outcome.ended.push_back(AtMost(used, most));
  }
  last_scan_ = now;
  first_scan_ = false;
  return outcome;
}

void CpuAccounting::MarkSeen(const std::vector<PidStat>& scan) {
  for (auto& [pid, known] : known_) known.seen = false;
  for (const PidStat& stat : scan) {
    const auto it = known_.find(stat.pid);
    if (it != known_.end() && it->second.start == stat.start) it->second.seen = true;
  }
}

CpuTime CpuAccounting::Used(const PidStat& stat, Known& known, const Counted& counted,
                            double most) {
  CpuTime used = AtMost(Beyond(Own(stat), known.own), most);
  if (!InheritsChildren(stat.pid)) {
    const CpuTime growth = Beyond(Children(stat), known.children);
    const auto gone = counted.find(stat.pid);
    const CpuTime by_gone = gone == counted.end() ? CpuTime{} : gone->second;
    const CpuTime known_before = by_gone + known.early;
    known.early = Smaller(Beyond(known_before, growth), by_gone);
    used = used + AtMost(Beyond(growth, known_before), most);
  }
  known.parent = stat.parent;
  known.own = Own(stat);
  known.children = Children(stat);
  return used;
}

// The nearest ancestor that still lives, whose cutime has grown by what `gone` used; or a gone
// child of ours on the way there, whose total the supervisor will tell.
int32_t CpuAccounting::ReaperOf(const Known& gone) const {
  int32_t ancestor = gone.parent;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const auto it = known_.find(ancestor);
    if (it == known_.end() || it->second.seen || it->second.parent == options_.self_pid) break;
    ancestor = it->second.parent;
  }
  return ancestor;
}

// Forgets the processes that are gone.
CpuAccounting::Counted CpuAccounting::CollectGone() {
  for (auto& [pid, child] : gone_children_) ++child.scans;
  std::erase_if(gone_children_, [](const auto& item) { return item.second.scans > 2; });
  Counted counted;
  for (const auto& [pid, known] : known_) {
    if (known.seen) continue;
    const CpuTime total = known.own + known.children;
    const int32_t reaper = known.parent == options_.self_pid ? pid : ReaperOf(known);
    counted[reaper] = counted[reaper] + total;
  }
  std::erase_if(known_, [&](const auto& item) {
    const auto& [pid, known] = item;
    if (known.seen) return false;
    if (known.parent == options_.self_pid) gone_children_[pid] = {counted[pid], 0};
    return true;
  });
  return counted;
}

}  // namespace idlewatt
