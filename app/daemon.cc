#include "app/daemon.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <set>
#include <utility>

#include "app/analysis_past.h"
#include "app/control_token.h"
#include "exporters/api.h"
#include "exporters/baseline_api.h"
#include "storage/database_file.h"
#include "storage/event_query.h"
#include "storage/storage_sampler.h"
#include "supervisor/service_sampler.h"

namespace idlewatt {
namespace {

// At 5 s and one hour, some 2,900 series fit; see docs/decisions/002-series-ring-snapshot.md.
constexpr size_t kRingBytes = size_t{16} << 20;

}  // namespace

Result<MachineRoots> OpenRoots(const std::string& procfs, const std::string& sysfs) {
  ASSIGN_OR_RETURN(FileRoot proc, FileRoot::Open(procfs));
  ASSIGN_OR_RETURN(FileRoot sys, FileRoot::Open(sysfs));
  MachineRoots roots{std::move(proc), std::move(sys)};
  if (procfs == "/proc" && sysfs == "/sys") {
    if (auto dev = FileRoot::Open("/dev")) roots.dev = std::move(*dev);
  }
  return roots;
}

Daemon::Daemon(const Config& config, MachineRoots roots, ConfigLoader load_config,
               const SdNotify& manager)
    : config_(config),
      roots_(std::move(roots)),
      load_config_(std::move(load_config)),
      manager_(manager),
      ring_(config.ring, config.collector.interval, kRingBytes, registry_) {}

Daemon::~Daemon() { Stop(); }

Result<std::unique_ptr<Daemon>> Daemon::Start(const Config& config, MachineRoots roots,
                                              ConfigLoader load_config, const SdNotify& manager) {
  std::unique_ptr<Daemon> daemon(
      new Daemon(config, std::move(roots), std::move(load_config), manager));
  // The port first: when another daemon holds it, nothing on the disk has been touched yet.
  RETURN_IF_ERROR(daemon->StartHttp());
  RETURN_IF_ERROR(daemon->StartStorage());
  RETURN_IF_ERROR(daemon->StartSampling());
  return daemon;
}

Result<void> Daemon::StartHttp() {
  const ApiSources sources{
      .snapshot = snapshot_,
      .alerts = alerts_,
      .control = [this]() -> ServiceControl* { return started_ ? supervisor_.get() : nullptr; },
      .token = [this] { return started_ ? token_ : std::string(); },
      .reload = [this] { return Reload(); },
      .range = [this](const Selector& selector,
                      const RangeWindow& window) { return Range(selector, window); },
      .series = [this](const Selector* selector) { return Series(selector); },
      .events = [this](const TimeSpan& span, size_t limit) { return Events(span, limit); },
      .baseline = [this] { return *baseline_.Get(); },
      .set_baseline = [this](std::optional<Baseline> b) { SetBaseline(std::move(b)); },
      .idle = [this](const IdleWindow& window) { return Idle(window); },
      .storage = [this] { return Storage(); },
      .clock = clock_};
  ASSIGN_OR_RETURN(http_, HttpServer::Start(config_.http, MakeEndpoints(sources)));
  return {};
}

Result<void> Daemon::StartStorage() {
  ASSIGN_OR_RETURN(data_dir_, DataDir::Lock(config_.data_dir));
  ASSIGN_OR_RETURN(token_, LoadControlToken(*data_dir_));
  ASSIGN_OR_RETURN(history_, History::Open(*data_dir_, config_.history, registry_));
  return {};
}

Result<void> Daemon::StartSampling() {
  SupervisorOptions options;
  options.log_dir = config_.data_dir + "/logs";
  options.data_dir = config_.data_dir;
  options.profile = config_.profile;
  if (const auto interval = manager_.alive_interval()) {
    options.heartbeat = [this] { manager_.Alive(); };
    options.heartbeat_interval = std::chrono::duration_cast<std::chrono::milliseconds>(*interval);
  }
  ASSIGN_OR_RETURN(auto supervisor, Supervisor::Create(config_.services, options, clock_));
  supervisor_ = std::move(supervisor);
  AnalysisPast past = ReadPast();
  baseline_.Publish(std::make_shared<const std::optional<Baseline>>(past.baseline));
  started_ = true;
  events_ = std::make_unique<EventRecorder>(
      *supervisor_, [this](HistoryEvent event) { history_->PushEvent(std::move(event)); });
  recorder_ = std::make_unique<Recorder>(
      config_.analysis, std::move(past),
      Recorder::Targets{registry_, ring_, *history_, snapshot_, alerts_, baseline_, *events_});
  const bool live = roots_.proc.path() == "/proc" && roots_.sys.path() == "/sys";
  std::vector<ScheduledSampler> samplers =
      MakeSamplers({roots_, config_.collector, supervisor_.get(), live});
  samplers.push_back({std::make_unique<ServiceSampler>(supervisor_.get(), roots_), {}});
  samplers.push_back({std::make_unique<StorageSampler>(*history_, ring_), {}});
  SamplingLoop::Options loop_options;
  loop_options.interval = config_.collector.interval;
  loop_ = std::make_unique<SamplingLoop>(loop_options, std::move(samplers), registry_, clock_,
                                         *recorder_);
  supervisor_->StartAutostart();
  sampler_thread_ = std::jthread([this](const std::stop_token& stop) { loop_->Run(stop); });
  pthread_setname_np(sampler_thread_.native_handle(), "iw-sampler");
  return {};
}

// Without it the analysis begins anew, which is no reason not to start.
AnalysisPast Daemon::ReadPast() const {
  auto history = HistoryReader::Open(data_dir_->PathOf(kHistoryFile));
  Result<AnalysisPast> past = history ? ReadAnalysisPast(*history, clock_.Now().wall)
                                      : Result<AnalysisPast>(std::move(history).error());
  if (past) return std::move(*past);
  spdlog::warn("idle times and alerts begin anew, because the history can't be read: {}",
               past.error().ToString());
  return {};
}

// Of two requests at once the later one wins, in the history as in memory.
void Daemon::SetBaseline(std::optional<Baseline> baseline) {
  const MutexLock lock(baseline_mutex_);
  history_->PushEvent({clock_.Now().wall.time_since_epoch().count(), "baseline", "",
                       DumpJson(BaselineJson(baseline))});
  baseline_.Publish(std::make_shared<const std::optional<Baseline>>(std::move(baseline)));
}

Result<HistoryReader> Daemon::OpenHistory() const {
  if (!started_) return Error{ErrorCode::kTransient, "", 0, "the daemon starts"};
  return HistoryReader::Open(data_dir_->PathOf(kHistoryFile));
}

Result<RangeAnswer> Daemon::Range(const Selector& selector, const RangeWindow& window) const {
  const auto oldest = ring_.Oldest();
  // A full ring has refused series that only the history knows.
  // Growth is told by what stood before the window as well, up to two hours before.
  const bool ring_is_enough =
      oldest && *oldest <= window.since && ring_.Stats().refused_samples == 0 &&
      window.function != RangeFunction::kIncrease && window.function != RangeFunction::kRate;
  std::optional<HistoryReader> reader;
  if (!ring_is_enough) {
    ASSIGN_OR_RETURN(reader, OpenHistory());
  }
  return QueryRange(selector, window, &ring_, reader ? &*reader : nullptr);
}

Result<SeriesAnswer> Daemon::Series(const Selector* selector) const {
  ASSIGN_OR_RETURN(HistoryReader reader, OpenHistory());
  return QuerySeries(reader, selector);
}

std::optional<StorageStatus> Daemon::Storage() const {
  if (!started_) return std::nullopt;
  return StorageStatus{std::filesystem::absolute(data_dir_->PathOf(kHistoryFile)).string(),
                       history_->Stats()};
}

Result<std::vector<HistoryEvent>> Daemon::Events(const TimeSpan& span, size_t limit) const {
  ASSIGN_OR_RETURN(HistoryReader reader, OpenHistory());
  return QueryEvents(reader, span.since.time_since_epoch().count(),
                     span.until.time_since_epoch().count(), limit);
}

Result<IdleReport> Daemon::Idle(const IdleWindow& asked) const {
  ASSIGN_OR_RETURN(HistoryReader reader, OpenHistory());
  IdleWindow window = asked;
  window.floor_shared = config_.analysis.attribution.share_floor != FloorShare::kHost;
  return QueryIdleReport(window, &ring_, reader);
}

Result<ReloadOutcome> Daemon::Reload() {
  const MutexLock lock(reload_mutex_);  // one at a time, and the later file wins
  manager_.Reloading();
  Result<ReloadOutcome> outcome = ReloadServices();
  manager_.Ready();
  if (!outcome) {
    spdlog::error("nothing was reloaded: {}", outcome.error().ToString());
    return outcome;
  }
  spdlog::info("reloaded: {} services added, {} removed, {} restarted, {} updated",
               outcome->added.size(), outcome->removed.size(), outcome->restarted.size(),
               outcome->updated.size());
  for (const std::string& part : outcome->not_applied) {
    spdlog::warn("{} changed, which is only applied when the daemon is restarted", part);
  }
  return outcome;
}

Result<ReloadOutcome> Daemon::ReloadServices() {
  ASSIGN_OR_RETURN(Config config, load_config_());
  ASSIGN_OR_RETURN(ReloadOutcome outcome, supervisor_->Reload(std::move(config.services)));
  std::set<std::string> parts;
  for (const auto& [part, text] : config_.fixed) parts.insert(part);
  for (const auto& [part, text] : config.fixed) parts.insert(part);
  const auto text_of = [](const Config& c, const std::string& part) {
    const auto it = c.fixed.find(part);
    return it == c.fixed.end() ? std::string() : it->second;
  };
  for (const std::string& part : parts) {
    if (text_of(config_, part) != text_of(config, part)) outcome.not_applied.push_back(part);
  }
  return outcome;
}

bool Daemon::Stop() {
  if (sampler_thread_.joinable()) {
    sampler_thread_.request_stop();
    sampler_thread_.join();
    events_->Record(clock_.Now().wall);  // what changed after the last tick
    recorder_->Finish();
  }
  http_.reset();
  const bool lanes_ended = !loop_ || loop_->StopLanes();
  if (history_) history_->Stop();
  return lanes_ended;
}

}  // namespace idlewatt
