#include "app/reference.h"

#include <map>
#include <vector>

#include "analysis/analyzer.h"
#include "collector/sampler_table.h"
#include "collector/sampling_loop.h"
#include "exporters/prometheus_exporter.h"
#include "storage/storage_sampler.h"
#include "supervisor/service_sampler.h"

namespace idlewatt {
namespace {

// A histogram is shown once, as its count, which has the labels of the whole.
bool IsShown(const Metric& metric) {
  return metric.histogram.empty() || metric.name.ends_with("_count");
}

std::string_view NameOf(const Metric& metric) {
  return metric.histogram.empty() ? metric.name : metric.histogram;
}

std::string_view KindOf(const Metric& metric) {
  if (!metric.histogram.empty()) return "histogram";
  return metric.kind == MetricKind::kCounter ? "counter" : "gauge";
}

std::string LabelList(const LabelNames& labels) {
  std::string out;
  for (size_t i = 0; i < labels.size(); ++i) {
    out += (i == 0 ? "`" : ", `") + std::string(labels.names[i]) + "`";
  }
  return out;
}

std::string Row(const Metric& metric, const std::string& from) {
  return "| `" + std::string(NameOf(metric)) + "` | " + std::string(KindOf(metric)) + " | " +
         LabelList(metric.labels) + " | " + std::string(metric.help) + " | " + from + " |\n";
}

}  // namespace

std::vector<const SamplerInfo*> AllSamplerInfos() {
  std::vector<const SamplerInfo*> infos;
  for (const SamplerRow& row : SamplerTable()) infos.push_back(&row.info());
  for (const SamplerInfo* info : {&ServiceSampler::kInfo, &StorageSampler::Info(),
                                  &SamplingLoop::Info(), &Analyzer::Info()}) {
    infos.push_back(info);
  }
  return infos;
}

std::string MetricsPage() {
  std::string page =
      "# Metrics\n\n"
      "What `/metrics` and `/api/v1/range` give. This page is generated from the tables of the\n"
      "samplers: `tools/check` tells when it is stale and how to renew it.\n\n"
      "Values that are estimated and not measured carry `source=\"model\"`. A value that is not\n"
      "known is absent, never 0.\n\n"
      "Of a histogram `/api/v1/range` gives the counters `NAME_bucket`, with the label `le`,\n"
      "`NAME_sum` and `NAME_count`.\n\n"
      "| sampler | reads |\n|---|---|\n";
  std::map<std::string_view, std::pair<const Metric*, std::string>> metrics;
  for (const SamplerInfo* info : AllSamplerInfos()) {
    page += "| `" + std::string(info->name) + "` | " + std::string(info->help) + " |\n";
    for (const Metric* metric : info->metrics) {
      if (!IsShown(*metric)) continue;
      auto& [known, from] = metrics[NameOf(*metric)];
      known = metric;
      from += (from.empty() ? "" : ", ") + std::string(info->name);
    }
  }
  metrics[kBuildInfo.name] = {&kBuildInfo, "daemon"};
  page += "\n| metric | kind | labels | meaning | from |\n|---|---|---|---|---|\n";
  for (const auto& [name, entry] : metrics) page += Row(*entry.first, entry.second);
  return page;
}

}  // namespace idlewatt
