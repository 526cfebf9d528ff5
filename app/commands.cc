#include "app/commands.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "app/config.h"
#include "app/daemon.h"
#include "app/database_path.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "app/logging.h"
#include "app/sd_notify.h"
#include "app/sql_text.h"
#include "app/status_table.h"
#include "app/tables.h"
#include "app/terminal.h"
#include "base/duration.h"
#include "exporters/json_views.h"
#include "storage/history_reader.h"
#include "supervisor/service_sampler.h"

namespace idlewatt {
namespace {

// The configuration with what the command line overrides. Warnings go to the log.
Result<Config> ConfigOf(const RunArguments& arguments) {
  Config config;
  if (!arguments.config.empty()) {
    std::vector<std::string> warnings;
    ASSIGN_OR_RETURN(config, LoadConfig(arguments.config, warnings));
    SetUpLogging(config.log_level, config.log_format);
    for (const std::string& warning : warnings) spdlog::warn("{}", warning);
    for (const std::string& doubt : Doubts(config)) spdlog::warn("{}", doubt);
  } else {
    SetUpLogging(config.log_level, config.log_format);
  }
  if (!arguments.http.empty()) config.http.listen = arguments.http;
  if (!arguments.data_dir.empty()) config.data_dir = arguments.data_dir;
  return config;
}

// For a reload: what the command line says stays.
Result<Config> LoadConfigAgain(const std::string& path) {
  if (path.empty()) {
    return Error{ErrorCode::kInvalid, "", 0,
                 "this daemon runs without a configuration file, so there is nothing to reload"};
  }
  std::vector<std::string> warnings;
  ASSIGN_OR_RETURN(Config config, LoadConfig(path, warnings));
  for (const std::string& warning : warnings) spdlog::warn("{}", warning);
  return config;
}

// Blocks what the daemon waits for or must not die of, before any thread is started: threads
// inherit it. The supervisor reaps orphans by SIGCHLD.
sigset_t BlockSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  sigset_t blocked = signals;
  ::sigaddset(&blocked, SIGCHLD);
  ::sigaddset(&blocked, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  return signals;
}

// The next of `signals` that arrives.
int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  while (::sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

// Stops every service; a second SIGTERM or SIGINT kills them at once.
void StopServices(Supervisor& supervisor, const sigset_t& signals) {
  supervisor.StopAll();
  bool killed = false;
  while (!supervisor.WaitAllStopped(std::chrono::milliseconds(50))) {
    const timespec no_wait{};
    const int signal = ::sigtimedwait(&signals, nullptr, &no_wait);
    if ((signal == SIGTERM || signal == SIGINT) && !killed) {
      spdlog::warn("asked again: killing what still runs");
      supervisor.KillAll();
      killed = true;
    }
  }
}

}  // namespace

int RunCommand(const RunArguments& arguments) {
  // Else every HTTP worker gets a heap of its own, and what one large answer needed stays in each:
  // 18.2 MiB resident after 360 answers by 16 workers, 14.2 MiB so.
  ::mallopt(M_ARENA_MAX, 2);
  const SdNotify manager = SdNotify::FromEnvironment();
  const Result<Config> config = ConfigOf(arguments);
  if (!config) return Fail(config.error());
  auto roots = OpenRoots(arguments.procfs, arguments.sysfs);
  if (!roots) return Fail(roots.error());
  const sigset_t signals = BlockSignals();
  auto daemon = Daemon::Start(
      *config, std::move(*roots), [&arguments] { return LoadConfigAgain(arguments.config); },
      manager);
  if (!daemon) return Fail(daemon.error());
  spdlog::info("page, API and metrics at http://{}/", (*daemon)->address());
  spdlog::info("history in {}, {} services, one measurement every {}", config->data_dir,
               config->services.size(), FormatDuration(config->collector.interval));
  manager.Ready();
  while (WaitForSignal(signals) == SIGHUP) {
    (void)(*daemon)->Reload();  // it tells what came of it
  }
  spdlog::info("stopping");
  manager.Stopping();
  StopServices((*daemon)->supervisor(), signals);
  if (!(*daemon)->Stop()) {
    spdlog::default_logger()->flush();
    std::_Exit(kExitDone);  // a driver hangs: what its thread uses must stay
  }
  spdlog::info("stopped");
  return kExitDone;
}

int CheckConfigCommand(const std::string& path) {
  std::vector<std::string> warnings;
  const Result<Config> config = LoadConfig(path, warnings);
  if (config) {
    for (std::string& doubt : Doubts(*config)) {
      warnings.push_back(std::move(doubt.insert(0, path + ": ")));
    }
    for (std::string& doubt : PortDoubts(*config)) {
      warnings.push_back(std::move(doubt.insert(0, path + ": ")));
    }
  }
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "idlewatt: warning: %s\n", warning.c_str());
  }
  if (!config) return Fail(config.error());
  std::printf("%s is right: %zu services, %zu watched\n", path.c_str(), config->services.size(),
              config->collector.watched.size());
  return kExitDone;
}

namespace {

// Keeps the last frame.
class LastFrame final : public FrameSink {
 public:
  void OnFrame(Frame frame) override { last = std::move(frame); }
  Frame last;
};

}  // namespace

int SensorsCommand(const SensorsArguments& arguments) {
  SetUpLogging("error", "text");
  Config config;
  std::vector<std::string> warnings;
  if (!arguments.config.empty()) {
    Result<Config> loaded = LoadConfig(arguments.config, warnings);
    if (!loaded) return Fail(loaded.error());
    config = std::move(*loaded);
  }
  auto roots = OpenRoots(arguments.procfs, arguments.sysfs);
  if (!roots) return Fail(roots.error());
  const bool live = arguments.procfs == "/proc" && arguments.sysfs == "/sys";
  const RealClock clock;
  SeriesRegistry registry;
  SnapshotBuilder builder(registry);
  Analyzer analyzer(config.analysis);
  LastFrame sink;
  SamplingLoop::Options options;
  options.lane_patience = std::chrono::seconds(5);  // nobody waits for a tick here
  std::vector<ScheduledSampler> samplers = MakeSamplers({*roots, config.collector, nullptr, live});
  samplers.push_back({std::make_unique<ServiceSampler>(nullptr, *roots), {}});
  SamplingLoop loop(options, std::move(samplers), registry, clock, sink);
  loop.Tick();
  builder.Apply(sink.last);
  Readings derived(registry);
  analyzer.Analyze(builder.Current(), derived);
  std::vector<SourceStatus> sources = sink.last.sources;
  for (SourceStatus& source : analyzer.Sources()) sources.push_back(std::move(source));
  if (arguments.json) {
    Snapshot snapshot;
    snapshot.sources = std::move(sources);
    std::printf("%s\n", SensorsJson(snapshot).dump(2).c_str());
  } else {
    std::fputs(SensorsTable(sources).c_str(), stdout);
  }
  if (!loop.StopLanes()) std::_Exit(kExitDone);
  return kExitDone;
}

int StatusCommand(const std::string& http, bool json) {
  const Result<std::string> services = HttpGet(http, "/api/v1/services");
  if (!services) return Fail(services.error());
  if (json) {
    std::fputs(services->c_str(), stdout);
    return kExitDone;
  }
  const Result<std::string> alerts = HttpGet(http, "/api/v1/alerts");
  if (!alerts) return Fail(alerts.error());
  constexpr size_t kUnlimited = std::numeric_limits<size_t>::max();
  const auto terminal = TerminalOf(STDOUT_FILENO);
  const Result<std::string> table = StatusTable(*services, *alerts, RealClock().Now().wall,
                                                terminal ? terminal->columns : kUnlimited);
  if (!table) return Fail(table.error());
  std::fputs(table->c_str(), stdout);
  return kExitDone;
}

namespace {

Result<std::string> RangeFromDaemon(const QueryRangeArguments& arguments) {
  std::string path = "/api/v1/range?metric=" + UrlEncode(arguments.selector) +
                     "&since=" + UrlEncode(arguments.since) +
                     "&until=" + UrlEncode(arguments.until);
  if (!arguments.step.empty()) path += "&step=" + UrlEncode(arguments.step);
  if (!arguments.function.empty()) path += "&fn=" + UrlEncode(arguments.function);
  return HttpGet(arguments.http, path);
}

Result<void> PrintRangeFromDaemon(const QueryRangeArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string answer, RangeFromDaemon(arguments));
  ASSIGN_OR_RETURN(const std::string text, RangeText(arguments.format).Answer(answer));
  std::fputs(text.c_str(), stdout);
  return {};
}

Result<RangeWindow> WindowOf(const QueryRangeArguments& arguments) {
  const WallTime now = RealClock().Now().wall;
  RangeWindow window{now, now};
  ASSIGN_OR_RETURN(window.since, ParseTime(arguments.since, now));
  ASSIGN_OR_RETURN(window.until, ParseTime(arguments.until, now));
  if (!arguments.step.empty()) {
    ASSIGN_OR_RETURN(window.step, ParseDuration(arguments.step));
  }
  if (!arguments.function.empty()) {
    ASSIGN_OR_RETURN(window.function, ParseRangeFunction(arguments.function));
  }
  window.max_points = std::numeric_limits<size_t>::max();  // series are printed as they come
  return window;
}

Result<void> PrintRangeFromFile(const QueryRangeArguments& arguments) {
  ASSIGN_OR_RETURN(const RangeWindow window, WindowOf(arguments));
  ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(arguments.selector));
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(arguments.db));
  RangeText text(arguments.format);
  bool begun = false;  // nothing is printed of a query that is refused
  const auto print = [&](const SeriesPoints& series) -> Result<void> {
    if (!std::exchange(begun, true)) std::fputs(text.Begin().c_str(), stdout);
    std::fputs(text.Series(SeriesPointsJson(series)).c_str(), stdout);
    return {};
  };
  ASSIGN_OR_RETURN(const RangeOutcome outcome,
                   StreamRange(selector, window, nullptr, &reader, print));
  if (!begun) std::fputs(text.Begin().c_str(), stdout);
  std::fputs(text.End().c_str(), stdout);
  WarnOf(arguments.db, reader, outcome.damaged_rows);
  return {};
}

}  // namespace

int QueryRangeCommand(const QueryRangeArguments& arguments) {
  const Result<void> printed =
      arguments.db.empty() ? PrintRangeFromDaemon(arguments) : PrintRangeFromFile(arguments);
  return printed.ok() ? kExitDone : Fail(printed.error());
}

namespace {

Result<std::string> SeriesFromFile(const QuerySeriesArguments& arguments) {
  std::optional<Selector> selector;
  if (!arguments.selector.empty()) {
    ASSIGN_OR_RETURN(selector, Selector::Parse(arguments.selector));
  }
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(arguments.db));
  ASSIGN_OR_RETURN(const SeriesAnswer answer, QuerySeries(reader, selector ? &*selector : nullptr));
  WarnOf(arguments.db, reader, answer.damaged_rows);
  return SeriesJson(answer).dump();
}

Result<void> PrintSql(const QuerySqlArguments& arguments) {
  const std::string path = DatabasePath(arguments.db);
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(path));
  ASSIGN_OR_RETURN(const auto query, SqlQuery::Start(reader, arguments.sql));
  RETURN_IF_ERROR(PrintRows(*query, arguments.format, stdout));
  ASSIGN_OR_RETURN(const int64_t damaged_rows, query->DamagedRows());
  WarnOf(path, reader, static_cast<size_t>(damaged_rows));
  return {};
}

}  // namespace

int QuerySeriesCommand(const QuerySeriesArguments& arguments) {
  const Result<std::string> answer =
      arguments.db.empty()
          ? HttpGet(arguments.http, "/api/v1/series?match=" + UrlEncode(arguments.selector))
          : SeriesFromFile(arguments);
  if (!answer) return Fail(answer.error());
  const Result<std::string> text = SeriesText(*answer, arguments.format);
  if (!text) return Fail(text.error());
  std::fputs(text->c_str(), stdout);
  return kExitDone;
}

int QuerySqlCommand(const QuerySqlArguments& arguments) {
  const Result<void> printed = PrintSql(arguments);
  return printed ? kExitDone : Fail(printed.error());
}

}  // namespace idlewatt
