#include "collector/series.h"

#include <cassert>

namespace idlewatt {
namespace {

// Metric name and label values with NUL between them; no label value holds a NUL.
template <typename Labels>
void AppendKey(const Metric& metric, const Labels& labels, std::string& key) {
  key.assign(metric.name);
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
  std::string out(metric->name);
  if (labels.empty()) return out;
  out += '{';
  for (size_t i = 0; i < labels.size(); ++i) {
    if (i > 0) out += ',';
    out += metric->labels.names[i];
    out += "=\"";
    for (const char c : labels[i]) {
      if (c == '\n') {
        out += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
    out += '"';
  }
  out += '}';
  return out;
}

SeriesId SeriesRegistry::Intern(const Metric& metric,
                                std::initializer_list<std::string_view> labels) {
  assert(labels.size() == metric.labels.size());
  const MutexLock lock(mutex_);
  AppendKey(metric, labels, key_);
  const auto [entry, added] = ids_.try_emplace(key_, next_id_);
  if (added) {
    auto series = std::make_shared<Series>();
    series->id = next_id_++;
    series->metric = &metric;
    series->labels.assign(labels.begin(), labels.end());
    series_.emplace(series->id, std::move(series));
  }
  return entry->second;
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
  AppendKey(*entry->second->metric, entry->second->labels, key_);
  ids_.erase(key_);
  series_.erase(entry);
}

size_t SeriesRegistry::size() const {
  const MutexLock lock(mutex_);
  return series_.size();
}

}  // namespace idlewatt
