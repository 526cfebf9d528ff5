// A real Prometheus and promtool on the real daemon. Both come from Debian's package prometheus.
#include <gtest/gtest.h>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

constexpr const char* kConfig =
    "[collector]\ninterval = \"500ms\"\n"
    "[collector.power.model]\nidle_watts = 5\nmax_watts = 25\n";

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
  folder.Write("prometheus.yml",
               "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
               "scrape_configs:\n- job_name: idlewatt\n  static_configs:\n  - targets: ['" +
                   daemon.address() + "']\n");
  const uint16_t port = client::FreePort();
  ChildProcess prometheus({"prometheus", "--config.file=" + folder.PathOf("prometheus.yml"),
                           "--storage.tsdb.path=" + folder.PathOf("tsdb"),
                           "--web.listen-address=127.0.0.1:" + std::to_string(port)});
  // "up" after some scrapes, and a series of ours with its value.
  const auto answer = [&](const std::string& query) {
    const auto response = client::HttpGet(port, "/api/v1/query?query=" + query);
    if (!response) return nlohmann::json();
    const auto json = nlohmann::json::parse(response->body, nullptr, false);
    return json.is_object() ? json["data"]["result"] : nlohmann::json();
  };
  ASSERT_TRUE(Eventually([&] {
    const auto result = answer("count_over_time(up%5B1m%5D)");
    return !result.empty() &&
           ParseNumber<double>(result[0]["value"][1].get<std::string>()).value_or(0) >= 3;
  })) << prometheus.output();
  const auto up = answer("up");
  ASSERT_EQ(up.size(), 1U);
  EXPECT_EQ(up[0]["value"][1], "1");
  const auto ready = answer("idlewatt_service_state%7Bservice=%22llama%22,state=%22ready%22%7D");
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0]["value"][1], "1");
  EXPECT_EQ(answer("idlewatt_power_watts%7Bsource=%22model%22%7D").size(), 1U);
}

}  // namespace
}  // namespace idlewatt
