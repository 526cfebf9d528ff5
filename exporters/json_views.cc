#include "exporters/json_views.h"

#include <algorithm>
#include <map>

#include "analysis/attribution.h"
#include "analysis/metrics.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json TimeOrNull(const std::optional<WallTime>& time) {
  return time ? Json(FormatWallTime(*time)) : Json(nullptr);
}

Json PercentOrNull(const std::optional<double>& ratio) {
  return ratio ? Json(*ratio * 100) : Json(nullptr);
}

std::optional<double> ValueOf(const Snapshot& snapshot, const Metric& metric,
                              std::initializer_list<std::string_view> labels) {
  const SnapshotValue* value = snapshot.Find(metric, labels);
  if (value == nullptr) return std::nullopt;
  return value->value;
}

std::optional<double> HostMemory(const Snapshot& snapshot, std::string_view kind) {
  for (const SnapshotValue& value : snapshot.Family("idlewatt_host_memory_bytes")) {
    if (value.series->Label("kind") == kind) return value.value;
  }
  return std::nullopt;
}

// Watts of all components; nothing where nothing measures.
std::optional<double> ServiceWatts(const Snapshot& snapshot, std::string_view service) {
  std::optional<double> watts;
  for (const SnapshotValue& value : snapshot.Family(metrics::kServicePowerWatts)) {
    if (value.series->labels[0] == service) watts = watts.value_or(0) + value.value;
  }
  return watts;
}

// What the collector and the analysis know of a service, on top of a row that the supervisor or
// nobody has begun.
void AddMeasured(const Snapshot& snapshot, const std::string& name, std::string_view kind,
                 Json& row) {
  const auto memory = ValueOf(snapshot, metrics::kServiceMemoryBytes, {name, kind});
  const auto total = HostMemory(snapshot, "total");
  const auto processes = ValueOf(snapshot, metrics::kServiceProcesses, {name, kind});
  const bool alive = processes.value_or(0) > 0;
  const auto cpu = alive ? ServiceCpuRatio(snapshot, name) : std::nullopt;
  row["cpu_percent"] = PercentOrNull(cpu);
  row["memory_bytes"] = alive ? OrNull(memory) : Json(nullptr);
  row["memory_percent"] =
      alive && memory && total && *total > 0 ? Json(*memory / *total * 100) : Json(nullptr);
  row["processes"] = OrNull(processes);
  // Power is shared by CPU time: without the one the other is not known either.
  row["watts"] = cpu ? OrNull(ServiceWatts(snapshot, name)) : Json(nullptr);
  const auto idle = ValueOf(snapshot, metrics::kServiceIdle, {name});
  row["idle"] = idle ? Json(*idle > 0) : Json(nullptr);
  row["idle_seconds"] = OrNull(ValueOf(snapshot, metrics::kServiceIdleSeconds, {name}));
  row["activity_source"] = nullptr;
  for (const SnapshotValue& source : snapshot.Family(metrics::kServiceActivitySource)) {
    if (source.series->labels[0] == name) row["activity_source"] = source.series->labels[1];
  }
  row["connections"] = OrNull(ValueOf(snapshot, metrics::kServiceConnections, {name}));
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json LastExitJson(const std::optional<LastExit>& exit) {
  if (!exit) return nullptr;
  const bool by_code = exit->kind == LastExit::Kind::kCode;
  const bool out_of_memory = exit->kind == LastExit::Kind::kOutOfMemory;
  const bool by_signal = exit->kind == LastExit::Kind::kSignal || out_of_memory;
  const bool known = exit->kind != LastExit::Kind::kUnknown;
  return {{"code", by_code ? Json(exit->value) : Json(nullptr)},
          {"signal", by_signal ? Json(exit->value) : Json(nullptr)},
          {"out_of_memory", known ? Json(out_of_memory) : Json(nullptr)},
          {"at", FormatWallTime(exit->at)},
          {"text", exit->text},
          {"lines", exit->lines}};
}

Json SupervisedRow(const Snapshot& snapshot, const ServiceStatus& status) {
  Json row = {{"name", status.name},
              {"kind", "supervised"},
              {"state", ServiceStateName(status.state)},
              {"adopted", status.adopted},
              {"pid", OrNull(status.pid)},
              {"port", OrNull(status.port)},
              {"model", TextOrNull(status.model)},
              {"ready", status.ready},
              {"uptime_seconds", OrNull(status.uptime_seconds)},
              {"started_at", TimeOrNull(status.started_at)},
              {"restart_attempts", status.restart_attempts},
              {"next_retry_at", TimeOrNull(status.next_retry_at)},
              {"backoff_seconds", OrNull(status.backoff_seconds)},
              {"restarts", Json(Json::object_t(status.restarts.begin(), status.restarts.end()))},
              {"last_exit", LastExitJson(status.last_exit)},
              {"failure", TextOrNull(status.failure)},
              {"note", TextOrNull(status.note)},
              {"profiles", status.profiles},
              {"log", status.log_path}};
  AddMeasured(snapshot, status.name, "supervised", row);
  return row;
}

Json MeasuredRow(const Snapshot& snapshot, const std::string& name, const std::string& kind) {
  Json row = {{"name", name}, {"kind", kind}};
  for (const char* unknown : {"state", "adopted", "pid", "port", "model", "ready", "uptime_seconds",
                              "started_at", "restart_attempts", "next_retry_at", "backoff_seconds",
                              "restarts", "last_exit", "failure", "note", "profiles", "log"}) {
    row[unknown] = nullptr;
  }
  AddMeasured(snapshot, name, kind, row);
  return row;
}

}  // namespace

Json ServicesJson(const Snapshot& snapshot, const std::vector<ServiceStatus>& supervised) {
  Json rows = Json::array();
  int ready = 0;
  int running = 0;
  for (const ServiceStatus& status : supervised) {
    rows.push_back(SupervisedRow(snapshot, status));
    ready += status.ready ? 1 : 0;
    running += status.pid ? 1 : 0;
  }
  std::map<std::pair<std::string, std::string>, double> measured;  // kind (watched first), name
  for (const SnapshotValue& value : snapshot.Family(metrics::kServiceProcesses)) {
    const auto& labels = value.series->labels;
    if (labels[1] == "supervised") continue;  // listed above, or not configured any more
    if (labels[1] == "discovered" && value.value == 0) continue;  // gone; its counters still count
    measured[{labels[1] == "watched" ? "" : labels[1], labels[0]}] = value.value;
  }
  for (const auto& [key, processes] : measured) {
    rows.push_back(MeasuredRow(snapshot, key.second, key.first.empty() ? "watched" : key.first));
    running += processes > 0 ? 1 : 0;
  }
  return {{"total", rows.size()}, {"ready", ready}, {"running", running}, {"services", rows}};
}

std::optional<Json> ServiceJson(const Snapshot& snapshot,
                                const std::vector<ServiceStatus>& supervised,
                                std::string_view name) {
  Json all = ServicesJson(snapshot, supervised);
  for (Json& row : all["services"]) {
    if (row["name"] == name) return std::move(row);
  }
  return std::nullopt;
}

Json StateChangeJson(const StateChange& change) {
  return {{"number", change.number},           {"at", FormatWallTime(change.at)},
          {"service", change.service},         {"from", ServiceStateName(change.from)},
          {"to", ServiceStateName(change.to)}, {"reason", change.reason}};
}

Json ProfilesJson(const std::vector<ProfileStatus>& profiles) {
  Json rows = Json::array();
  for (const ProfileStatus& profile : profiles) {
    rows.push_back(
        {{"name", profile.name}, {"active", profile.active}, {"services", profile.services}});
  }
  return rows;
}

Json ReloadJson(const ReloadOutcome& outcome) {
  return {{"added", outcome.added},
          {"removed", outcome.removed},
          {"restarted", outcome.restarted},
          {"updated", outcome.updated},
          {"not_applied", outcome.not_applied}};
}

Json EventsJson(const std::vector<HistoryEvent>& events) {
  Json rows = Json::array();
  for (const HistoryEvent& event : events) {
    Json detail = Json::parse(event.detail_json, nullptr, /*allow_exceptions=*/false);
    rows.push_back({{"time", FormatWallTime(WallTime(std::chrono::milliseconds(event.time_ms)))},
                    {"kind", event.kind},
                    {"service", TextOrNull(event.service)},
                    {"detail", detail.is_discarded() ? Json(nullptr) : std::move(detail)}});
  }
  return rows;
}

Json ProcessesJson(const Snapshot& snapshot, size_t limit) {
  std::vector<const ProcessRow*> order;
  if (snapshot.processes) {
    for (const ProcessRow& row : *snapshot.processes) order.push_back(&row);
  }
  const size_t total = order.size();
  std::stable_sort(order.begin(), order.end(), [](const ProcessRow* a, const ProcessRow* b) {
    return std::pair(a->cpu_ratio.value_or(0), a->memory_bytes) >
           std::pair(b->cpu_ratio.value_or(0), b->memory_bytes);
  });
  if (order.size() > limit) order.resize(limit);
  Json rows = Json::array();
  for (const ProcessRow* row : order) {
    rows.push_back({{"pid", row->pid},
                    {"parent", row->parent},
                    {"name", row->name},
                    {"service", *row->service},
                    {"state", std::string(1, row->state)},
                    {"cpu_percent", PercentOrNull(row->cpu_ratio)},
                    {"cpu_seconds", row->cpu_seconds},
                    {"memory_bytes", row->memory_bytes},
                    {"threads", row->threads}});
  }
  return {{"total", total}, {"processes", rows}};
}

Json PowerJson(const Snapshot& snapshot) {
  const std::optional<MachinePower> machine = CurrentMachinePower(snapshot);
  Json domains = Json::array();
  std::map<std::pair<std::string, std::string>, Json> by_domain;
  const auto collect = [&](const Metric& metric, const char* field) {
    for (const SnapshotValue& value : snapshot.Family(metric)) {
      const auto& labels = value.series->labels;
      Json& domain = by_domain[{labels[0], labels[1]}];
      if (domain.is_null()) {
        domain = {
            {"source", labels[0]}, {"domain", labels[1]}, {"watts", nullptr}, {"joules", nullptr}};
      }
      domain[field] = value.value;
    }
  };
  collect(metrics::kPowerWatts, "watts");
  collect(metrics::kEnergyJoules, "joules");
  for (auto& [key, domain] : by_domain) {
    domain["floor_watts"] = OrNull(ValueOf(snapshot, metrics::kHostFloorWatts, {key.second}));
    domains.push_back(std::move(domain));
  }
  Json batteries = Json::array();
  for (const SnapshotValue& value : snapshot.Family("idlewatt_battery_discharging")) {
    const std::string& battery = value.series->labels[0];
    std::optional<double> charge;
    for (const SnapshotValue& other : snapshot.Family("idlewatt_battery_charge_ratio")) {
      if (other.series->labels[0] == battery) charge = other.value;
    }
    batteries.push_back({{"battery", battery},
                         {"discharging", value.value > 0},
                         {"charge_percent", PercentOrNull(charge)}});
  }
  std::map<std::string, double> services;
  for (const SnapshotValue& value : snapshot.Family(metrics::kServicePowerWatts)) {
    services[value.series->labels[0]] += value.value;
  }
  Json shares = Json::array();
  for (const auto& [service, watts] : services) {
    shares.push_back({{"service", service}, {"watts", watts}});
  }
  return {{"time", FormatWallTime(snapshot.time.wall)},
          {"watts", machine ? Json(machine->watts) : Json(nullptr)},
          {"source", machine ? Json(machine->source) : Json(nullptr)},
          {"compute_watts", OrNull(ValueOf(snapshot, metrics::kHostComputeWatts, {}))},
          {"domains", domains},
          {"batteries", batteries},
          {"services", shares}};
}

namespace {

// The series of a metric as rows of its labels and one value.
Json Rows(const Snapshot& snapshot, std::string_view metric, const char* field) {
  Json rows = Json::array();
  for (const SnapshotValue& value : snapshot.Family(metric)) {
    Json row;
    for (size_t i = 0; i < value.series->labels.size(); ++i) {
      row[std::string(value.series->metric->labels.names[i])] = value.series->labels[i];
    }
    row[field] = value.value;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Json ThermalJson(const Snapshot& snapshot) {
  Json temperatures = Rows(snapshot, "idlewatt_temperature_celsius", "celsius");
  for (Json& row : temperatures) {
    row["limits"] = Json::object();
    for (const SnapshotValue& limit : snapshot.Family("idlewatt_temperature_limit_celsius")) {
      const Series& series = *limit.series;
      if (series.Label("chip") == row["chip"] && series.Label("sensor") == row["sensor"]) {
        row["limits"][std::string(series.Label("limit"))] = limit.value;
      }
    }
  }
  Json cooling = Rows(snapshot, "idlewatt_cooling_device_state", "state");
  for (Json& row : cooling) {
    row["max_state"] = nullptr;
    for (const SnapshotValue& max : snapshot.Family("idlewatt_cooling_device_max_state")) {
      if (max.series->Label("device") == row["device"]) row["max_state"] = max.value;
    }
  }
  return {{"time", FormatWallTime(snapshot.time.wall)},
          {"temperatures", temperatures},
          {"fans", Rows(snapshot, "idlewatt_fan_rpm", "rpm")},
          {"zones", Rows(snapshot, "idlewatt_thermal_zone_celsius", "celsius")},
          {"cooling_devices", cooling},
          {"throttle_events", Rows(snapshot, "idlewatt_thermal_throttle_events_total", "events")}};
}

Json SensorsJson(const Snapshot& snapshot) {
  Json sources = Json::array();
  for (const SourceStatus& source : snapshot.sources) {
    const bool measured = source.period.count() > 0;
    sources.push_back(
        {{"source", source.source},
         {"gives", source.gives},
         {"available", !source.error.has_value()},
         {"reason", source.error ? Json(ErrorCodeName(source.error->code)) : Json(nullptr)},
         {"message", source.error ? Json(source.error->ToString()) : Json(nullptr)},
         {"remedy", source.remedy.empty() ? Json(nullptr) : Json(source.remedy)},
         {"sampler", source.sampler},
         {"every_seconds", measured ? Json(ToSeconds(source.period)) : Json(nullptr)},
         {"cost_seconds", measured ? Json(ToSeconds(source.cost)) : Json(nullptr)},
         {"age_seconds", source.age ? Json(ToSeconds(*source.age)) : Json(nullptr)}});
  }
  return {{"sources", sources}};
}

Json AlertJson(const AlertStatus& alert) {
  return {{"alert", alert.alert},
          {"builtin", alert.builtin},
          {"service", alert.service},
          {"severity", alert.severity},
          {"state", AlertStateName(alert.state)},
          {"since", FormatWallTime(alert.since)},
          {"value", alert.value},
          {"threshold", alert.threshold},
          {"unit", alert.unit},
          {"summary", alert.summary},
          {"advice", alert.advice}};
}

Json AlertsJson(const std::vector<AlertStatus>& alerts) {
  Json rows = Json::array();
  for (const AlertStatus& alert : alerts) rows.push_back(AlertJson(alert));
  return {{"alerts", rows}};
}

Json SummaryJson(const Snapshot& snapshot, const std::vector<ServiceStatus>& supervised,
                 const std::vector<AlertStatus>& alerts) {
  Json services = ServicesJson(snapshot, supervised);
  services.erase("services");
  const auto count = [&](AlertState state) {
    return std::count_if(alerts.begin(), alerts.end(),
                         [&](const AlertStatus& alert) { return alert.state == state; });
  };
  const std::optional<MachinePower> machine = CurrentMachinePower(snapshot);
  const auto idle = ValueOf(snapshot, metrics::kHostIdle, {});
  return {{"time", FormatWallTime(snapshot.time.wall)},
          {"cpu_percent", PercentOrNull(BusyShare(snapshot))},
          {"memory_bytes",
           {{"total", OrNull(HostMemory(snapshot, "total"))},
            {"available", OrNull(HostMemory(snapshot, "available"))}}},
          {"watts", machine ? Json(machine->watts) : Json(nullptr)},
          {"power_source", machine ? Json(machine->source) : Json(nullptr)},
          {"idle", idle ? Json(*idle > 0) : Json(nullptr)},
          {"services", services},
          {"processes", snapshot.processes ? Json(snapshot.processes->size()) : Json(nullptr)},
          {"series", snapshot.values.size()},
          {"alerts",
           {{"firing", count(AlertState::kFiring)}, {"pending", count(AlertState::kPending)}}}};
}

namespace {

Json LabelsJson(const Labels& labels) {
  Json object = Json::object();
  for (const auto& [name, value] : labels) object[name] = value;
  return object;
}

Json TimeOrNull(std::optional<int64_t> time_ms) {
  if (!time_ms) return nullptr;
  return FormatWallTime(WallTime(std::chrono::milliseconds(*time_ms)));
}

}  // namespace

Json SeriesPointsJson(const SeriesPoints& series) {
  Json points = Json::array();
  for (const Point& point : series.points) {
    points.push_back(Json::array({static_cast<double>(point.time_ms) / 1000, point.value}));
  }
  return {{"metric", series.metric},
          {"labels", LabelsJson(series.labels)},
          {"unit", series.unit},
          {"points", std::move(points)}};
}

Json SeriesPointsJson(const std::vector<SeriesPoints>& series) {
  Json rows = Json::array();
  for (const SeriesPoints& one : series) rows.push_back(SeriesPointsJson(one));
  return rows;
}

Json SeriesJson(const SeriesAnswer& answer) {
  Json rows = Json::array();
  for (const SeriesSummary& one : answer.series) {
    const StoredSeries& series = one.series;
    rows.push_back({{"metric", series.name.metric},
                    {"labels", LabelsJson(series.name.labels)},
                    {"kind", series.kind == MetricKind::kCounter ? "counter" : "gauge"},
                    {"unit", series.unit},
                    {"first", TimeOrNull(one.first_ms)},
                    {"last", TimeOrNull(one.last_ms)},
                    {"samples", one.samples}});
  }
  return {{"damaged_rows", answer.damaged_rows}, {"series", std::move(rows)}};
}

}  // namespace idlewatt
