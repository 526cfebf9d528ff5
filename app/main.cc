#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/baseline_command.h"
#include "app/commands.h"
#include "app/compare_command.h"
#include "app/db_commands.h"
#include "app/energy_text.h"
#include "app/idle_command.h"
#include "app/idle_report_command.h"
#include "app/output_file.h"
#include "app/service_commands.h"
#include "app/transfer.h"
#include "exporters/http_server.h"
#include "exporters/version.h"

namespace idlewatt {
namespace {

constexpr const char* kDescription =
    "idlewatt measures which of your servers burns power while nobody uses it, since when, and "
    "what it cost.";
constexpr const char* kFooter =
    "Exit codes: 0 done, 1 it could not be done (one sentence on stderr), 2 wrong usage.\n"
    "Times are RFC 3339 (2026-11-21T03:37:00Z) or how long ago (24h, 7d).\n"
    "Environment: IDLEWATT_HTTP names the daemon that client commands ask, IDLEWATT_TOKEN is the\n"
    "token they show to control it (else control.token in its data folder); NO_COLOR is honoured.";

void AddHttpOption(CLI::App& command, std::string& http) {
  http = HttpServer::Options().listen;
  command.add_option("--http", http, "ADDR:PORT of the daemon")
      ->envname("IDLEWATT_HTTP")
      ->capture_default_str();
}

// Each function below adds one command, whose run leaves its exit code in `exit_code`. What is
// parsed into lives as long as the program.

void AddRun(CLI::App& app, int& exit_code) {
  static RunArguments arguments;
  CLI::App* run = app.add_subcommand("run", "Measure, record, and run the configured services");
  run->add_option("--config", arguments.config, "Configuration file (TOML); else defaults");
  run->add_option("--http", arguments.http, "Listen on ADDR:PORT; port 0 takes a free one");
  run->add_option("--data-dir", arguments.data_dir, "Folder of the history and the logs");
  run->add_option("--procfs", arguments.procfs, "Read this folder in the place of /proc")
      ->capture_default_str();
  run->add_option("--sysfs", arguments.sysfs, "Read this folder in the place of /sys")
      ->capture_default_str();
  run->callback([&exit_code] { exit_code = RunCommand(arguments); });
}

void AddCheckConfig(CLI::App& app, int& exit_code) {
  static std::string path;
  CLI::App* check = app.add_subcommand("check-config", "Say what is wrong with a configuration");
  check->add_option("FILE", path, "Configuration file (TOML)")->required();
  check->callback([&exit_code] { exit_code = CheckConfigCommand(path); });
}

void AddSensors(CLI::App& app, int& exit_code) {
  static SensorsArguments arguments;
  CLI::App* sensors = app.add_subcommand(
      "sensors", "What can be measured here, at what cost, and what can't and why");
  sensors->add_option("--config", arguments.config, "Configuration file (TOML)");
  sensors->add_option("--procfs", arguments.procfs, "In the place of /proc")->capture_default_str();
  sensors->add_option("--sysfs", arguments.sysfs, "In the place of /sys")->capture_default_str();
  sensors->add_flag("--json", arguments.json, "Print JSON");
  sensors->callback([&exit_code] { exit_code = SensorsCommand(arguments); });
}

void AddStatus(CLI::App& app, int& exit_code) {
  static std::string http;
  static bool json = false;
  CLI::App* status = app.add_subcommand("status", "Services of a running daemon");
  AddHttpOption(*status, http);
  status->add_flag("--json", json, "Print JSON");
  status->callback([&exit_code] { exit_code = StatusCommand(http, json); });
}

void AddServiceCommand(CLI::App& app, int& exit_code, ServiceRequest request,
                       const char* description) {
  static std::array<ServiceArguments, 3> all_arguments;
  ServiceArguments& arguments = all_arguments[static_cast<size_t>(request)];
  CLI::App* command = app.add_subcommand(std::string(ServiceRequestName(request)), description);
  command->add_option("NAME", arguments.names, "Services")
      ->excludes(command->add_flag("--all", arguments.all,
                                   "Every supervised service that is not disabled"));
  command->add_flag("!--no-wait", arguments.wait, "Do not wait until it is done");
  command->add_option("--timeout", arguments.timeout, "How long to wait")->capture_default_str();
  AddHttpOption(*command, arguments.http);
  command->callback([&exit_code, &arguments, request] {
    if (arguments.names.empty() && !arguments.all) throw CLI::RequiredError("NAME or --all");
    exit_code = ServiceCommand(request, arguments);
  });
}

// `rest` is what follows --command on the command line; nothing without it.
void AddSwap(CLI::App& app, int& exit_code, const std::optional<std::vector<std::string>>& rest) {
  static SwapArguments arguments;
  static bool has_command = false;
  CLI::App* swap = app.add_subcommand(
      "swap", "Give a service another model or command; the old one serves until the new is ready");
  swap->add_option("NAME", arguments.name, "Service")->required();
  swap->add_option("--model", arguments.model, "What ${MODEL} stands for in its command");
  swap->add_flag("--command", has_command,
                 "All that follows, to the end of the line, is its new program with its arguments");
  AddHttpOption(*swap, arguments.http);
  swap->callback([&exit_code, &rest] {
    if (rest) arguments.command = *rest;
    if (arguments.model.empty() && arguments.command.empty()) {
      throw CLI::RequiredError("--model MODEL or --command PROGRAM ARGUMENT…");
    }
    exit_code = SwapCommand(arguments);
  });
}

void AddProfile(CLI::App& app, int& exit_code) {
  static std::string http, name;
  static bool json = false;
  CLI::App* profile = app.add_subcommand("profile", "Groups of services that run together");
  profile->require_subcommand(1);
  CLI::App* list = profile->add_subcommand("list", "The profiles and their services");
  AddHttpOption(*list, http);
  list->add_flag("--json", json, "Print JSON");
  list->callback([&exit_code] { exit_code = ProfileListCommand(http, json); });
  CLI::App* activate = profile->add_subcommand(
      "activate", "Stop the services of other profiles and start those of this one");
  activate->add_option("NAME", name, "Profile")->required();
  AddHttpOption(*activate, http);
  activate->callback([&exit_code] { exit_code = ProfileActivateCommand(http, name); });
}

void AddLogs(CLI::App& app, int& exit_code) {
  static LogsArguments arguments;
  CLI::App* logs = app.add_subcommand("logs", "The last output of a service");
  logs->add_option("NAME", arguments.name, "Service")->required();
  logs->add_flag("-f,--follow", arguments.follow, "Go on with what it writes, until Ctrl-C");
  logs->add_option("-n,--lines", arguments.lines, "How many lines")->capture_default_str();
  AddHttpOption(*logs, arguments.http);
  logs->callback([&exit_code] { exit_code = LogsCommand(arguments); });
}

void AddReload(CLI::App& app, int& exit_code) {
  static std::string http;
  CLI::App* reload = app.add_subcommand(
      "reload", "Apply the configuration file as it is now; only what changed restarts");
  AddHttpOption(*reload, http);
  reload->callback([&exit_code] { exit_code = ReloadCommand(http); });
}

void AddFormatOption(CLI::App& command, std::string& format) {
  command.add_option("--format", format, "table, json or csv")
      ->check(CLI::IsMember({"table", "json", "csv"}))
      ->capture_default_str();
}

void AddQueryRange(CLI::App& query, int& exit_code) {
  static QueryRangeArguments arguments;
  CLI::App* range = query.add_subcommand("range", "Values of series over time");
  range->add_option("SELECTOR", arguments.selector, "METRIC or 'METRIC{label=\"value\",…}'")
      ->required();
  range->add_option("--since", arguments.since, "First time")->capture_default_str();
  range->add_option("--until", arguments.until, "Last time")->capture_default_str();
  range->add_option("--step", arguments.step, "One value each step, see --fn");
  range
      ->add_option(
          "--fn", arguments.function,
          "What a value says of its step: avg, min, max, last, and of counters increase and "
          "rate (per second); else the average of a gauge, the last of a counter")
      ->check(CLI::IsMember({"avg", "min", "max", "last", "increase", "rate"}));
  AddFormatOption(*range, arguments.format);
  range->add_option("--db", arguments.db, "Read this database file, without a daemon");
  AddHttpOption(*range, arguments.http);
  range->callback([&exit_code] { exit_code = QueryRangeCommand(arguments); });
}

void AddQuerySeries(CLI::App& query, int& exit_code) {
  static QuerySeriesArguments arguments;
  CLI::App* series = query.add_subcommand(
      "series", "The series of the history: kind, unit, first and last time, number of samples");
  series->add_option("SELECTOR", arguments.selector,
                     "METRIC or 'METRIC{label=\"value\",…}'; else all");
  AddFormatOption(*series, arguments.format);
  series->add_option("--db", arguments.db, "Read this database file, without a daemon");
  AddHttpOption(*series, arguments.http);
  series->callback([&exit_code] { exit_code = QuerySeriesCommand(arguments); });
}

void AddQuerySql(CLI::App& query, int& exit_code) {
  static QuerySqlArguments arguments;
  CLI::App* sql = query.add_subcommand(
      "sql",
      "Rows of one SQL statement that reads the database file, also while a daemon writes it.\n"
      "Tables: samples(metric, labels, time_ms, value), series, rollup_1h, rollup_1d,\n"
      "idle_interval, event; see docs/history.md.");
  sql->add_option("SQL", arguments.sql, "Such as 'SELECT metric, count(*) FROM series GROUP BY 1'")
      ->required();
  AddFormatOption(*sql, arguments.format);
  sql->add_option("--db", arguments.db,
                  "Database file; else that of the running daemon, or of the default data folder");
  sql->callback([&exit_code] { exit_code = QuerySqlCommand(arguments); });
}

void AddQueryIdlePower(CLI::App& query, int& exit_code) {
  static QueryIdlePowerArguments arguments;
  CLI::App* idle = query.add_subcommand(
      "idle-power", "Which services used energy while nobody used them, and how much");
  idle->add_option("--since", arguments.since, "First time")->capture_default_str();
  idle->add_option("--until", arguments.until, "Last time")->capture_default_str();
  idle->add_option("--by", arguments.view.by, "A row for each service, hour or day (UTC)")
      ->check(CLI::IsMember({"service", "hour", "day"}))
      ->capture_default_str();
  idle->add_option("--service", arguments.view.service, "Only this service");
  AddFormatOption(*idle, arguments.view.format);
  idle->add_option("--db", arguments.db, "Read this database file, without a daemon");
  AddHttpOption(*idle, arguments.http);
  idle->callback([&exit_code] { exit_code = QueryIdlePowerCommand(arguments); });
}

void AddQuery(CLI::App& app, int& exit_code) {
  CLI::App* query = app.add_subcommand("query", "Ask the history");
  query->require_subcommand(1);
  AddQueryRange(*query, exit_code);
  AddQuerySeries(*query, exit_code);
  AddQuerySql(*query, exit_code);
  AddQueryIdlePower(*query, exit_code);
}

void AddBaseline(CLI::App& app, int& exit_code) {
  static BaselineArguments arguments;
  CLI::App* baseline = app.add_subcommand(
      "baseline", "What the idle machine should draw; an alert tells when it draws more");
  baseline->require_subcommand(1);
  CLI::App* set = baseline->add_subcommand("set", "Measure it in idle minutes of the history");
  set->add_option("NAME", arguments.name, "What to call it")->required();
  set->add_option("--since", arguments.since, "First time")->capture_default_str();
  set->add_option("--until", arguments.until, "Last time")->capture_default_str();
  AddHttpOption(*set, arguments.http);
  set->callback([&exit_code] { exit_code = BaselineSetCommand(arguments); });
  CLI::App* show = baseline->add_subcommand("show", "The baseline");
  show->add_flag("--json", arguments.json, "Print JSON");
  AddHttpOption(*show, arguments.http);
  show->callback([&exit_code] { exit_code = BaselineShowCommand(arguments); });
  CLI::App* clear = baseline->add_subcommand("clear", "Take it away");
  AddHttpOption(*clear, arguments.http);
  clear->callback([&exit_code] { exit_code = BaselineClearCommand(arguments); });
}

void AddCompare(CLI::App& app, int& exit_code) {
  static CompareArguments arguments;
  CLI::App* compare = app.add_subcommand(
      "compare", "Before and after: does the machine use less in one window than in another?");
  compare->add_option("BEFORE", arguments.before, "SINCE..UNTIL, as in 48h..24h")->required();
  compare->add_option("AFTER", arguments.after, "SINCE..UNTIL, as in 24h..now")->required();
  compare->add_option("--service", arguments.service, "Compare this service too");
  compare->add_option("--format", arguments.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  compare->add_option("--db", arguments.db, "Read this database file, without a daemon");
  AddHttpOption(*compare, arguments.http);
  compare->callback([&exit_code] { exit_code = CompareCommand(arguments); });
}

// What CLI11 says when it is no price; empty when it is one.
std::string WrongPrice(const std::string& text) {
  const Result<EnergyPrice> price = EnergyPrice::Parse(text, "");
  return price ? "" : price.error().ToString();
}

void AddReportIdle(CLI::App& report, int& exit_code) {
  static IdleReportArguments arguments;
  CLI::App* idle = report.add_subcommand(
      "idle", "What the services used while nobody used them, and what to do about it");
  idle->add_option("--since", arguments.since, "First time")->capture_default_str();
  idle->add_option("--until", arguments.until, "Last time")->capture_default_str();
  idle->add_option("--format", arguments.format, "text, json or html (one page, to keep or print)")
      ->check(CLI::IsMember({"text", "json", "html"}))
      ->capture_default_str();
  CLI::Option* price =
      idle->add_option("--price-per-kwh", arguments.price_per_kwh, "Tell costs too; such as 0.30")
          ->check(CLI::Validator(WrongPrice, "PRICE"));
  idle->add_option("--currency", arguments.currency, "Written behind costs, such as EUR")
      ->needs(price);
  idle->add_option("--output", arguments.output, "Into this file; else to standard output");
  idle->add_option("--db", arguments.db, "Read this database file, without a daemon");
  AddHttpOption(*idle, arguments.http);
  idle->callback([&exit_code] { exit_code = IdleReportCommand(arguments); });
}

void AddReport(CLI::App& app, int& exit_code) {
  CLI::App* report = app.add_subcommand("report", "Write a report");
  report->require_subcommand(1);
  AddReportIdle(*report, exit_code);
}

void AddExport(CLI::App& app, int& exit_code) {
  static ExportArguments arguments;
  CLI::App* command = app.add_subcommand("export", "Write the history as text");
  command->add_option("--format", arguments.format, "openmetrics, csv or jsonl (JSON lines)")
      ->check(CLI::IsMember({"openmetrics", "csv", "jsonl"}))
      ->capture_default_str();
  command
      ->add_option("--match", arguments.match,
                   "Only series of METRIC or 'METRIC{label=\"value\",…}'; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--since", arguments.since, "First time; else all");
  command->add_option("--until", arguments.until, "Last time; else all");
  command->add_option("--db", arguments.db, "Database file; else that of the daemon");
  command->add_option("--output", arguments.output, "Into this file; else to standard output");
  command->callback([&exit_code] { exit_code = ExportCommand(arguments); });
}

void AddImport(CLI::App& app, int& exit_code) {
  static ImportArguments arguments;
  CLI::App* command = app.add_subcommand("import", "Add samples of other times to the history");
  command->add_option("FILE", arguments.file, "OpenMetrics text with timestamps; - reads a pipe")
      ->required();
  command->add_option("--format", arguments.format, "openmetrics")
      ->check(CLI::IsMember({"openmetrics"}))
      ->capture_default_str();
  command->add_option("--db", arguments.db,
                      "Database file, made if it is not there; else that of the daemon");
  command->callback([&exit_code] { exit_code = ImportCommand(arguments); });
}

void AddDb(CLI::App& app, int& exit_code) {
  static std::string path, target;
  static bool json = false;
  CLI::App* db = app.add_subcommand("db", "Care of the history");
  db->require_subcommand(1);
  const auto add = [db](const char* name, const char* description) {
    CLI::App* command = db->add_subcommand(name, description);
    command->add_option(
        "--db", path,
        "Database file; else that of the running daemon, or of the default data folder");
    return command;
  };
  CLI::App* stats = add("stats", "What it holds and what that costs");
  stats->add_flag("--json", json, "Print JSON");
  stats->callback([&exit_code] { exit_code = DbStatsCommand(path, json); });
  add("check", "Read every row and say what is damaged")->callback([&exit_code] {
    exit_code = DbCheckCommand(path);
  });
  add("repair", "Save what can be read of a damaged one; no daemon may use it")
      ->callback([&exit_code] { exit_code = DbRepairCommand(path); });
  add("vacuum", "Make the file as small as it can be, also while a daemon records")
      ->callback([&exit_code] { exit_code = DbVacuumCommand(path); });
  CLI::App* backup = add("backup", "Copy it to a new file, also while a daemon records");
  backup->add_option("FILE", target, "The copy; there must be no such file")->required();
  backup->callback([&exit_code] { exit_code = DbBackupCommand(path, target); });
}

void AddVersion(CLI::App& app) {
  app.add_subcommand("version", "Print the version")->callback([] {
    std::printf("idlewatt %s\n", std::string(kVersion).c_str());
  });
}

// Cuts off what follows --command of `swap`: it has options of its own.
std::optional<std::vector<std::string>> CutCommand(std::vector<std::string>& words) {
  const auto end = std::find(words.begin(), words.end(), "--command");
  if (words.empty() || words[0] != "swap" || end == words.end()) return std::nullopt;
  std::vector<std::string> rest(end + 1, words.end());
  words.erase(end + 1, words.end());
  return rest;
}

}  // namespace
}  // namespace idlewatt

// NOLINTNEXTLINE(bugprone-exception-escape): any other exception is a bug, which terminate() tells.
int main(int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const auto command = idlewatt::CutCommand(words);
  CLI::App app(idlewatt::kDescription, "idlewatt");
  app.footer(idlewatt::kFooter);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Print the help of all commands and exit");
  int exit_code = 0;
  idlewatt::AddRun(app, exit_code);
  idlewatt::AddCheckConfig(app, exit_code);
  idlewatt::AddSensors(app, exit_code);
  idlewatt::AddStatus(app, exit_code);
  using idlewatt::ServiceRequest;
  idlewatt::AddServiceCommand(app, exit_code, ServiceRequest::kStart,
                              "Start services and wait until they are ready");
  idlewatt::AddServiceCommand(app, exit_code, ServiceRequest::kStop,
                              "Stop services and wait until no process of them is left");
  idlewatt::AddServiceCommand(app, exit_code, ServiceRequest::kRestart,
                              "Stop services, start them and wait until they are ready");
  idlewatt::AddSwap(app, exit_code, command);
  idlewatt::AddProfile(app, exit_code);
  idlewatt::AddLogs(app, exit_code);
  idlewatt::AddReload(app, exit_code);
  idlewatt::AddQuery(app, exit_code);
  idlewatt::AddBaseline(app, exit_code);
  idlewatt::AddCompare(app, exit_code);
  idlewatt::AddReport(app, exit_code);
  idlewatt::AddExport(app, exit_code);
  idlewatt::AddImport(app, exit_code);
  idlewatt::AddDb(app, exit_code);
  idlewatt::AddVersion(app);
  try {
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) != 0) return 2;
  }
  return idlewatt::FlushOutput(exit_code);
}
