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

std::optional<double> Quotient(const std::optional<double>& above,
                               const std::optional<double>& below) {
  if (!above || !below || *below <= 0) return std::nullopt;
  return *above / *below;
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
  if (window.until == window.since) {
    return Error{ErrorCode::kInvalid, "range", 0, "is empty: it ends when it begins"};
  }
  if (window.now <= window.since) {
    return Error{ErrorCode::kInvalid, "range", 0, "is empty: all of it is yet to come"};
  }
  if (window.step.count() < 0) return Error{ErrorCode::kInvalid, "step", 0, "is negative"};
  if (window.step.count() == 0) return {};
  const milliseconds span = window.until - window.since;
  if (span / window.step < static_cast<int64_t>(kMostBuckets)) return {};
  return TooManyBuckets(std::chrono::ceil<std::chrono::minutes>(span / (kMostBuckets - 1)));
}

// Of a service that was of several kinds, the one that says most of it.
int RankOf(std::string_view kind) { return kind == "supervised" ? 2 : kind == "watched" ? 1 : 0; }

// Of the states "active" and "idle"; there is no other.
bool IsIdle(const SeriesPoints& series) { return LabelOf(series.labels, "state") == "idle"; }

std::string ServiceOf(const SeriesPoints& series) {
  return std::string(LabelOf(series.labels, "service"));
}

std::optional<double>& SumOf(StateJoules& joules, bool is_idle) {
  return is_idle ? joules.idle : joules.active;
}

double IncreaseOf(const SeriesPoints& series) {
  double increase = 0;
  for (const Point& point : series.points) increase += point.value;
  return increase;
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
    return AddRecommendations();
  }

 private:
  // What becomes of the points of a counter.
  struct Counter {
    std::string_view metric;
    void (ReportBuilder::*add)(const SeriesPoints&);
  };

  Result<void> AddCounters();
  void AddServiceEnergy(const SeriesPoints& series);
  void AddServiceSeconds(const SeriesPoints& series);
  void AddHostEnergy(const SeriesPoints& series);
  void AddHostSeconds(const SeriesPoints& series);
  void AddHostFloor(const SeriesPoints& series);
  void AddUnattributed(const SeriesPoints& series);
  void AddDomain(const SeriesPoints& series);
  void AddStartSeconds(const SeriesPoints& series);
  void AddStarts(const SeriesPoints& series);
  template <typename Field>
  void AddToMachine(const SeriesPoints& series, Field field);
  void AddSources();
  Result<void> FillGaps();
  Result<void> AddIntervals();
  Result<void> AddAlerts();
  Result<void> AddKinds();
  Result<void> AddServices();
  Result<void> AddRecommendations();

  IdleReport& report_;
  const Ring* ring_;
  HistoryReader& history_;
  std::map<int64_t, IdleReportBucket> buckets_;
  std::map<std::string, ServiceUse> services_;
  std::vector<std::pair<std::string, std::string>> domains_;  // source, domain: that used energy
  struct Starts {
    std::optional<double> seconds, count;
  };
  std::map<std::string, Starts> starts_;  // by service
};

Result<void> ReportBuilder::AddCounters() {
  constexpr std::array kCounters{
      Counter{metrics::kServiceEnergyJoules.name, &ReportBuilder::AddServiceEnergy},
      Counter{metrics::kServiceActivitySeconds.name, &ReportBuilder::AddServiceSeconds},
      Counter{metrics::kHostEnergyJoules.name, &ReportBuilder::AddHostEnergy},
      Counter{metrics::kHostActivitySeconds.name, &ReportBuilder::AddHostSeconds},
      Counter{metrics::kHostFloorJoules.name, &ReportBuilder::AddHostFloor},
      Counter{metrics::kUnattributedJoules.name, &ReportBuilder::AddUnattributed},
      Counter{metrics::kEnergyJoules.name, &ReportBuilder::AddDomain},
      Counter{kStartSeconds, &ReportBuilder::AddStartSeconds},
      Counter{kStarts, &ReportBuilder::AddStarts}};
  std::vector<Selector> selectors;
  for (const Counter& counter : kCounters) {
    ASSIGN_OR_RETURN(Selector selector, Selector::Parse(counter.metric));
    selectors.push_back(std::move(selector));
  }
  RangeWindow window{report_.window.since, report_.window.until, report_.window.step};
  window.function = RangeFunction::kIncrease;
  window.max_points = std::numeric_limits<size_t>::max();  // the number of buckets is limited
  ASSIGN_OR_RETURN(const RangeAnswer answer, QueryRange(selectors, window, ring_, &history_));
  report_.damaged_rows = answer.damaged_rows;
  for (const SeriesPoints& series : answer.series) {
    const auto counter = std::find_if(kCounters.begin(), kCounters.end(),
                                      [&](const Counter& c) { return c.metric == series.metric; });
    if (counter != kCounters.end()) (this->*counter->add)(series);
  }
  AddSources();
  return {};
}

void ReportBuilder::AddServiceEnergy(const SeriesPoints& series) {
  const bool is_idle = IsIdle(series);
  const std::string service = ServiceOf(series);
  AddToMachine(
      series, [=](MachineUse & use) -> auto& { return SumOf(use.services, is_idle); });
  for (const Point& point : series.points) {
    AddTo(SumOf(buckets_[point.time_ms].services[service], is_idle), point.value);
  }
  ServiceUse& one = services_[service];
  StateJoules& component = one.components[std::string(LabelOf(series.labels, "component"))];
  AddTo(SumOf(one.joules, is_idle), IncreaseOf(series));
  AddTo(SumOf(component, is_idle), IncreaseOf(series));
}

void ReportBuilder::AddServiceSeconds(const SeriesPoints& series) {
  ServiceUse& one = services_[ServiceOf(series)];
  AddTo(IsIdle(series) ? one.idle_seconds : one.active_seconds, IncreaseOf(series));
}

void ReportBuilder::AddHostEnergy(const SeriesPoints& series) {
  const bool is_idle = IsIdle(series);
  AddToMachine(
      series, [=](MachineUse & use) -> auto& { return SumOf(use.joules, is_idle); });
}

void ReportBuilder::AddHostSeconds(const SeriesPoints& series) {
  AddToMachine(
      series, [](MachineUse & use) -> auto& { return use.seconds; });
  if (!IsIdle(series)) return;
  AddToMachine(
      series, [](MachineUse & use) -> auto& { return use.idle_seconds; });
}

void ReportBuilder::AddHostFloor(const SeriesPoints& series) {
  AddToMachine(
      series, [](MachineUse & use) -> auto& { return use.floor; });
}

void ReportBuilder::AddUnattributed(const SeriesPoints& series) {
  AddToMachine(
      series, [](MachineUse & use) -> auto& { return use.unattributed; });
}

void ReportBuilder::AddDomain(const SeriesPoints& series) {
  if (IncreaseOf(series) <= 0) return;
  domains_.emplace_back(LabelOf(series.labels, "source"), LabelOf(series.labels, "domain"));
}

void ReportBuilder::AddStartSeconds(const SeriesPoints& series) {
  AddTo(starts_[ServiceOf(series)].seconds, IncreaseOf(series));
}

void ReportBuilder::AddStarts(const SeriesPoints& series) {
  AddTo(starts_[ServiceOf(series)].count, IncreaseOf(series));
}

// To one sum of the machine, in the buckets and in all.
template <typename Field>
void ReportBuilder::AddToMachine(const SeriesPoints& series, Field field) {
  for (const Point& point : series.points) {
    AddTo(field(buckets_[point.time_ms].machine), point.value);
    AddTo(field(report_.machine), point.value);
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

Result<void> ReportBuilder::AddIntervals() {
  const int64_t since_ms = Milliseconds(report_.window.since);
  const int64_t until_ms = Milliseconds(report_.window.until);
  std::map<std::string, IdleTimeSum> sums;
  const auto add = [&](const IdleInterval& interval) {
    sums.try_emplace(interval.service, since_ms, until_ms).first->second.Add(interval);
  };
  RETURN_IF_ERROR(VisitIntervals(history_, since_ms, until_ms, add));
  for (const auto& [service, sum] : sums) services_[service].idle = sum.time();
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
    const ServiceUse& one = item.second;
    return one.idle.intervals == 0 && one.joules.Sum().value_or(0) <= 0 &&
           one.active_seconds.value_or(0) + one.idle_seconds.value_or(0) <= 0;
  });
  RETURN_IF_ERROR(AddKinds());
  for (auto& [name, service] : services_) {
    service.service = name;
    const Starts& starts = starts_[name];
    service.start_seconds = Quotient(starts.seconds, starts.count);
    report_.services.push_back(std::move(service));
  }
  std::stable_sort(report_.services.begin(), report_.services.end(),
                   [](const ServiceUse& a, const ServiceUse& b) {
                     return a.joules.idle.value_or(-1) > b.joules.idle.value_or(-1);
                   });
  return {};
}

MeterKind MeterKindOf(std::string_view meter) {
  if (meter == "mixed") return MeterKind::kMixed;
  if (meter == kModel) return MeterKind::kModel;
  return meter.empty() ? MeterKind::kUnknown : MeterKind::kMeter;
}

// Advice counts all alerts of the window, not only those that the report tells.
Result<void> ReportBuilder::AddRecommendations() {
  IdleFacts facts;
  const auto window_ms = static_cast<double>((report_.window.until - report_.window.since).count());
  facts.seconds = report_.machine.seconds.value_or(window_ms / 1000);
  facts.floor_shared = report_.window.floor_shared;
  facts.meter = MeterKindOf(report_.Meter());
  facts.services = report_.services;
  ASSIGN_OR_RETURN(const std::vector<FiredAlert> fired,
                   QueryFiredAlerts(history_, Milliseconds(report_.window.since),
                                    Milliseconds(report_.window.until)));
  for (const FiredAlert& one : fired) {
    facts.alerts.push_back(
        {one.builtin, one.alert, one.service, one.summary, one.advice, one.times});
  }
  report_.recommendations = Recommend(facts);
  return {};
}

Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json TextOrNull(std::string_view text) { return text.empty() ? Json(nullptr) : Json(text); }

Json MachineJson(const MachineUse& use) {
  const std::optional<double> joules = use.joules.Sum();
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

Json ServiceJson(const ServiceUse& service) {
  const IdleTime& idle = service.idle;
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
          {"idle_share", OrNull(Quotient(service.joules.idle, service.joules.Sum()))},
          {"components", std::move(components)},
          {"idle_cpu_seconds", OrNull(idle.cpu_seconds)},
          {"idle_cpu_ratio", OrNull(Quotient(idle.cpu_seconds, idle.cpu_known_seconds))},
          {"peak_memory_bytes", idle.peak_bytes ? Json(*idle.peak_bytes) : Json(nullptr)},
          {"idle_intervals", idle.intervals},
          {"longest_idle_seconds", OrNull(idle.longest_seconds)}};
}

Json BucketJson(const IdleReportBucket& bucket) {
  std::vector<std::pair<std::string, StateJoules>> ranked;
  for (const auto& [name, joules] : bucket.services) {
    if (joules.Sum().value_or(0) > 0) ranked.emplace_back(name, joules);
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
          {"joules", OrNull(use.joules.Sum())},
          {"mean_watts", OrNull(Quotient(use.joules.Sum(), use.seconds))},
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
  window.until = std::min(window.until, window.now);
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
          {"alerts", ListJson(report.alerts, AlertJson)},
          {"damaged_rows", report.damaged_rows}};
}

}  // namespace idlewatt
