#include "app/idle_answer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "app/http_client.h"
#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;
using Known = IdleAnswer::Known;

// Beyond it a number is none that a machine could have used: 30,000 years at a gigawatt.
constexpr double kMost = 1e21;
// What rounding may leave below zero.
constexpr double kRounding = 1e-3;
constexpr double kMostSeconds = 1e12;
constexpr auto kMostWindow = std::chrono::hours(200 * 365 * 24);  // holds in nanoseconds

// Takes values out of an answer. The first that is missing or wrong is told at the end; until then
// each such value is an unknown one.
class AnswerReader {
 public:
  const std::string& problem() const { return problem_; }

  const Json& Member(const Json& object, const char* key) {
    static const Json kNull;
    const auto found = object.find(key);
    if (found != object.end()) return *found;
    Wrong(key, "is missing");
    return kNull;
  }
  Known Number(const Json& object, const char* key) {
    const Json& value = Member(object, key);
    if (value.is_null()) return std::nullopt;
    if (!value.is_number()) return Wrong(key, "is not a number");
    const auto number = value.get<double>();
    if (!(number > -kRounding && number < kMost)) return Wrong(key, "is out of range");
    return std::max(number, 0.0);
  }
  Known Seconds(const Json& object, const char* key) {
    const Known seconds = Number(object, key);
    if (seconds && *seconds > kMostSeconds) return Wrong(key, "is out of range");
    return seconds;
  }
  // Empty for null.
  std::string Text(const Json& object, const char* key) { return TextOf(Member(object, key), key); }
  std::string TextOf(const Json& value, const char* key) {
    if (value.is_string()) return Printable(value.get_ref<const std::string&>());
    if (!value.is_null()) Wrong(key, "is not a text");
    return "";
  }
  WallTime Time(const Json& object, const char* key) {
    const std::string text = Text(object, key);
    const bool has_date = text.size() >= 10 && text[4] == '-';  // not "24h", which is a time too
    const auto time = has_date ? ParseTime(text, WallTime()) : Error{};
    if (time) return *time;
    Wrong(key, "is not a time");
    return {};
  }
  // Empty for what is no array.
  const Json::array_t& List(const Json& object, const char* key) {
    static const Json::array_t kNone;
    const Json& value = Member(object, key);
    if (value.is_array()) return value.get_ref<const Json::array_t&>();
    if (!value.is_null()) Wrong(key, "is not a list");
    return kNone;
  }

  std::nullopt_t Wrong(const std::string& what, const char* how) {
    if (problem_.empty()) problem_ = what + " " + how;
    return std::nullopt;
  }

 private:
  std::string problem_;
};

IdleAnswer::Machine MachineOf(AnswerReader& reader, const Json& json) {
  IdleAnswer::Machine machine;
  machine.joules = reader.Number(json, "joules");
  machine.mean_watts = reader.Number(json, "mean_watts");
  machine.idle_seconds = reader.Seconds(json, "idle_seconds");
  machine.idle_joules = reader.Number(json, "idle_joules");
  machine.idle_mean_watts = reader.Number(json, "idle_mean_watts");
  machine.service_active_joules = reader.Number(json, "service_active_joules");
  machine.service_idle_joules = reader.Number(json, "service_idle_joules");
  machine.floor_joules = reader.Number(json, "floor_joules");
  machine.unattributed_joules = reader.Number(json, "unattributed_joules");
  return machine;
}

std::vector<IdleAnswer::Component> ComponentsOf(AnswerReader& reader, const Json& json) {
  std::vector<IdleAnswer::Component> components;
  if (!json.is_object()) {
    if (!json.is_null()) reader.Wrong("components", "is not an object");
    return components;
  }
  for (const auto& [name, component] : json.items()) {
    const Known idle_joules = reader.Number(component, "idle_joules");
    if (idle_joules) components.push_back({Printable(name), idle_joules});
  }
  return components;
}

IdleAnswer::Service ServiceOf(AnswerReader& reader, const Json& json) {
  IdleAnswer::Service service;
  service.name = reader.Text(json, "service");
  service.kind = reader.Text(json, "kind");
  service.idle_seconds = reader.Seconds(json, "idle_seconds");
  service.idle_joules = reader.Number(json, "idle_joules");
  service.idle_mean_watts = reader.Number(json, "idle_mean_watts");
  service.idle_share = reader.Number(json, "idle_share");
  service.components = ComponentsOf(reader, reader.Member(json, "components"));
  service.idle_cpu_ratio = reader.Number(json, "idle_cpu_ratio");
  service.peak_memory_bytes = reader.Number(json, "peak_memory_bytes");
  return service;
}

IdleAnswer::Bucket BucketOf(AnswerReader& reader, const Json& json) {
  IdleAnswer::Bucket bucket;
  bucket.start = reader.Time(json, "start");
  bucket.joules = reader.Number(json, "joules");
  bucket.idle_joules = reader.Number(json, "idle_joules");
  bucket.active_joules = reader.Number(json, "active_joules");
  bucket.floor_joules = reader.Number(json, "floor_joules");
  bucket.unattributed_joules = reader.Number(json, "unattributed_joules");
  for (const Json& service : reader.List(json, "services")) {
    bucket.services.push_back(
        {reader.Text(service, "service"), reader.Number(service, "idle_joules")});
  }
  return bucket;
}

IdleAnswer::Recommendation RecommendationOf(AnswerReader& reader, const Json& json) {
  IdleAnswer::Recommendation recommendation;
  recommendation.service = reader.Text(json, "service");
  recommendation.title = reader.Text(json, "title");
  recommendation.advice = reader.Text(json, "advice");
  recommendation.saves_joules = reader.Number(json, "saves_joules");
  recommendation.saves_watts = reader.Number(json, "saves_watts");
  recommendation.seconds = reader.Seconds(json, "seconds");
  recommendation.confidence = IdleAnswer::BasisOf(reader.Text(json, "confidence"));
  for (const Json& evidence : reader.List(json, "evidence")) {
    recommendation.evidence.push_back(reader.TextOf(evidence, "evidence"));
  }
  return recommendation;
}

IdleAnswer::Alert AlertOf(AnswerReader& reader, const Json& json) {
  IdleAnswer::Alert alert;
  alert.time = reader.Time(json, "time");
  alert.alert = reader.Text(json, "alert");
  alert.severity = reader.Text(json, "severity");
  alert.state = reader.Text(json, "state");
  alert.summary = reader.Text(json, "summary");
  return alert;
}

void ReadHead(AnswerReader& reader, const Json& json, IdleAnswer& report) {
  report.since = reader.Time(json, "since");
  report.until = reader.Time(json, "until");
  report.generated_at = reader.Time(json, "generated_at");
  report.basis = IdleAnswer::BasisOf(reader.Text(json, "meter"));
  for (const Json& source : reader.List(json, "sources")) {
    report.sources.push_back(reader.TextOf(source, "sources"));
  }
  report.measured_seconds = reader.Seconds(json, "measured_seconds");
  report.machine = MachineOf(reader, reader.Member(json, "machine"));
  const Known step = reader.Seconds(json, "step_seconds");
  report.step = std::chrono::milliseconds(std::llround(step.value_or(0) * 1000));
  if (report.until <= report.since) reader.Wrong("until", "is not after since");
  if (report.window() > kMostWindow) reader.Wrong("until", "is out of range");
}

void ReadLists(AnswerReader& reader, const Json& json, IdleAnswer& report) {
  for (const Json& service : reader.List(json, "services")) {
    report.services.push_back(ServiceOf(reader, service));
  }
  for (const Json& bucket : reader.List(json, "buckets")) {
    report.buckets.push_back(BucketOf(reader, bucket));
  }
  for (const Json& recommendation : reader.List(json, "recommendations")) {
    report.recommendations.push_back(RecommendationOf(reader, recommendation));
  }
  for (const Json& alert : reader.List(json, "alerts")) {
    report.alerts.push_back(AlertOf(reader, alert));
  }
  if (!report.buckets.empty() && report.step.count() <= 0) {
    reader.Wrong("step_seconds", "is out of range");
  }
}

// The order that the answer promises, whatever it has.
void Sort(IdleAnswer& report) {
  std::stable_sort(
      report.services.begin(), report.services.end(), [](const auto& a, const auto& b) {
        return std::pair(a.idle_joules, a.idle_seconds) > std::pair(b.idle_joules, b.idle_seconds);
      });
  std::stable_sort(report.buckets.begin(), report.buckets.end(),
                   [](const auto& a, const auto& b) { return a.start < b.start; });
}

}  // namespace

IdleAnswer::Basis IdleAnswer::BasisOf(const std::string& name) {
  if (name == "meter") return Basis::kMeter;
  if (name == "model") return Basis::kModel;
  return name == "mixed" ? Basis::kMixed : Basis::kUnknown;
}

Result<IdleAnswer> IdleAnswer::Parse(const std::string& answer) {
  const Json json = Json::parse(ToValidUtf8(answer), nullptr, false);
  if (!json.is_object()) return UnexpectedAnswer("no JSON object");
  AnswerReader reader;
  IdleAnswer report;
  ReadHead(reader, json, report);
  ReadLists(reader, json, report);
  if (!reader.problem().empty()) return UnexpectedAnswer(reader.problem());
  Sort(report);
  return report;
}

Known IdleAnswer::Coverage() const {
  if (!measured_seconds) return std::nullopt;
  return std::min(*measured_seconds / ToSeconds(window()), 1.0);
}

Known IdleAnswer::TimesAYear() const {
  if (!measured_seconds || *measured_seconds < 3600) return std::nullopt;
  return kSecondsOfYear / *measured_seconds;
}

Known IdleAnswer::IdleJoules() const {
  if (machine.service_idle_joules) return machine.service_idle_joules;
  Known sum;
  for (const Service& service : services) {
    if (service.idle_joules) sum = sum.value_or(0) + *service.idle_joules;
  }
  return sum;
}

bool IdleAnswer::KnowsEnergy() const { return machine.joules || IdleJoules(); }

std::vector<const IdleAnswer::Service*> IdleAnswer::IdleServices() const {
  std::vector<const Service*> idle;
  for (const Service& service : services) {
    if (service.idle_joules.value_or(0) > 0 || service.idle_seconds.value_or(0) > 0) {
      idle.push_back(&service);
    }
  }
  return idle;
}

}  // namespace idlewatt
