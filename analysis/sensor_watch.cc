#include "analysis/sensor_watch.h"

#include <algorithm>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

// Derived here, and told elsewhere; files of users come and go.
bool IsWatched(const std::string& source) {
  return source != "model" && source != "thermal_pressure" && !source.starts_with("textfile");
}

}  // namespace

void SensorWatch::Update(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  for (const auto& [source, time] : past_) {
    if (IsWatched(source)) read_[source] = now - (snapshot.time.wall - time);
  }
  past_.clear();
  for (const SnapshotValue& available : snapshot.Family(metrics::kSourceAvailable)) {
    const std::string& source = available.series->labels[0];
    if (available.value != 1 || !IsWatched(source)) continue;
    const auto it = read_.find(source);
    if (it != read_.end()) {
      it->second = now;
    } else {
      read_.emplace(source, now);
    }
  }
  size_t count = 0;
  for (auto it = read_.begin(); it != read_.end();) {
    if (it->second + kForgetAfter <= now) {
      it = read_.erase(it);
      continue;
    }
    if (it->second != now) {
      if (count == lost_.size()) lost_.emplace_back();
      lost_[count++] = it->first;
    }
    ++it;
  }
  lost_.resize(count);
}

}  // namespace idlewatt
