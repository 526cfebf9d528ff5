// A real Prometheus and promtool on the real daemon. Both come from Debian's package prometheus.
#include <gtest/gtest.h>

#include "tests/e2e/daemon_fixture.h"
#include "tests/e2e/prometheus_fixture.h"

namespace idlewatt {
namespace {

constexpr const char* kConfig =
    "[collector]\ninterval = \"500ms\"\n"
    "[collector.power]\nsources = []\n[collector.power.model]\nidle_watts = 5\nmax_watts = 25\n";

TEST(PrometheusTest, PromtoolHasNothingToSayAboutTheScrape) {
  FakeTree folder;
  folder.Write("text/a.prom",
               "# HELP a_seconds Two\\nlines\n# TYPE a_seconds gauge\na_seconds 1\n"
               "# TYPE b_bytes_total counter\nb_bytes_total{x=\"\\\"\\n\"} 1\nuntyped_total 1\n"
               "# TYPE h_seconds histogram\nh_seconds_bucket{le=\"+Inf\"} 1\n"
               "h_seconds_sum 1\nh_seconds_count 1\n"
               "# TYPE s_seconds summary\ns_seconds{quantile=\"0.5\"} 1\ns_seconds_count 1\n");
  RunningDaemon daemon(folder, std::string(kConfig) + "[collector.textfile]\ndir = \"" +
                                   folder.PathOf("text") + "\"\n" +
                                   DemoService("llama", client::FreePort(), ""));
  // From the second tick on rates are there too.
  ASSERT_TRUE(Eventually([&] {
    const std::string metrics = daemon.Get("/metrics");
    return metrics.find("idlewatt_service_power_watts") != std::string::npos &&
           metrics.find("h_seconds_bucket") != std::string::npos;
  }));
  folder.Write("scrape", daemon.Get("/metrics"));
  const Outcome check =
      RunToEnd({"sh", "-c", "promtool check metrics < " + folder.PathOf("scrape")});
  EXPECT_EQ(check.status->code, 0) << check.output;
  EXPECT_EQ(check.output, "");
}

TEST(PrometheusTest, ScrapesTheDaemonAndAnswersAQuery) {
  FakeTree folder;
  RunningDaemon daemon(folder, std::string(kConfig) + DemoService("llama", client::FreePort(), ""));
  ASSERT_TRUE(daemon.WaitReady());
  RunningPrometheus prometheus(folder, {daemon.address()});
  ASSERT_TRUE(Eventually([&] {
    return prometheus.Value("count_over_time(up[1m])").value_or(0) >= 3;
  })) << prometheus.output();
  EXPECT_EQ(prometheus.Value("up"), 1);
  EXPECT_EQ(prometheus.Value("idlewatt_service_state{service=\"llama\",state=\"ready\"}"), 1);
  EXPECT_EQ(prometheus.Query("idlewatt_power_watts{source=\"model\"}").size(), 1U);
}

}  // namespace
}  // namespace idlewatt
