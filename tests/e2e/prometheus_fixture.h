#pragma once

#include <array>
#include <cctype>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {

// `text` as part of a URL.
inline std::string PercentEncoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    std::array<char, 4> escape{};
    const auto byte = static_cast<unsigned char>(c);
    std::snprintf(escape.data(), escape.size(), "%%%02X", byte);
    encoded += std::isalnum(byte) != 0 ? std::string(1, c) : escape.data();
  }
  return encoded;
}

// A real Prometheus (Debian's package) that scrapes `targets` twice a second.
class RunningPrometheus {
 public:
  // `rules`: path of a file of rules; none when empty. Its storage is below `folder`.
  RunningPrometheus(FakeTree& folder, const std::vector<std::string>& targets,
                    const std::string& rules = "")
      : port_(client::FreePort()), process_(Command(folder, targets, rules, port_)) {
    const bool ready = Eventually([this] {
      const auto response = client::HttpGet(port_, "/-/ready");
      return response && response->status == 200;
    });
    if (!ready) ADD_FAILURE() << "Prometheus is not ready:\n" << process_.output();
  }

  // What an API call gives as "data"; null, with `error` set, when it was refused.
  nlohmann::json Data(const std::string& path, std::string* error = nullptr) const {
    const auto response = client::SendHttp(port_, {.path = path, .timeout = kPatience});
    std::string why = response ? response->body : response.error().ToString();
    const auto json = response ? nlohmann::json::parse(response->body, nullptr, false) : nullptr;
    const bool good = json.is_object() && json.value("status", "") == "success";
    if (error != nullptr) *error = good ? "" : std::move(why);
    return good ? json["data"] : nullptr;
  }

  // The series that a query gives, now or at `time` (seconds since 1970).
  nlohmann::json Query(const std::string& promql, std::string* error = nullptr,
                       const std::string& time = "") const {
    const auto data = Data(
        "/api/v1/query?query=" + PercentEncoded(promql) + (time.empty() ? "" : "&time=" + time),
        error);
    return data.is_object() ? data["result"] : nlohmann::json();
  }

  // Of a query that gives one series: its value.
  std::optional<double> Value(const std::string& promql, const std::string& time = "") const {
    const auto result = Query(promql, nullptr, time);
    if (result.size() != 1) return std::nullopt;
    const auto value = ParseNumber<double>(result[0]["value"][1].get<std::string>());
    return value ? std::optional(*value) : std::nullopt;
  }

  const std::string& output() const { return process_.output(); }

  static constexpr std::chrono::seconds kPatience{60};

 private:
  static std::vector<std::string> Command(FakeTree& folder, const std::vector<std::string>& targets,
                                          const std::string& rules, uint16_t port) {
    std::string config =
        "global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 1s}\n";
    if (!rules.empty()) config += "rule_files: ['" + rules + "']\n";
    config += "scrape_configs:\n- job_name: idlewatt\n  static_configs:\n  - targets:\n";
    for (const std::string& target : targets) config += "    - '" + target + "'\n";
    folder.Write("prometheus.yml", config);
    return {"prometheus", "--config.file=" + folder.PathOf("prometheus.yml"),
            "--storage.tsdb.path=" + folder.PathOf("tsdb"),
            "--web.listen-address=127.0.0.1:" + std::to_string(port)};
  }

  const uint16_t port_;
  ChildProcess process_;
};

}  // namespace idlewatt
