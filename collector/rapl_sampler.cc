#include "collector/rapl_sampler.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr std::array<const Metric*, 2> kMetrics{&metrics::kEnergyJoules,
                                                &metrics::kEnergyCounterResets};

constexpr std::string_view kClass = "class/powercap";
// No zone draws more; what would need more to be explained by a wrap is a reset.
constexpr double kMaxWatts = 2000;

bool IsZoneName(std::string_view name) {
  return name.starts_with("intel-rapl") && name.find(':') != std::string_view::npos;
}

}  // namespace

const SamplerInfo& RaplSampler::Info() {
  static constexpr SamplerInfo kInfo{"rapl", "Energy counters of CPU packages and memory (RAPL)",
                                     false, kMetrics};
  return kInfo;
}

Result<void> RaplSampler::Read(TimePoint now, Readings& out) {
  if (look_for_zones_) FindZones();
  if (zones_.empty()) {
    return Error{ErrorCode::kNoData, sys_.PathOf(kClass), 0, "has no RAPL zone"};
  }
  std::vector<std::pair<const Zone*, Error>> refused;
  std::string gives;
  for (Zone& zone : zones_) {
    const Result<int64_t> energy = sys_.ReadInt(zone.path + "/energy_uj");
    if (!energy) {
      refused.emplace_back(&zone, energy.error());
      // A zone that comes back may count from anywhere.
      if (energy.error().code == ErrorCode::kGone) zone.last.reset();
      continue;
    }
    // After a reset there is no value for once, so that nobody takes the interval for one of 0 W.
    if (Account(zone, Microjoules{*energy}, now.boot)) {
      out.Add(metrics::kEnergyJoules, {"rapl", zone.domain}, zone.joules);
    }
    out.Add(metrics::kEnergyCounterResets, {"rapl", zone.domain}, static_cast<double>(zone.resets));
    gives += (gives.empty() ? "" : ", ") + zone.domain;
  }
  if (refused.size() == zones_.size()) {
    const Error& error = refused.back().second;
    if (error.code == ErrorCode::kGone) look_for_zones_ = true;  // the driver was unloaded
    const bool permission = error.code == ErrorCode::kPermission;
    out.AddRefused(
        "rapl", "energy of CPU packages", error,
        permission ? "run as root, or: setcap cap_dac_read_search+ep $(command -v idlewatt)" : "");
    return error;
  }
  for (auto& [zone, error] : refused) {
    out.AddRefused("rapl:" + zone->domain, "energy", std::move(error));
  }
  out.AddSource("rapl", "energy of " + gives);
  return {};
}

// Finds the zones; one that was known before keeps its counters.
void RaplSampler::FindZones() {
  const std::vector<Zone> before = std::exchange(zones_, {});
  auto names = sys_.List(kClass).value_or(std::vector<std::string>());
  // What MMIO shows again is taken only where the registers do not show it.
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) {
    return !name.starts_with("intel-rapl-mmio");
  });
  for (const std::string& name : names) {
    if (name.starts_with("intel-rapl")) AddZonesBelow(std::string(kClass) + "/" + name, "");
  }
  NumberSubZones();
  look_for_zones_ = zones_.empty();
  if (zones_.empty()) zones_ = before;
  for (Zone& zone : zones_) {
    const auto known = std::find_if(before.begin(), before.end(),
                                    [&](const Zone& z) { return z.domain == zone.domain; });
    if (known == before.end()) continue;
    zone.joules = known->joules;
    zone.resets = known->resets;
  }
}

// Adds the zone in `folder`, if it is one, and those nested in it. A zone may be met twice: flat
// in the class folder and nested in its parent's.
void RaplSampler::AddZonesBelow(const std::string& folder, const std::string& parent_domain) {
  const std::string leaf = folder.substr(folder.rfind('/') + 1);
  std::string domain = parent_domain;
  if (IsZoneName(leaf)) {
    const Result<std::string> name = sys_.Read(folder + "/name");
    if (!name || !sys_.Exists(folder + "/energy_uj")) return;
    domain = ToValidUtf8(Trim(*name));
    // "intel-rapl:0:0" met flat: its parent "intel-rapl:0" says which package it is part of.
    std::string parent = parent_domain;
    const size_t colon = leaf.rfind(':');
    if (parent.empty() && colon != leaf.find(':')) {
      const std::string parent_folder =
          folder.substr(0, folder.rfind('/') + 1) + leaf.substr(0, colon);
      const Result<std::string> parent_name = sys_.Read(parent_folder + "/name");
      if (parent_name) parent = ToValidUtf8(Trim(*parent_name));
    }
    if (!parent.empty()) domain = parent + "/" + domain;
    // The same package through MMIO, or a zone met before: it would count twice.
    const bool known = std::any_of(zones_.begin(), zones_.end(),
                                   [&](const Zone& zone) { return zone.domain == domain; });
    if (!known) {
      Zone zone{folder, domain, std::nullopt, std::nullopt, BootTime(), 0, 0};
      const Result<int64_t> range = sys_.ReadInt(folder + "/max_energy_range_uj");
      if (range && *range > 0) zone.range = Microjoules{*range};
      zones_.push_back(std::move(zone));
    }
  }
  const auto children = sys_.List(folder);
  for (const std::string& child : children.value_or(std::vector<std::string>())) {
    const std::string below = folder + "/" + child;
    if (IsZoneName(child)) AddZonesBelow(below, IsZoneName(leaf) ? domain : "");
  }
}

// "package-1/dram" becomes "dram" when it is the only one, else "dram-1"; that of
// "package-1-die-0" becomes "dram-1-die-0".
void RaplSampler::NumberSubZones() {
  std::map<std::string, int> uses;
  for (const Zone& zone : zones_) ++uses[zone.domain.substr(zone.domain.rfind('/') + 1)];
  for (Zone& zone : zones_) {
    const size_t slash = zone.domain.rfind('/');
    if (slash == std::string::npos) continue;
    std::string name = zone.domain.substr(slash + 1);
    const std::string package = zone.domain.substr(0, slash);
    if (uses[name] > 1) name += package.substr(std::min(package.find('-'), package.size()));
    zone.domain = name;
  }
}

bool RaplSampler::Account(Zone& zone, Microjoules value, BootTime now) {
  const std::optional<Microjoules> last = std::exchange(zone.last, value);
  const double most_joules = kMaxWatts * ToSeconds(now - std::exchange(zone.last_time, now));
  if (!last) return true;
  if (value >= *last) {
    zone.joules += Microjoules{value.raw - last->raw}.Si();
    return true;
  }
  // Over a pause in which the counter may have wrapped more than once nothing is known.
  const double range = zone.range ? zone.range->Si() : 0;
  const double wrapped = value.Si() + range - last->Si();
  const bool is_wrap = range > 0 && most_joules < range && wrapped >= 0 && wrapped <= most_joules;
  if (is_wrap) {
    zone.joules += wrapped;
  } else {
    ++zone.resets;
  }
  return is_wrap;
}

}  // namespace idlewatt
