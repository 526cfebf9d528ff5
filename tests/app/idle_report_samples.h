// Answers of /api/v1/idle for tests. Sums are those of their parts.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/clock.h"

namespace idlewatt {

using SampleJson = nlohmann::ordered_json;

inline std::string SampleTime(int64_t hour) {
  const WallTime start = std::chrono::sys_days(std::chrono::year(2026) / 11 / 19);
  return FormatWallTime(start + std::chrono::hours(21 + hour));
}

struct SampleService {
  const char* name;
  const char* kind;
  const char* component;  // where all its energy is
  double idle_watts;
  double active_watts;
  int first_hour, last_hour;  // of the day, in which it is used
};

inline constexpr std::array<SampleService, 8> kSampleServices = {{
    {"llama-70b", "supervised", "gpu", 11.2, 85, 9, 11},
    {"whisper", "supervised", "cpu", 6.4, 30, 14, 15},
    {"comfyui", "watched", "gpu", 4.1, 120, 20, 21},
    {"open-webui", "watched", "cpu", 1.9, 4, 8, 17},
    {"ollama", "watched", "gpu", 1.3, 60, 13, 13},
    {"postgresql@15-main.service", "discovered", "cpu", 0.6, 3, 0, 7},
    {"jupyter.service", "discovered", "cpu", 0.35, 12, 15, 17},
    {"node_exporter", "discovered", "cpu", 0.05, 0.1, 0, 2},
}};
inline constexpr int kSampleHours = 48;
inline constexpr int kFirstLostHour = 20, kLostHours = 5;  // in which nothing was measured

inline bool IsLost(int hour) {
  return hour >= kFirstLostHour && hour < kFirstLostHour + kLostHours;
}
inline bool IsSampleActive(const SampleService& service, int hour) {
  const int of_day = (21 + hour) % 24;
  return of_day >= service.first_hour && of_day <= service.last_hour;
}

inline SampleJson SampleBucket(int hour) {
  constexpr double kFloorWatts = 23, kOtherWatts = 2.5;
  double idle = 0, active = 0;
  SampleJson services = SampleJson::array();
  for (const SampleService& service : kSampleServices) {
    const bool is_active = IsSampleActive(service, hour);
    const double idle_joules = is_active ? 0 : service.idle_watts * 3600;
    const double active_joules = is_active ? service.active_watts * 3600 : 0;
    idle += idle_joules;
    active += active_joules;
    services.push_back({{"service", service.name},
                        {"idle_joules", idle_joules},
                        {"active_joules", active_joules}});
  }
  const double floor = kFloorWatts * 3600, unattributed = kOtherWatts * 3600;
  const double all = idle + active + floor + unattributed;
  return {{"start", SampleTime(hour)},
          {"joules", all},
          {"mean_watts", all / 3600},
          {"idle_joules", idle},
          {"active_joules", active},
          {"floor_joules", floor},
          {"unattributed_joules", unattributed},
          {"services", services}};
}

// A bucket of which nothing is known.
inline SampleJson LostBucket(int hour) {
  return {{"start", SampleTime(hour)},      {"joules", nullptr},
          {"mean_watts", nullptr},          {"idle_joules", nullptr},
          {"active_joules", nullptr},       {"floor_joules", nullptr},
          {"unattributed_joules", nullptr}, {"services", SampleJson::array()}};
}

inline SampleJson SampleServiceRow(const SampleService& service) {
  int idle_hours = 0, active_hours = 0;
  for (int hour = 0; hour < kSampleHours; ++hour) {
    if (!IsLost(hour)) ++(IsSampleActive(service, hour) ? active_hours : idle_hours);
  }
  const double idle = service.idle_watts * 3600 * idle_hours;
  const double active = service.active_watts * 3600 * active_hours;
  return {{"service", service.name},
          {"kind", service.kind},
          {"active_seconds", active_hours * 3600},
          {"idle_seconds", idle_hours * 3600},
          {"active_joules", active},
          {"idle_joules", idle},
          {"idle_mean_watts", service.idle_watts},
          {"idle_share", idle / (idle + active)},
          {"components", {{service.component, {{"active_joules", active}, {"idle_joules", idle}}}}},
          {"idle_cpu_ratio", 0.0035},
          {"peak_memory_bytes", 1'500'000'000 * service.idle_watts},
          {"idle_intervals", 4},
          {"longest_idle_seconds", 13 * 3600}};
}

inline SampleJson SampleRecommendation(const std::string& kind, const std::string& service,
                                       const std::string& title, const std::string& advice,
                                       const SampleJson& saves_joules,
                                       std::vector<std::string> evidence) {
  const double seconds = (kSampleHours - kLostHours) * 3600;
  const SampleJson watts =
      saves_joules.is_null() ? SampleJson() : SampleJson(saves_joules.get<double>() / seconds);
  return {{"kind", kind},
          {"service", service.empty() ? SampleJson() : SampleJson(service)},
          {"title", title},
          {"advice", advice},
          {"saves_joules", saves_joules},
          {"saves_watts", watts},
          {"seconds", seconds},
          {"confidence", "meter"},
          {"evidence", std::move(evidence)}};
}

inline SampleJson SampleRecommendations() {
  return {
      SampleRecommendation("unload", "llama-70b", "Unload the model of llama-70b while nobody asks",
                           "Let the server drop its model after ten minutes without a request, or "
                           "stop the service at night; it was ready again within 40 s.",
                           1'490'000.0,
                           {"idle for 37 h of 43 h, at 11.2 W on average",
                            "its GPU kept 16.8 GB and stayed in a high power state"}),
      SampleRecommendation("busy_loop", "whisper", "whisper is busy although nobody uses it",
                           "Look for polling: it used 0.4 of a CPU while no connection was open.",
                           912'000.0,
                           {"0.4 CPUs on average over 39 h without one byte on its port",
                            "6.4 W, of which the same machine shows 0.1 W for a sleeping server"}),
      SampleRecommendation("idle_model", "ollama", "ollama keeps a model that nobody asked for",
                           "Set OLLAMA_KEEP_ALIVE to a few minutes.", 190'000.0,
                           {"last request 31 h ago"}),
      SampleRecommendation("leak", "open-webui", "The memory of open-webui grows while it is idle",
                           "Restart it at night until this is mended.", nullptr,
                           {"from 410 MiB to 1,930 MiB in 29 h without a request"}),
      SampleRecommendation("sensor_lost", "", "The meter nvml was away for 3 h",
                           "Look into the log for its driver.", nullptr,
                           {"last reading 2026-11-20T18:00:00Z, first after it 21:00:00Z"}),
      SampleRecommendation("baseline", "", "The floor of the machine is a third of all it used",
                           "Let the machine sleep at night, when nobody uses any service.",
                           1'210'000.0, {"23 W when every service was idle, for 14 h"}),
  };
}

inline SampleJson SampleAlerts() {
  const auto alert = [](int hour, const char* state) {
    return SampleJson{{"time", SampleTime(hour)},
                      {"alert", "IdleServiceCpu"},
                      {"service", "whisper"},
                      {"severity", "critical"},
                      {"state", state},
                      {"summary", "whisper uses 40 % of one CPU and nobody has used it for 2h 5m"},
                      {"advice", "look for a busy loop or polling in whisper"}};
  };
  return {alert(6, "firing"), alert(17, "resolved"), alert(31, "firing")};
}

inline SampleJson SumOf(const SampleJson& rows, const char* key) {
  double sum = 0;
  for (const SampleJson& row : rows) {
    if (row.at(key).is_number()) sum += row.at(key).get<double>();
  }
  return sum;
}

// Two days with a gap: eight services, 48 hours, a recommendation of each kind, alerts.
inline SampleJson RichIdleJson() {
  SampleJson buckets = SampleJson::array(), services = SampleJson::array();
  for (int hour = 0; hour < kSampleHours; ++hour) {
    if (!IsLost(hour)) buckets.push_back(SampleBucket(hour));
    if (hour == kFirstLostHour) buckets.push_back(LostBucket(hour));  // the others are left out
  }
  for (const SampleService& service : kSampleServices) {
    services.push_back(SampleServiceRow(service));
  }
  const double seconds = (kSampleHours - kLostHours) * 3600;
  const SampleJson all = SumOf(buckets, "joules");
  return {{"since", SampleTime(0)},
          {"until", SampleTime(kSampleHours)},
          {"generated_at", SampleTime(kSampleHours)},
          {"meter", "meter"},
          {"sources", {"rapl", "nvml"}},
          {"measured_seconds", seconds},
          {"machine",
           {{"joules", all},
            {"mean_watts", all.get<double>() / seconds},
            {"idle_seconds", 50'400},
            {"idle_joules", 2'590'000.0},
            {"idle_mean_watts", 51.4},
            {"service_active_joules", SumOf(buckets, "active_joules")},
            {"service_idle_joules", SumOf(buckets, "idle_joules")},
            {"floor_joules", SumOf(buckets, "floor_joules")},
            {"unattributed_joules", SumOf(buckets, "unattributed_joules")}}},
          {"services", services},
          {"step_seconds", 3600},
          {"buckets", buckets},
          {"recommendations", SampleRecommendations()},
          {"alerts", SampleAlerts()}};
}

// The same machine without a meter.
inline SampleJson ModelIdleJson() {
  SampleJson json = RichIdleJson();
  json["meter"] = "model";
  json["sources"] = {"model"};
  for (SampleJson& recommendation : json["recommendations"]) recommendation["confidence"] = "model";
  return json;
}

// A machine without meter and model: what was idle is known, what it cost is not.
inline SampleJson UnknownIdleJson() {
  SampleJson json = RichIdleJson();
  json["meter"] = nullptr;
  json["sources"] = SampleJson::array();
  for (auto& [key, value] : json["machine"].items()) {
    if (key != "idle_seconds") value = nullptr;
  }
  for (SampleJson& service : json["services"]) {
    for (const char* key : {"active_joules", "idle_joules", "idle_mean_watts", "idle_share"}) {
      service[key] = nullptr;
    }
    service["components"] = SampleJson::object();
  }
  json["buckets"] = {LostBucket(0), LostBucket(1)};
  json["recommendations"] = {json["recommendations"][3]};
  json["alerts"] = SampleJson::array();
  return json;
}

// A daemon that has just started.
inline SampleJson EmptyIdleJson() {
  SampleJson json = UnknownIdleJson();
  json["measured_seconds"] = 0;
  json["machine"]["idle_seconds"] = nullptr;
  for (const char* list : {"services", "buckets", "recommendations"}) {
    json[list] = SampleJson::array();
  }
  return json;
}

inline constexpr const char* kHostileText =
    "</title></style></svg><script src=\"http://example.invalid/x.js\">alert('1')</script>"
    "<img src=x onerror=alert(1)> url(http://example.invalid) &lt; \x1b[31m\r\n\t"
    "\xE2\x80\xAE"  // turns the direction of what follows
    "\xC2\x9B"      // as ESC [, to some terminals
    "\"' -- <!-- ]]> ${1} %s";

// Every text of the answer as somebody would make it who wants to be more than text. Its bytes 0xFF
// are no UTF-8.
inline std::string HostileIdleAnswer() {
  SampleJson json = RichIdleJson();
  const std::string first = json["services"][0]["service"];
  json["services"][0]["service"] = kHostileText;
  for (SampleJson& bucket : json["buckets"]) {
    for (SampleJson& service : bucket["services"]) {
      if (service["service"] == first) service["service"] = kHostileText;
    }
  }
  json["services"][0]["kind"] = kHostileText;
  json["services"][1]["service"] = "not UTF-8: \x7f@@";
  json["services"][2]["service"] = std::string(300, 'w');
  json["sources"] = {kHostileText};
  for (const char* key : {"service", "title", "advice", "kind", "confidence"}) {
    json["recommendations"][0][key] = kHostileText;
  }
  json["recommendations"][0]["evidence"] = {kHostileText, ""};
  for (const char* key : {"alert", "service", "severity", "state", "summary", "advice"}) {
    json["alerts"][0][key] = kHostileText;
  }
  std::string answer = json.dump();
  for (char& c : answer) {
    if (c == '@') c = '\xFF';  // also in postgresql@15
  }
  return answer;
}

}  // namespace idlewatt
