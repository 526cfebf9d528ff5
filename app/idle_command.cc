#include "app/idle_command.h"

#include <array>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "app/energy_text.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "app/idle_report_source.h"
#include "app/output_file.h"
#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"
#include "exporters/json_views.h"

namespace idlewatt {
namespace {

constexpr const char* kUnknown = "-";
constexpr int kMostRows = 2000;  // of a report

std::string DigitsOr(const Json& value, double divisor = 1) {
  return value.is_number() ? Digits(value.get<double>() / divisor) : kUnknown;
}

std::string WattHoursOr(const Json& joules) { return DigitsOr(joules, kJoulesOfWattHour); }

std::string PercentOr(const Json& share) {
  return share.is_number() ? ShareText(share.get<double>()) : kUnknown;
}

std::string TimeOr(const Json& seconds) {
  return seconds.is_number() ? SecondsText(seconds.get<double>()) : kUnknown;
}

std::string TextOr(const Json& value) {
  return value.is_string() ? Printable(value.get<std::string>()) : kUnknown;
}

// Of what is not known nothing is written.
std::string CsvOr(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? CsvField(value.get<std::string>()) : value.dump();
}

std::vector<std::string> CsvFields(const Json& row, std::span<const char* const> names) {
  std::vector<std::string> fields;
  fields.reserve(names.size());
  for (const char* name : names) fields.push_back(CsvOr(row.at(name)));
  return fields;
}

std::string CsvRow(const std::vector<std::string>& fields) {
  std::string row;
  for (const std::string& field : fields) row += (row.empty() ? "" : ",") + field;
  return row + "\n";
}

bool IsWanted(const Json& row, const IdlePowerView& view) {
  return view.service.empty() || row.at("service") == view.service;
}

Json Wanted(const Json& rows, const IdlePowerView& view) {
  Json wanted = Json::array();
  for (const Json& row : rows) {
    if (IsWanted(row, view)) wanted.push_back(row);
  }
  return wanted;
}

// The report without what is told of other services; what is told of the machine stays.
Json OnlyOf(Json report, const IdlePowerView& view) {
  for (const char* list : {"services", "recommendations", "alerts"}) {
    report[list] = Wanted(report.at(list), view);
  }
  for (Json& bucket : report.at("buckets")) {
    bucket["services"] = Wanted(bucket.at("services"), view);
  }
  return report;
}

std::string EstimateNote(const Json& report) {
  if (report.at("meter") == "model") return "estimated by the model";
  return report.at("meter") == "mixed" ? "partly estimated by the model" : "";
}

// The end: what the services above did not use.
std::string MachineLines(const Json& report) {
  const Json& machine = report.at("machine");
  const auto part = [&](const char* field, const char* name) {
    const Json& joules = machine.at(field);
    return joules.is_null() ? "" : ", " + WattHoursOr(joules) + " Wh " + name;
  };
  std::string line = "the machine: " + WattHoursOr(machine.at("joules")) + " Wh";
  if (report.at("measured_seconds").is_number()) {
    line += " in " + TimeOr(report.at("measured_seconds"));
  }
  if (machine.at("mean_watts").is_number())
    line += ", " + DigitsOr(machine.at("mean_watts")) + " W";
  line += part("service_idle_joules", "idle services");
  line += part("floor_joules", "floor");
  line += part("unattributed_joules", "unattributed");
  std::string more;
  if (machine.at("idle_seconds").is_number()) {
    more = "idle for " + TimeOr(machine.at("idle_seconds"));
    if (machine.at("idle_mean_watts").is_number()) {
      more += " at " + DigitsOr(machine.at("idle_mean_watts")) + " W";
    }
  }
  const std::string note = EstimateNote(report);
  if (!more.empty() && !note.empty()) more += "; ";
  more += note;
  return line + "\n" + (more.empty() ? "" : "    " + more + "\n");
}

std::string NothingLine(const Json& report, const IdlePowerView& view) {
  const std::string what =
      view.service.empty() ? "no energy and no idle time" : "nothing of " + Printable(view.service);
  return what + " is recorded from " + TextOr(report.at("since")) + " to " +
         TextOr(report.at("until")) + "\n";
}

std::string ServiceTable(const Json& report, const IdlePowerView& view) {
  TextTable table(
      {"SERVICE", "KIND", "IDLE FOR>", "IDLE Wh>", "IDLE W>", "ACTIVE Wh>", "IDLE SHARE>"});
  const Json& services = report.at("services");
  for (const Json& row : services) {
    table.Add({TextOr(row.at("service")), TextOr(row.at("kind")), TimeOr(row.at("idle_seconds")),
               WattHoursOr(row.at("idle_joules")), DigitsOr(row.at("idle_mean_watts")),
               WattHoursOr(row.at("active_joules")), PercentOr(row.at("idle_share"))});
  }
  if (services.empty() && (report.at("buckets").empty() || !view.service.empty())) {
    return NothingLine(report, view);
  }
  return (services.empty() ? "no service was seen\n" : table.ToString()) + MachineLines(report);
}

std::string ServiceCsv(const Json& report) {
  constexpr std::array kFields{"service",     "kind",          "idle_seconds",    "active_seconds",
                               "idle_joules", "active_joules", "idle_mean_watts", "idle_share"};
  std::string csv = CsvRow({kFields.begin(), kFields.end()});
  for (const Json& row : report.at("services")) {
    csv += CsvRow(CsvFields(row, kFields));
  }
  return csv;
}

// "2026-11-21T03:00Z" of an hour, "2026-11-21" of a day.
std::string StartText(const Json& bucket, const IdlePowerView& view) {
  const std::string start = TextOr(bucket.at("start"));
  return view.by == "day" ? start.substr(0, 10) : start.substr(0, 16) + "Z";
}

// The service with most idle joules; null when none has any.
Json MostIdle(const Json& bucket) {
  const Json& services = bucket.at("services");
  if (services.empty() || !services[0].at("idle_joules").is_number()) return nullptr;
  return services[0].at("idle_joules") > 0 ? services[0] : Json(nullptr);
}

// Of one service, a bucket in which it used nothing has no row of it.
Json JoulesOf(const Json& bucket, const char* field) {
  const Json& services = bucket.at("services");
  return services.empty() ? Json(nullptr) : services[0].at(field);
}

std::string BucketTable(const Json& report, const IdlePowerView& view) {
  const bool one = !view.service.empty();
  if (report.at("buckets").empty() || (one && report.at("services").empty())) {
    return NothingLine(report, view);
  }
  TextTable table = one ? TextTable({"START", "IDLE Wh>", "ACTIVE Wh>"})
                        : TextTable({"START", "WATTS>", "IDLE Wh>", "ACTIVE Wh>", "FLOOR Wh>",
                                     "UNATTRIBUTED Wh>", "MOST IDLE"});
  for (const Json& bucket : report.at("buckets")) {
    if (one) {
      table.Add({StartText(bucket, view), WattHoursOr(JoulesOf(bucket, "idle_joules")),
                 WattHoursOr(JoulesOf(bucket, "active_joules"))});
      continue;
    }
    const Json most = MostIdle(bucket);
    table.Add(
        {StartText(bucket, view), DigitsOr(bucket.at("mean_watts")),
         WattHoursOr(bucket.at("idle_joules")), WattHoursOr(bucket.at("active_joules")),
         WattHoursOr(bucket.at("floor_joules")), WattHoursOr(bucket.at("unattributed_joules")),
         most.is_null()
             ? kUnknown
             : TextOr(most.at("service")) + " (" + WattHoursOr(most.at("idle_joules")) + " Wh)"});
  }
  return table.ToString() + MachineLines(report);
}

std::string BucketCsv(const Json& report, const IdlePowerView& view) {
  if (!view.service.empty()) {
    std::string csv = "start,service,idle_joules,active_joules\n";
    for (const Json& bucket : report.at("buckets")) {
      csv += CsvRow({CsvOr(bucket.at("start")), CsvField(view.service),
                     CsvOr(JoulesOf(bucket, "idle_joules")),
                     CsvOr(JoulesOf(bucket, "active_joules"))});
    }
    return csv;
  }
  constexpr std::array kFields{"start",         "joules",       "mean_watts",         "idle_joules",
                               "active_joules", "floor_joules", "unattributed_joules"};
  std::vector<std::string> head(kFields.begin(), kFields.end());
  head.insert(head.end(), {"most_idle_service", "most_idle_joules"});
  std::string csv = CsvRow(head);
  for (const Json& bucket : report.at("buckets")) {
    std::vector<std::string> fields = CsvFields(bucket, kFields);
    const Json most = MostIdle(bucket);
    fields.push_back(most.is_null() ? "" : CsvOr(most.at("service")));
    fields.push_back(most.is_null() ? "" : CsvOr(most.at("idle_joules")));
    csv += CsvRow(fields);
  }
  return csv;
}

std::string Text(const Json& report, const IdlePowerView& view) {
  if (view.format == "json") return report.dump(2) + "\n";
  if (view.by == "service") {
    return view.format == "csv" ? ServiceCsv(report) : ServiceTable(report, view);
  }
  return view.format == "csv" ? BucketCsv(report, view) : BucketTable(report, view);
}

// Empty: the report chooses.
std::string StepOf(const IdlePowerView& view) {
  return view.by == "hour" ? "1h" : view.by == "day" ? "1d" : "";
}

// The report would name a step that fits, which this command does not take.
Result<void> CheckRows(const QueryIdlePowerArguments& arguments) {
  const std::string& by = arguments.view.by;
  if (by == "service") return {};
  const WallTime now = RealClock().Now().wall;
  ASSIGN_OR_RETURN(const WallTime since, ParseTime(arguments.since, now));
  ASSIGN_OR_RETURN(const WallTime until, ParseTime(arguments.until, now));
  if (until - since < kMostRows * std::chrono::hours(by == "day" ? 24 : 1)) return {};
  return Error{ErrorCode::kInvalid, "--by " + by, 0,
               "makes " + std::to_string(kMostRows) + " rows or more: ask for " +
                   (by == "hour" ? "--by day or " : "") + "a shorter time"};
}

Result<std::string> ReportOf(const QueryIdlePowerArguments& arguments) {
  RETURN_IF_ERROR(CheckRows(arguments));
  const std::string step = StepOf(arguments.view);
  if (arguments.db.empty()) {
    return IdleReportFromDaemon(arguments.http, arguments.since, arguments.until, step);
  }
  return IdleReportFromFile(arguments.db, arguments.since, arguments.until, step);
}

}  // namespace

Result<std::string> IdlePowerText(const std::string& answer, const IdlePowerView& view) {
  const Json json = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("services")) return UnexpectedAnswer("services");
  try {
    return Text(OnlyOf(json, view), view);
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

int QueryIdlePowerCommand(const QueryIdlePowerArguments& arguments) {
  const Result<std::string> report = ReportOf(arguments);
  if (!report) return Fail(report.error());
  const Result<std::string> text = IdlePowerText(*report, arguments.view);
  if (!text) return Fail(text.error());
  const Result<void> printed = PrintText(*text);
  return printed ? kExitDone : Fail(printed.error());
}

}  // namespace idlewatt
