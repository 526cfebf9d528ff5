#include "collector/snapshot.h"

#include <algorithm>

namespace idlewatt {
namespace {

constexpr std::chrono::hours kEndAfter{1};
constexpr int kStalePeriods = 3;

bool SeriesLess(const Series& a, const Series& b) {
  if (a.metric->name != b.metric->name) return a.metric->name < b.metric->name;
  if (a.labels != b.labels) return a.labels < b.labels;
  return a.id < b.id;  // two metrics of one name, with other label names
}

}  // namespace

std::optional<double> SnapshotValue::Increase() const {
  if (!previous || value < previous->value || time.boot <= previous->boot) return std::nullopt;
  return value - previous->value;
}

std::optional<double> SnapshotValue::Rate() const {
  const std::optional<double> increase = Increase();
  if (!increase || read <= previous->read) return std::nullopt;
  return *increase / ToSeconds(read - previous->read);
}

std::span<const SnapshotValue> Snapshot::Family(std::string_view metric) const {
  // Not std::ranges::equal_range: clang 14 cannot compile libstdc++ 12's.
  const auto name = [](const SnapshotValue& value) { return value.series->metric->name; };
  const auto first = std::partition_point(values.begin(), values.end(),
                                          [&](const auto& value) { return name(value) < metric; });
  const auto last = std::partition_point(first, values.end(),
                                         [&](const auto& value) { return name(value) == metric; });
  return {first, last};
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

void SnapshotBuilder::Take(const Sample& sample, const Owner& owner, const TimePoint& now,
                           BootTime read) {
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
    entry.value.previous = {entry.value.value, entry.value.time.boot, entry.value.read};
  }
  entry.live = true;
  entry.owner = &owner;
  entry.value.value = sample.value;
  entry.value.time = now;
  entry.value.read = read;
}

void SnapshotBuilder::DropAbsent(const TimePoint& now) {
  for (auto& [id, entry] : entries_) {
    const Owner& owner = *entry.owner;
    const BootTime time = entry.value.time.boot;
    const bool is_stale = owner.failing && time + kStalePeriods * owner.period < now.boot;
    if (!entry.live || (time >= owner.read && !is_stale)) continue;
    entry.live = false;
    order_stale_ = true;
  }
  std::erase_if(entries_, [&](const auto& item) {
    const auto& [id, entry] = item;
    if (entry.live || entry.value.time.boot + kEndAfter > now.boot) return false;
    registry_.End(id);
    return true;
  });
}

void SnapshotBuilder::Apply(const Frame& frame, size_t first_run) {
  using Outcome = SamplerRun::Outcome;
  for (size_t r = first_run; r < frame.runs.size(); ++r) {
    const SamplerRun& run = frame.runs[r];
    if (run.outcome == Outcome::kNotDue) continue;
    Owner& owner = owners_[run.info];
    owner.failing = run.outcome != Outcome::kOk;
    owner.period = run.period;
    if (!owner.failing) owner.read = frame.begin.boot;
    for (size_t i = run.first; i < run.first + run.count; ++i) {
      Take(frame.samples[i], owner, frame.begin, frame.begin.boot - run.late);
    }
  }
  DropAbsent(frame.begin);
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
