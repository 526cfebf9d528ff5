#include "app/reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace idlewatt {
namespace {

TEST(ReferenceTest, MetricsPageIsFresh) {
  std::ifstream file(std::string(IDLEWATT_SOURCE_DIR) + "/docs/metrics.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(page, MetricsPage()) << "renew it with build/dev/idlewatt_docs";
}

TEST(ReferenceTest, EverySamplerHasItsOwnName) {
  std::set<std::string_view> names;
  for (const SamplerInfo* info : AllSamplerInfos()) {
    EXPECT_TRUE(names.insert(info->name).second) << info->name;
  }
}

TEST(ReferenceTest, AMetricNameHasOneMeaning) {
  std::map<std::string_view, const Metric*> metrics;
  for (const SamplerInfo* info : AllSamplerInfos()) {
    for (const Metric* metric : info->metrics) {
      const auto [it, added] = metrics.emplace(metric->name, metric);
      EXPECT_EQ(it->second, metric) << metric->name << " is declared twice";
      const bool counts = metric->name.ends_with("_total") || !metric->histogram.empty();
      EXPECT_EQ(counts, metric->kind == MetricKind::kCounter) << metric->name;
      EXPECT_FALSE(metric->help.empty()) << metric->name;
    }
  }
}

}  // namespace
}  // namespace idlewatt
