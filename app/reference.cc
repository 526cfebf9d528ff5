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

std::string LabelList(const LabelNames& labels) {
  std::string out;
  for (size_t i = 0; i < labels.size(); ++i) {
    out += (i == 0 ? "`" : ", `") + std::string(labels.names[i]) + "`";
  }
  return out;
}

std::string Row(const Metric& metric, const std::string& from) {
  return "| `" + std::string(metric.name) + "` | " +
         (metric.kind == MetricKind::kCounter ? "counter" : "gauge") + " | " +
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
      "| sampler | reads |\n|---|---|\n";
  std::map<std::string_view, std::pair<const Metric*, std::string>> metrics;
  for (const SamplerInfo* info : AllSamplerInfos()) {
    page += "| `" + std::string(info->name) + "` | " + std::string(info->help) + " |\n";
    for (const Metric* metric : info->metrics) {
      auto& [known, from] = metrics[metric->name];
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
