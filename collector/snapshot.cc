#include "collector/snapshot.h"

#include <algorithm>

namespace idlewatt {
namespace {

constexpr std::chrono::hours kEndAfter{1};
constexpr int kStalePeriods = 3;

bool SeriesLess(const Series& a, const Series& b) {
  if (a.metric->name != b.metric->name) return a.metric->name < b.metric->name;
  return a.labels < b.labels;
}

}  // namespace

std::optional<double> SnapshotValue::Increase() const {
  if (!previous || value < previous->value || time.boot <= previous->boot) return std::nullopt;
  return value - previous->value;
}

std::optional<double> SnapshotValue::Rate() const {
  const std::optional<double> increase = Increase();
  if (!increase) return std::nullopt;
  return *increase / ToSeconds(time.boot - previous->boot);
}

std::span<const SnapshotValue> Snapshot::Family(std::string_view metric) const {
  const auto name = [](const SnapshotValue& value) { return value.series->metric->name; };
  const auto range = std::ranges::equal_range(values, metric, std::ranges::less(), name);
  return {range.begin(), range.end()};
}

const SnapshotValue* Snapshot::Find(const Metric& metric,
                                    std::initializer_list<std::string_view> labels) const {
  for (const SnapshotValue& value : Family(metric)) {
    if (std::equal(labels.begin(), labels.end(), value.series->labels.begin(),
                   value.series->labels.end())) {
      return &value;
    }
  }
  return nullptr;
}

void SnapshotBuilder::Take(const Sample& sample, const SamplerInfo* owner, const TimePoint& now) {
  auto [it, added] = entries_.try_emplace(sample.series);
  Entry& entry = it->second;
  if (added) {
    entry.value.series = registry_.Find(sample.series);
    if (!entry.value.series) {  // ended while the sampler held its id
      entries_.erase(it);
      return;
    }
  }
  if (!entry.live) {
    order_stale_ = true;
    entry.value.previous.reset();  // a gap: no rate across it
  } else {
    entry.value.previous = {entry.value.value, entry.value.time.boot};
  }
  entry.live = true;
  entry.owner = owner;
  entry.value.value = sample.value;
  entry.value.time = now;
}

void SnapshotBuilder::DropAbsent(const SamplerRun& run, const TimePoint& now) {
  using Outcome = SamplerRun::Outcome;
  if (run.outcome == Outcome::kNotDue) return;
  const auto keep =
      run.outcome == Outcome::kOk ? std::chrono::nanoseconds(0) : kStalePeriods * run.period;
  for (auto& [id, entry] : entries_) {
    if (entry.owner != run.info || !entry.live || entry.value.time.boot + keep >= now.boot)
      continue;
    entry.live = false;
    order_stale_ = true;
  }
}

void SnapshotBuilder::EndLongAbsent(const TimePoint& now) {
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    if (entry.live || entry.value.time.boot + kEndAfter > now.boot) return false;
    registry_.End(item.first);
    return true;
  });
}

void SnapshotBuilder::Apply(const Frame& frame, size_t first_run) {
  for (size_t r = first_run; r < frame.runs.size(); ++r) {
    const SamplerRun& run = frame.runs[r];
    for (size_t i = run.first; i < run.first + run.count; ++i) {
      Take(frame.samples[i], run.info, frame.begin);
    }
    DropAbsent(run, frame.begin);
  }
  EndLongAbsent(frame.begin);
  current_.time = frame.begin;
  current_.runs = frame.runs;
  current_.sources = frame.sources;
  current_.processes = frame.processes;
}

const Snapshot& SnapshotBuilder::Current() {
  if (order_stale_) {
    order_.clear();
    for (const auto& [id, entry] : entries_) {
      if (entry.live) order_.push_back(id);
    }
    std::sort(order_.begin(), order_.end(), [this](SeriesId a, SeriesId b) {
      return SeriesLess(*entries_.at(a).value.series, *entries_.at(b).value.series);
    });
    order_stale_ = false;
  }
  current_.values.clear();
  current_.values.reserve(order_.size());
  for (const SeriesId id : order_) current_.values.push_back(entries_.at(id).value);
  return current_;
}

}  // namespace idlewatt
