#include "exporters/prometheus_exporter.h"

#include <prometheus/text_serializer.h>

#include "exporters/version.h"

namespace idlewatt {
namespace {

prometheus::MetricFamily FamilyOf(const Metric& metric) {
  prometheus::MetricFamily family;
  family.name = metric.name;
  family.help = metric.help;
  family.type = metric.kind == MetricKind::kCounter ? prometheus::MetricType::Counter
                                                    : prometheus::MetricType::Gauge;
  return family;
}

prometheus::ClientMetric ClientMetricOf(const SnapshotValue& value) {
  prometheus::ClientMetric client;
  const Series& series = *value.series;
  client.label.reserve(series.labels.size());
  for (size_t i = 0; i < series.labels.size(); ++i) {
    client.label.push_back({std::string(series.metric->labels.names[i]), series.labels[i]});
  }
  if (series.metric->kind == MetricKind::kCounter) {
    client.counter.value = value.value;
  } else {
    client.gauge.value = value.value;
  }
  return client;
}

}  // namespace

std::vector<prometheus::MetricFamily> SnapshotCollectable::Collect() const {
  const std::shared_ptr<const Snapshot> snapshot = slot_.Get();
  std::vector<prometheus::MetricFamily> families;
  prometheus::ClientMetric build;
  build.label.push_back({"version", std::string(kVersion)});
  build.gauge.value = 1;
  families.push_back(FamilyOf(kBuildInfo));
  families.back().metric.push_back(std::move(build));
  for (const SnapshotValue& value : snapshot->values) {  // sorted by name
    const Metric& metric = *value.series->metric;
    if (families.back().name != metric.name) families.push_back(FamilyOf(metric));
    families.back().metric.push_back(ClientMetricOf(value));
  }
  return families;
}

std::string RenderMetrics(const prometheus::Collectable& collectable) {
  return prometheus::TextSerializer().Serialize(collectable.Collect());
}

}  // namespace idlewatt
