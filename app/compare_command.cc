#include "app/compare_command.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/database_path.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "app/output_file.h"
#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"
#include "exporters/compare.h"
#include "storage/history_reader.h"

namespace idlewatt {
namespace {

constexpr const char* kUnknown = "-";
constexpr double kBytesPerMebibyte = 1024 * 1024;

std::string Fixed(double value, int decimals) {
  std::string out = Format("%.*f", decimals, value);
  const bool is_minus_zero =
      out.starts_with('-') && out.find_first_of("123456789") == std::string::npos;
  return is_minus_zero ? out.substr(1) : out;
}

// A row as people read it: memory in MiB, and no more digits than the interval allows.
class Row {
 public:
  explicit Row(const Json& json)
      : json_(json), scale_(json.at("unit") == "bytes" ? 1 / kBytesPerMebibyte : 1) {}

  std::string Text(const char* key) const {
    return json_.at(key).is_string() ? Printable(json_.at(key).get<std::string>()) : kUnknown;
  }
  std::string Unit() const { return scale_ == 1 ? Text("unit") : "MiB"; }
  bool Has(const char* key) const { return json_.at(key).is_number(); }
  double Value(const char* key) const { return json_.at(key).get<double>() * scale_; }
  std::string Number(const char* key, double factor = 1) const {
    return Has(key) ? Fixed(factor * Value(key), Decimals()) : kUnknown;
  }
  std::string Interval() const {
    return Has("low") ? Number("low") + " to " + Number("high") : kUnknown;
  }
  // "-22 %", "+0.4 %".
  std::string Relative() const {
    if (!Has("relative")) return kUnknown;
    const double percent = json_.at("relative").get<double>() * 100;
    const bool is_small = std::abs(percent) < 9.95;
    return (percent >= 0 ? "+" : "") + Fixed(percent, is_small ? 1 : 0) + " %";
  }
  std::string Samples(const char* window) const {
    return std::to_string(json_.at("samples").at(window).get<int64_t>());
  }
  bool IsMeasured() const { return Has("before") || Has("after"); }
  bool IsOf(const Json& service) const { return json_.at("service") == service; }
  // "machine", or the name of the service.
  std::string Of() const { return IsOf(nullptr) ? "machine" : Text("service"); }
  std::string Quantity() const { return Text("quantity"); }
  std::string Verdict() const { return Text("verdict"); }
  const Json& json() const { return json_; }

 private:
  // As many that half the interval's width is two or more of the last; without an interval three
  // digits of the larger mean.
  int Decimals() const {
    constexpr int kMost = 3;
    double least = 0;
    if (Has("low")) {
      least = (Value("high") - Value("low")) / 4;
    } else {
      for (const char* key : {"before", "after"}) {
        if (Has(key)) least = std::max(least, std::abs(Value(key)) / 100);
      }
    }
    if (least <= 0) return kMost;
    return std::clamp(-static_cast<int>(std::floor(std::log10(least))), 0, kMost);
  }

  const Json& json_;
  double scale_;
};

std::vector<Row> RowsOf(const Json& answer) {
  std::vector<Row> rows;
  for (const Json& row : answer.at("rows")) rows.emplace_back(row);
  return rows;
}

std::string WindowLine(const std::string& name, const Json& window) {
  const auto length =
      std::chrono::milliseconds(std::llround(window.at("seconds").get<double>() * 1000));
  const double percent = window.at("measured").get<double>() * 100;
  return name + "  " + window.at("since").get<std::string>() + " to " +
         window.at("until").get<std::string>() + ", " + FormatDuration(length) + ", " +
         Fixed(percent, 0) + " % of it measured\n";
}

std::string Table(const std::vector<Row>& rows) {
  TextTable table({"OF", "QUANTITY", "UNIT", "BEFORE>", "AFTER>", "DIFFERENCE>", "95 % INTERVAL>",
                   "RELATIVE>", "SAMPLES>", "VERDICT"});
  for (const Row& row : rows) {
    table.Add({row.Of(), row.Quantity(), row.Unit(), row.Number("before"), row.Number("after"),
               row.Number("difference"), row.Interval(), row.Relative(),
               row.Samples("before") + ", " + row.Samples("after"), row.Verdict()});
  }
  return table.ToString();
}

// "machine: 331 Wh before, 258 Wh after", for each whose energy was measured.
std::string EnergyLines(const std::vector<Row>& rows) {
  std::string lines;
  for (const Row& row : rows) {
    if (!row.json().contains("watt_hours") || !row.IsMeasured()) continue;
    const auto watt_hours = [&row](const char* window) {
      const Json& value = row.json().at("watt_hours").at(window);
      return value.is_number() ? Fixed(value.get<double>(), 1) + " Wh " : std::string("nothing ");
    };
    lines += row.Of() + ": " + watt_hours("before") + "measured before, " + watt_hours("after") +
             "after\n";
  }
  return lines;
}

// The power of what was asked for; its CPU where power is not measured.
const Row* MainRow(const std::vector<Row>& rows, const Json& service) {
  const Row* main = nullptr;
  for (const Row& row : rows) {
    if (!row.IsOf(service) || (row.Quantity() != "power" && row.Quantity() != "CPU")) continue;
    if (main == nullptr || (!main->IsMeasured() && row.IsMeasured())) main = &row;
  }
  return main;
}

std::string Sentence(const Row& row) {
  const std::string of = row.IsOf(nullptr) ? "the machine" : row.Of();
  const std::string verb = row.Quantity() == "power" ? " drew " : " used ";
  const std::string unit = " " + row.Unit();
  const std::string verdict = row.Verdict();
  if (verdict == "less" || verdict == "more") {
    const bool is_less = verdict == "less";
    const double sign = is_less ? -1 : 1;
    const std::string relative = row.Has("relative") ? ", " + row.Relative() : "";
    return (row.IsOf(nullptr) ? "The machine" : of) + verb + row.Number("difference", sign) + unit +
           " " + verdict + " (95 % interval " + row.Number(is_less ? "high" : "low", sign) +
           " to " + row.Number(is_less ? "low" : "high", sign) + unit + relative + ").\n";
  }
  if (row.Has("low")) {
    return "No difference shown: " + of + verb + "between " + row.Number("low", -1) + unit +
           " less and " + row.Number("high") + unit + " more.\n";
  }
  return "Too little data to say whether " + of + verb + "more or less (" + row.Samples("before") +
         " samples before, " + row.Samples("after") + " after): take longer windows.\n";
}

std::string TableText(const Json& answer) {
  const std::vector<Row> rows = RowsOf(answer);
  std::string text = WindowLine("before", answer.at("before")) +
                     WindowLine("after ", answer.at("after")) + "\n" + Table(rows) + "\n" +
                     EnergyLines(rows);
  if (answer.at("note").is_string()) {
    text += Printable(answer.at("note").get<std::string>()) + "\n";
  }
  if (const auto damaged = answer.at("damaged_rows").get<int64_t>(); damaged > 0) {
    text += std::to_string(damaged) + " damaged rows of the history were skipped.\n";
  }
  const Row* main = MainRow(rows, answer.at("service"));
  return main == nullptr ? text : text + Sentence(*main);
}

Result<std::string> FromDaemon(const CompareArguments& arguments) {
  std::string path = "/api/v1/compare?before=" + UrlEncode(arguments.before) +
                     "&after=" + UrlEncode(arguments.after);
  if (!arguments.service.empty()) path += "&service=" + UrlEncode(arguments.service);
  return HttpGet(arguments.http, path);
}

Result<std::string> FromFile(const CompareArguments& arguments) {
  const WallTime now = RealClock().Now().wall;
  CompareRequest request;
  ASSIGN_OR_RETURN(request.before, ParseTimeSpan("before", arguments.before, now));
  ASSIGN_OR_RETURN(request.after, ParseTimeSpan("after", arguments.after, now));
  request.service = arguments.service;
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(arguments.db));
  const auto range = [&reader](const Selector& selector, const RangeWindow& window) {
    return QueryRange(selector, window, nullptr, &reader);
  };
  ASSIGN_OR_RETURN(const Json answer, CompareJson(request, range));
  WarnOf(arguments.db, reader, /*damaged_rows=*/0);  // the answer tells of those
  return DumpJson(answer);
}

}  // namespace

int CompareCommand(const CompareArguments& arguments) {
  const Result<std::string> answer =
      arguments.db.empty() ? FromDaemon(arguments) : FromFile(arguments);
  if (!answer) return Fail(answer.error());
  const Result<std::string> text = CompareText(*answer, arguments.format);
  if (!text) return Fail(text.error());
  const Result<void> printed = PrintText(*text);
  return printed ? kExitDone : Fail(printed.error());
}

Result<std::string> CompareText(const std::string& answer, const std::string& format) {
  const Json json = Json::parse(answer, nullptr, false);
  if (!json.is_object() || !json.contains("rows")) return UnexpectedAnswer("rows");
  if (format == "json") return json.dump(2) + "\n";
  try {
    return TableText(json);
  } catch (const nlohmann::json::exception& error) {
    return UnexpectedAnswer(error.what());
  }
}

}  // namespace idlewatt
