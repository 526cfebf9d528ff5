#include "collector/process/cgroup_cpu.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "collector/proc_text.h"

namespace idlewatt {
namespace {

bool IsWithin(std::string_view cgroup, std::string_view folder) {
  return cgroup.starts_with(folder) &&
         (cgroup.size() == folder.size() || cgroup[folder.size()] == '/');
}

// The deepest folder that holds both.
std::string_view Common(std::string_view a, std::string_view b) {
  while (!a.empty() && !IsWithin(b, a)) a = a.substr(0, a.rfind('/'));
  return a;
}

}  // namespace

CgroupCpu::CgroupCpu(const FileRoot& sys)
    : sys_(sys),
      hierarchy_(sys.Exists("fs/cgroup/cgroup.controllers") ? "fs/cgroup" : "fs/cgroup/unified") {}

void CgroupCpu::Assign(const std::vector<ServiceEntry*>& services,
                       const std::function<const std::string&(size_t)>& cgroup_of) {
  std::set<std::pair<std::string_view, const ServiceEntry*>> places;
  for (size_t i = 0; i < services.size(); ++i) places.emplace(cgroup_of(i), services[i]);
  std::map<const ServiceEntry*, std::string_view> folders;
  for (const auto& [cgroup, service] : places) {
    const auto [it, added] = folders.try_emplace(service, cgroup);
    if (!added) it->second = Common(it->second, cgroup);
  }
  std::map<const ServiceEntry*, Own> own;
  for (const auto& [service, folder] : folders) {
    if (folder.size() < 2) continue;  // the root is everybody's
    const bool shared =
        std::any_of(places.begin(), places.end(), [&, s = service, f = folder](const auto& place) {
          return place.second != s && IsWithin(place.first, f);
        });
    if (shared) continue;
    const auto before = own_.find(service);
    const bool same = before != own_.end() && before->second.cgroup == folder;
    own[service] = same ? before->second : Own{std::string(folder), std::nullopt, 0};
  }
  own_.swap(own);
}

std::optional<CpuTime> CgroupCpu::Used(const ServiceEntry& service) {
  const auto it = own_.find(&service);
  if (it == own_.end()) return std::nullopt;
  Own& own = it->second;
  const Result<std::string> text = sys_.Read(hierarchy_ + own.cgroup + "/cpu.stat");
  const Result<CgroupCpuStat> stat = text ? ParseCgroupCpuStat(*text) : text.error();
  if (!stat) {
    own.last.reset();
    return std::nullopt;
  }
  const CpuTime now{stat->user.Si(), stat->system.Si()};
  const std::optional<CpuTime> last = std::exchange(own.last, now);
  const bool joins = std::exchange(own.tick, tick_) + 1 == tick_;
  if (!last || !joins || now.user < last->user || now.system < last->system) return std::nullopt;
  return CpuTime{now.user - last->user, now.system - last->system};
}

}  // namespace idlewatt
