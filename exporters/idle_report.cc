#include "exporters/idle_report.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "analysis/metrics.h"
#include "analysis/power_ledger.h"
#include "base/duration.h"
#include "collector/metrics.h"
#include "storage/event_query.h"
#include "storage/interval_query.h"
#include "storage/range_query.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr size_t kMostBuckets = 2000;
constexpr size_t kMostAlerts = 200;
constexpr std::string_view kModel = "model";
// Parts of the supervisor's histogram.
constexpr std::string_view kStartSeconds = "idlewatt_service_start_seconds_sum";
constexpr std::string_view kStarts = "idlewatt_service_start_seconds_count";

int64_t Milliseconds(WallTime time) { return time.time_since_epoch().count(); }

void AddTo(std::optional<double>& sum, double value) { sum = sum.value_or(0) + value; }

void AddTo(std::optional<double>& sum, const std::optional<double>& value) {
  if (value) AddTo(sum, *value);
}

// Of the states "active" and "idle"; there is no other.
void AddTo(StateJoules& sum, std::string_view state, double value) {
  AddTo(state == "idle" ? sum.idle : sum.active, value);
}

std::optional<double> Quotient(const std::optional<double>& above,
                               const std::optional<double>& below) {
  if (!above || !below || *below <= 0) return std::nullopt;
  return *above / *below;
}

std::optional<double> Sum(const StateJoules& joules) {
  std::optional<double> sum = joules.active;
  AddTo(sum, joules.idle);
  return sum;
}

std::string_view LabelOf(const Labels& labels, std::string_view name) {
  const auto it = std::find_if(labels.begin(), labels.end(),
                               [name](const auto& label) { return label.first == name; });
  return it == labels.end() ? std::string_view() : std::string_view(it->second);
}

milliseconds StepFor(const IdleWindow& window) {
  if (window.step.count() != 0) return window.step;
  return window.until - window.since < hours(96) ? hours(1) : hours(24);
}

Error TooManyBuckets(milliseconds step) {
  return Error{ErrorCode::kInvalid, "step", 0,
               "makes more than " + std::to_string(kMostBuckets) + " steps: ask for one of " +
                   FormatDuration(step) + " or more"};
}

// So that what is asked for by mistake is not read first.
Result<void> Check(const IdleWindow& window) {
  if (window.until < window.since) {
    return Error{ErrorCode::kInvalid, "range", 0, "ends before it begins"};
  }
  if (window.step.count() < 0) return Error{ErrorCode::kInvalid, "step", 0, "is negative"};
  if (window.step.count() == 0) return {};
  const milliseconds span = window.until - window.since;
  if (span / window.step < static_cast<int64_t>(kMostBuckets)) return {};
  return TooManyBuckets(std::chrono::ceil<std::chrono::minutes>(span / (kMostBuckets - 1)));
}

Result<std::vector<Selector>> SelectorsOf(std::span<const std::string_view> metrics) {
  std::vector<Selector> selectors;
  for (const std::string_view metric : metrics) {
    ASSIGN_OR_RETURN(Selector selector, Selector::Parse(metric));
    selectors.push_back(std::move(selector));
  }
  return selectors;
}

// Of a service that was of several kinds, the one that says most of it.
int RankOf(std::string_view kind) { return kind == "supervised" ? 2 : kind == "watched" ? 1 : 0; }

// Adds what a counter of the machine grew; others add nothing.
void AddTo(MachineUse& use, std::string_view metric, std::string_view state, double increase) {
  if (metric == metrics::kHostEnergyJoules.name) {
    AddTo(use.joules, state, increase);
  } else if (metric == metrics::kHostActivitySeconds.name) {
    AddTo(use.seconds, increase);
    if (state == "idle") AddTo(use.idle_seconds, increase);
  } else if (metric == metrics::kHostFloorJoules.name) {
    AddTo(use.floor, increase);
  } else if (metric == metrics::kUnattributedJoules.name) {
    AddTo(use.unattributed, increase);
  } else if (metric == metrics::kServiceEnergyJoules.name) {
    AddTo(use.services, state, increase);
  }
}

class ReportBuilder {
 public:
  ReportBuilder(IdleReport& report, const Ring* ring, HistoryReader& history)
      : report_(report), ring_(ring), history_(history) {}

  Result<void> Build() {
    RETURN_IF_ERROR(AddCounters());
    RETURN_IF_ERROR(FillGaps());
    RETURN_IF_ERROR(AddIntervals());
    RETURN_IF_ERROR(AddAlerts());
    RETURN_IF_ERROR(AddServices());
    AddRecommendations();
    return {};
  }

 private:
  Result<void> AddCounters();
  void AddSeries(const SeriesPoints& series);
  void AddSources();
  Result<void> FillGaps();
  Result<void> AddIntervals();
  Result<void> AddAlerts();
  Result<void> AddKinds();
  Result<void> AddServices();
  void AddRecommendations();

  IdleReport& report_;
  const Ring* ring_;
  HistoryReader& history_;
  std::map<int64_t, IdleReportBucket> buckets_;
  std::map<std::string, ServiceIdleReport> services_;
  std::vector<std::pair<std::string, std::string>> domains_;  // source, domain: that used energy
  struct Starts {
    std::optional<double> seconds, count;
  };
  std::map<std::string, Starts> starts_;                        // by service
  std::map<std::string, std::vector<IdleInterval>> intervals_;  // by service, whole ones
};

Result<void> ReportBuilder::AddCounters() {
  constexpr std::array kCounters{metrics::kServiceEnergyJoules.name,
                                 metrics::kServiceActivitySeconds.name,
                                 metrics::kHostEnergyJoules.name,
                                 metrics::kHostActivitySeconds.name,
                                 metrics::kHostFloorJoules.name,
                                 metrics::kUnattributedJoules.name,
                                 metrics::kEnergyJoules.name,
                                 kStartSeconds,
                                 kStarts};
  ASSIGN_OR_RETURN(const std::vector<Selector> selectors, SelectorsOf(kCounters));
  RangeWindow window{report_.window.since, report_.window.until, report_.window.step};
  window.function = RangeFunction::kIncrease;
  window.max_points = std::numeric_limits<size_t>::max();  // the number of buckets is limited
  ASSIGN_OR_RETURN(const RangeAnswer answer, QueryRange(selectors, window, ring_, &history_));
  report_.damaged_rows = answer.damaged_rows;
  for (const SeriesPoints& series : answer.series) AddSeries(series);
  AddSources();
  return {};
}

void ReportBuilder::AddSeries(const SeriesPoints& series) {
  const std::string_view state = LabelOf(series.labels, "state");
  const std::string service(LabelOf(series.labels, "service"));
  const bool is_of_starts = series.metric == kStartSeconds || series.metric == kStarts;
  double increase = 0;
  for (const Point& point : series.points) {
    increase += point.value;
    if (is_of_starts) continue;
    IdleReportBucket& bucket = buckets_[point.time_ms];
    AddTo(bucket.machine, series.metric, state, point.value);
    AddTo(report_.machine, series.metric, state, point.value);
    if (series.metric == metrics::kServiceEnergyJoules.name) {
      AddTo(bucket.services[service], state, point.value);
    }
  }
  if (series.metric == metrics::kEnergyJoules.name && increase > 0) {
    domains_.emplace_back(LabelOf(series.labels, "source"), LabelOf(series.labels, "domain"));
  } else if (series.metric == metrics::kServiceEnergyJoules.name) {
    AddTo(services_[service].joules, state, increase);
    AddTo(services_[service].components[std::string(LabelOf(series.labels, "component"))], state,
          increase);
  } else if (series.metric == metrics::kServiceActivitySeconds.name) {
    ServiceIdleReport& one = services_[service];
    AddTo(state == "idle" ? one.idle_seconds : one.active_seconds, increase);
  } else if (series.metric == kStartSeconds) {
    AddTo(starts_[service].seconds, increase);
  } else if (series.metric == kStarts) {
    AddTo(starts_[service].count, increase);
  }
}

// The model counts only while nothing measures; of what measures, those that make up the machine.
void ReportBuilder::AddSources() {
  std::vector<DomainEnergy> meters;
  for (const auto& [source, domain] : domains_) {
    if (source == kModel) {
      report_.sources.insert(source);
    } else {
      meters.push_back({source, domain});
    }
  }
  AssignRoles(meters);
  for (const DomainEnergy& meter : meters) {
    if (meter.role != DomainRole::kNone) report_.sources.insert(std::string(meter.source));
  }
}

Result<void> ReportBuilder::FillGaps() {
  if (buckets_.empty()) return {};
  const int64_t step_ms = report_.window.step.count();
  const int64_t first_ms = buckets_.begin()->first;
  const int64_t last_ms = buckets_.rbegin()->first;
  const milliseconds span(last_ms - first_ms);
  if (span / report_.window.step >= static_cast<int64_t>(kMostBuckets)) {
    return TooManyBuckets(std::chrono::ceil<std::chrono::days>(span / (kMostBuckets - 1)));
  }
  for (int64_t start_ms = first_ms; start_ms <= last_ms; start_ms += step_ms) {
    IdleReportBucket bucket = std::move(buckets_[start_ms]);
    bucket.start = WallTime(milliseconds(start_ms));
    report_.buckets.push_back(std::move(bucket));
  }
  return {};
}

// The part of each that lies in the window, what it used spread evenly over it.
Result<void> ReportBuilder::AddIntervals() {
  const int64_t since_ms = Milliseconds(report_.window.since);
  const int64_t until_ms = Milliseconds(report_.window.until);
  ASSIGN_OR_RETURN(std::vector<IdleInterval> intervals,
                   QueryIntervals(history_, since_ms, until_ms));
  for (IdleInterval& interval : intervals) {
    if (interval.service.empty()) continue;  // the machine, which has counters of its own
    const auto length = static_cast<double>(interval.end_ms - interval.start_ms);
    const auto within = static_cast<double>(std::min(interval.end_ms, until_ms) -
                                            std::max(interval.start_ms, since_ms));
    ServiceIdleReport& service = services_[interval.service];
    ++service.intervals;
    service.longest_seconds = std::max(service.longest_seconds.value_or(0), within / 1000);
    if (interval.cpu_seconds && length > 0) {
      AddTo(service.cpu_seconds, *interval.cpu_seconds * within / length);
      service.cpu_known_seconds += within / 1000;
    }
    if (interval.peak_rss_bytes) {
      service.peak_memory_bytes =
          std::max(service.peak_memory_bytes.value_or(0), *interval.peak_rss_bytes);
    }
    intervals_[interval.service].push_back(std::move(interval));
  }
  return {};
}

std::string TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Result<void> ReportBuilder::AddAlerts() {
  ASSIGN_OR_RETURN(const std::vector<HistoryEvent> events,
                   QueryEvents(history_, Milliseconds(report_.window.since),
                               Milliseconds(report_.window.until), kMostAlerts, "alert"));
  for (const HistoryEvent& event : events) {
    const Json detail = Json::parse(event.detail_json, nullptr, /*allow_exceptions=*/false);
    if (!detail.is_object()) continue;
    report_.alerts.push_back({WallTime(milliseconds(event.time_ms)), TextOf(detail, "alert"),
                              event.service, TextOf(detail, "severity"), TextOf(detail, "state"),
                              TextOf(detail, "summary"), TextOf(detail, "advice")});
  }
  return {};
}

Result<void> ReportBuilder::AddKinds() {
  ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(metrics::kServiceProcesses.name));
  ASSIGN_OR_RETURN(const std::vector<StoredSeries> stored, history_.FindSeries(&selector));
  std::vector<SeriesName> names;
  names.reserve(stored.size());
  for (const StoredSeries& series : stored) names.push_back(series.name);
  if (ring_ != nullptr) {
    for (const RingSeries& series : ring_->Read(selector)) names.push_back(series.name);
  }
  for (const SeriesName& name : names) {
    const auto service = services_.find(std::string(LabelOf(name.labels, "service")));
    const std::string_view kind = LabelOf(name.labels, "kind");
    if (service == services_.end()) continue;
    std::string& known = service->second.kind;
    if (known.empty() || RankOf(kind) > RankOf(known)) known = kind;
  }
  return {};
}

Result<void> ReportBuilder::AddServices() {
  // Counters of services that are long gone stand still.
  std::erase_if(services_, [](const auto& item) {
    const ServiceIdleReport& one = item.second;
    return one.intervals == 0 && Sum(one.joules).value_or(0) <= 0 &&
           one.active_seconds.value_or(0) + one.idle_seconds.value_or(0) <= 0;
  });
  RETURN_IF_ERROR(AddKinds());
  for (auto& [name, service] : services_) {
    service.service = name;
    report_.services.push_back(std::move(service));
  }
  std::stable_sort(report_.services.begin(), report_.services.end(),
                   [](const ServiceIdleReport& a, const ServiceIdleReport& b) {
                     return a.joules.idle.value_or(-1) > b.joules.idle.value_or(-1);
                   });
  return {};
}

MeterKind MeterKindOf(std::string_view meter) {
  if (meter == "mixed") return MeterKind::kMixed;
  if (meter == kModel) return MeterKind::kModel;
  return meter.empty() ? MeterKind::kUnknown : MeterKind::kMeter;
}

void ReportBuilder::AddRecommendations() {
  IdleFacts facts;
  facts.since_ms = Milliseconds(report_.window.since);
  facts.until_ms = Milliseconds(report_.window.until);
  const auto window_ms = static_cast<double>(facts.until_ms - facts.since_ms);
  facts.seconds = report_.machine.seconds.value_or(window_ms / 1000);
  facts.meter = MeterKindOf(report_.Meter());
  for (const ServiceIdleReport& one : report_.services) {
    ServiceUse& use = facts.services.emplace_back();
    use.service = one.service;
    use.joules = Sum(one.joules);
    const auto cpu = one.components.find("cpu");
    if (cpu != one.components.end()) use.idle_cpu_joules = cpu->second.idle;
    use.idle_seconds = one.idle_seconds;
    const Starts& starts = starts_[one.service];
    use.start_seconds = Quotient(starts.seconds, starts.count);
    use.intervals = std::move(intervals_[one.service]);
  }
  for (const AlertRecord& alert : report_.alerts) {
    if (alert.state != AlertStateName(AlertState::kFiring)) continue;
    facts.alerts.push_back({alert.alert, alert.service, alert.summary, alert.advice});
  }
  report_.recommendations = Recommend(facts);
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json TextOrNull(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

Json MachineJson(const MachineUse& use) {
  const std::optional<double> joules = Sum(use.joules);
  return {{"joules", OrNull(joules)},
          {"mean_watts", OrNull(Quotient(joules, use.seconds))},
          {"idle_seconds", OrNull(use.idle_seconds)},
          {"idle_joules", OrNull(use.joules.idle)},
          {"idle_mean_watts", OrNull(Quotient(use.joules.idle, use.idle_seconds))},
          {"service_active_joules", OrNull(use.services.active)},
          {"service_idle_joules", OrNull(use.services.idle)},
          {"floor_joules", OrNull(use.floor)},
          {"unattributed_joules", OrNull(use.unattributed)}};
}

Json ServiceJson(const ServiceIdleReport& service) {
  Json components = Json::object();
  for (const auto& [name, joules] : service.components) {
    components[name] = {{"active_joules", OrNull(joules.active)},
                        {"idle_joules", OrNull(joules.idle)}};
  }
  return {{"service", service.service},
          {"kind", TextOrNull(service.kind)},
          {"active_seconds", OrNull(service.active_seconds)},
          {"idle_seconds", OrNull(service.idle_seconds)},
          {"active_joules", OrNull(service.joules.active)},
          {"idle_joules", OrNull(service.joules.idle)},
          {"idle_mean_watts", OrNull(Quotient(service.joules.idle, service.idle_seconds))},
          {"idle_share", OrNull(Quotient(service.joules.idle, Sum(service.joules)))},
          {"components", std::move(components)},
          {"idle_cpu_seconds", OrNull(service.cpu_seconds)},
          {"idle_cpu_ratio", OrNull(Quotient(service.cpu_seconds, service.cpu_known_seconds))},
          {"peak_memory_bytes",
           service.peak_memory_bytes ? Json(*service.peak_memory_bytes) : Json(nullptr)},
          {"idle_intervals", service.intervals},
          {"longest_idle_seconds", OrNull(service.longest_seconds)}};
}

Json BucketJson(const IdleReportBucket& bucket) {
  std::vector<std::pair<std::string, StateJoules>> ranked;
  for (const auto& [name, joules] : bucket.services) {
    if (Sum(joules).value_or(0) > 0) ranked.emplace_back(name, joules);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second.idle.value_or(0) > b.second.idle.value_or(0);
  });
  Json services = Json::array();
  for (const auto& [name, joules] : ranked) {
    services.push_back({{"service", name},
                        {"idle_joules", OrNull(joules.idle)},
                        {"active_joules", OrNull(joules.active)}});
  }
  const MachineUse& use = bucket.machine;
  return {{"start", FormatWallTime(bucket.start)},
          {"joules", OrNull(Sum(use.joules))},
          {"mean_watts", OrNull(Quotient(Sum(use.joules), use.seconds))},
          {"idle_joules", OrNull(use.services.idle)},
          {"active_joules", OrNull(use.services.active)},
          {"floor_joules", OrNull(use.floor)},
          {"unattributed_joules", OrNull(use.unattributed)},
          {"services", std::move(services)}};
}

Json RecommendationJson(const Recommendation& advice) {
  return {{"kind", advice.kind},
          {"service", TextOrNull(advice.service)},
          {"title", advice.title},
          {"advice", advice.advice},
          {"saves_joules", OrNull(advice.saves_joules)},
          {"saves_watts", OrNull(Quotient(advice.saves_joules, advice.seconds))},
          {"seconds", advice.seconds},
          {"confidence", advice.estimated ? kModel : "meter"},
          {"evidence", advice.evidence}};
}

Json AlertJson(const AlertRecord& alert) {
  return {{"time", FormatWallTime(alert.time)},
          {"alert", alert.alert},
          {"service", TextOrNull(alert.service)},
          {"severity", alert.severity},
          {"state", alert.state},
          {"summary", alert.summary},
          {"advice", alert.advice}};
}

template <typename Row>
Json ListJson(const std::vector<Row>& rows, Json (*view)(const Row&)) {
  Json list = Json::array();
  for (const Row& row : rows) list.push_back(view(row));
  return list;
}

}  // namespace

std::string_view IdleReport::Meter() const {
  if (sources.empty()) return "";
  if (!sources.contains(std::string(kModel))) return "meter";
  return sources.size() == 1 ? "model" : "mixed";
}

Result<IdleReport> QueryIdleReport(IdleWindow window, const Ring* ring, HistoryReader& history) {
  RETURN_IF_ERROR(Check(window));
  window.step = StepFor(window);
  IdleReport report;
  report.window = window;
  RETURN_IF_ERROR(ReportBuilder(report, ring, history).Build());
  return report;
}

Json IdleReportJson(const IdleReport& report) {
  const IdleWindow& window = report.window;
  return {{"since", FormatWallTime(window.since)},
          {"until", FormatWallTime(window.until)},
          {"generated_at", FormatWallTime(window.now)},
          {"meter", TextOrNull(report.Meter())},
          {"sources", report.sources},
          {"measured_seconds", OrNull(report.machine.seconds)},
          {"machine", MachineJson(report.machine)},
          {"services", ListJson(report.services, ServiceJson)},
          {"step_seconds", static_cast<double>(window.step.count()) / 1000},
          {"buckets", ListJson(report.buckets, BucketJson)},
          {"recommendations", ListJson(report.recommendations, RecommendationJson)},
          {"alerts", ListJson(report.alerts, AlertJson)}};
}

}  // namespace idlewatt
