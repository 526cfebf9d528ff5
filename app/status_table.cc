#include "app/status_table.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "app/http_client.h"
#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUnknown = "-";

std::string NumberOr(const Json& value, const char* format, double scale = 1) {
  if (!value.is_number()) return kUnknown;
  return Format(format, value.get<double>() * scale);
}

std::string TextOr(const Json& value) {
  return value.is_string() ? Printable(value.get<std::string>()) : kUnknown;
}

std::string SecondsText(double seconds) {
  if (seconds < 1) return "0s";
  return FormatDuration(std::chrono::seconds(static_cast<int64_t>(seconds)));
}

std::string SecondsOr(const Json& value) {
  return value.is_number() ? SecondsText(value.get<double>()) : kUnknown;
}

// Of a model that is a path its file.
std::string ModelText(const Json& row) {
  const std::string model = TextOr(row.at("model"));
  const size_t slash = model.find_last_of('/', model.size() - 2);
  return slash == std::string::npos ? model : model.substr(slash + 1);
}

std::string StateText(const Json& row) {
  if (row.at("state").is_string()) {
    return TextOr(row.at("state")) + (row.at("adopted") == true ? " (adopted)" : "");
  }
  return row.at("processes") > 0 ? TextOr(row.at("kind")) : "not running";
}

std::string ReadyText(const Json& row) {
  const Json& ready = row.at("ready");
  return ready.is_boolean() ? (ready == true ? "yes" : "no") : kUnknown;
}

std::string RestartsText(const Json& row) {
  if (!row.at("restarts").is_object()) return kUnknown;
  int64_t sum = 0;
  for (const Json& count : row.at("restarts")) sum += count.get<int64_t>();
  return std::to_string(sum);
}

// Seconds from `now` to the time in `value`; nothing when it is no time.
std::optional<double> SecondsUntil(const Json& value, WallTime now) {
  const auto time = value.is_string() ? ParseTime(value.get<std::string>(), now)
                                      : Error{ErrorCode::kParse, "", 0, ""};
  return time ? std::optional(ToSeconds(*time - now)) : std::nullopt;
}

std::string NextTryText(const Json& row, WallTime now) {
  const auto seconds = SecondsUntil(row.at("next_retry_at"), now);
  return seconds ? "in " + SecondsText(*seconds) : kUnknown;
}

std::string LastExitText(const Json& row, WallTime now) {
  const Json& exit = row.at("last_exit");
  if (!exit.is_object()) return kUnknown;
  const auto seconds = SecondsUntil(exit.at("at"), now);
  return TextOr(exit.at("text")) + (seconds ? ", " + SecondsText(-*seconds) + " ago" : "");
}

std::string UnusedText(const Json& row) {
  return row.at("idle") == true ? SecondsOr(row.at("idle_seconds")) : kUnknown;
}

std::string Table(const Json& services, WallTime now, size_t columns) {
  TextTable table({"NAME", "MODEL", "PORT>", "PID>", "STATE", "READY", "UPTIME>", "RESTARTS>",
                   "NEXT TRY>", "CPU %>", "MEMORY MiB>", "MEM %>", "WATTS>", "UNUSED>",
                   "LAST EXIT"});
  for (const Json& row : services) {
    table.Add({TextOr(row.at("name")), ModelText(row), NumberOr(row.at("port"), "%.0f"),
               NumberOr(row.at("pid"), "%.0f"), StateText(row), ReadyText(row),
               SecondsOr(row.at("uptime_seconds")), RestartsText(row), NextTryText(row, now),
               NumberOr(row.at("cpu_percent"), "%.1f"),
               NumberOr(row.at("memory_bytes"), "%.1f", 1.0 / (1 << 20)),
               NumberOr(row.at("memory_percent"), "%.1f"), NumberOr(row.at("watts"), "%.2f"),
               UnusedText(row), LastExitText(row, now)});
  }
  table.DropEmpty(kUnknown);
  table.Fit(columns, {"NAME", "MODEL", "LAST EXIT"});
  return table.ToString();
}

std::string Status(const Json& services, const Json& alerts, WallTime now, size_t columns) {
  std::string out = NumberOr(services.at("total"), "%.0f") + " services, " +
                    NumberOr(services.at("ready"), "%.0f") + " ready, " +
                    NumberOr(services.at("running"), "%.0f") + " running\n";
  const std::string table = Table(services.at("services"), now, columns);
  const std::vector<std::string_view> rows = Split(table, '\n');
  size_t at = 0;
  out += std::string(rows[at++]) + "\n";
  for (const Json& row : services.at("services")) {
    out += std::string(rows[at++]) + "\n";
    for (const char* more : {"failure", "note"}) {
      if (row.at(more).is_string()) out += Wrapped("    ", TextOr(row.at(more)), columns);
    }
  }
  for (const Json& alert : alerts.at("alerts")) {
    out += Wrapped(TextOr(alert.at("alert")) + " (" + TextOr(alert.at("severity")) + ", " +
                       TextOr(alert.at("state")) + "): ",
                   TextOr(alert.at("summary")), columns);
  }
  return out;
}

}  // namespace

Result<std::string> StatusTable(const std::string& services_body, const std::string& alerts_body,
                                WallTime now, size_t columns) {
  const Json services = Json::parse(services_body, nullptr, false);
  const Json alerts = Json::parse(alerts_body, nullptr, false);
  if (!services.is_object() || !services.contains("services")) return UnexpectedAnswer("services");
  if (!alerts.is_object() || !alerts.contains("alerts")) return UnexpectedAnswer("alerts");
  try {
    return Status(services, alerts, now, columns);
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

}  // namespace idlewatt
