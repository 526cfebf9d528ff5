#include "collector/series.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace idlewatt {
namespace {

// The address of the metric, then the label values with NUL between them; no label value holds a
// NUL. A series keeps its metric, so no address is used again while a key holds it.
template <typename Labels>
void MakeKey(const Metric& metric, const Labels& labels, std::string& key) {
  const Metric* const address = &metric;
  key.resize(sizeof address);
  std::memcpy(key.data(), &address, sizeof address);
  for (const auto& label : labels) {
    key += '\0';
    key += label;
  }
}

}  // namespace

std::string_view Series::Label(std::string_view name) const {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (metric->labels.names[i] == name) return labels[i];
  }
  return {};
}

std::string Series::ToString() const {
  std::string text;
  AppendTo(text);
  return text;
}

void Series::AppendTo(std::string& text) const {
  text += metric->name;
  if (labels.empty()) return;
  text += '{';
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) text += ',';
    text += metric->labels.names[i];
    text += "=\"";
    for (const char c : labels[i]) {
      if (c == '\n') {
        text += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') text += '\\';
      text += c;
    }
    text += '"';
  }
  text += '}';
}

SeriesId SeriesRegistry::Intern(const Metric& metric, std::span<const std::string_view> labels) {
  assert(labels.size() == metric.labels.size());
  const MutexLock lock(mutex_);
  MakeKey(metric, labels, key_);
  const auto [entry, added] = ids_.try_emplace(key_, next_id_);
  if (added) AddSeries(metric, labels, nullptr);
  return entry->second;
}

std::optional<SeriesId> SeriesRegistry::Intern(const std::shared_ptr<const Metric>& metric,
                                               std::span<const std::string_view> labels,
                                               size_t most) {
  assert(labels.size() == metric->labels.size());
  const MutexLock lock(mutex_);
  MakeKey(*metric, labels, key_);
  if (const auto entry = ids_.find(key_); entry != ids_.end()) return entry->second;
  if (series_.size() >= most) return std::nullopt;
  ids_.emplace(key_, next_id_);
  return AddSeries(*metric, labels, metric);
}

SeriesId SeriesRegistry::AddSeries(const Metric& metric, std::span<const std::string_view> labels,
                                   std::shared_ptr<const Metric> owner) {
  auto series = std::make_shared<Series>();
  series->id = next_id_++;
  series->metric = &metric;
  series->labels.assign(labels.begin(), labels.end());
  series->owner = std::move(owner);
  const SeriesId id = series->id;
  series_.emplace(id, std::move(series));
  return id;
}

std::shared_ptr<const Series> SeriesRegistry::Find(SeriesId id) const {
  const MutexLock lock(mutex_);
  const auto entry = series_.find(id);
  return entry == series_.end() ? nullptr : entry->second;
}

void SeriesRegistry::End(SeriesId id) {
  const MutexLock lock(mutex_);
  const auto entry = series_.find(id);
  if (entry == series_.end()) return;
  MakeKey(*entry->second->metric, entry->second->labels, key_);
  ids_.erase(key_);
  series_.erase(entry);
}

size_t SeriesRegistry::size() const {
  const MutexLock lock(mutex_);
  return series_.size();
}

}  // namespace idlewatt
