#include "supervisor/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "base/text.h"
#include "supervisor/probe/port_guard.h"

namespace idlewatt {
namespace {

double Random() {
  static std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

int64_t AvailableMemory(const FileRoot& proc) {
  constexpr std::string_view kKey = "MemAvailable:";
  const auto text = proc.Read("meminfo");
  const size_t at = text ? text->find(kKey) : std::string::npos;
  if (at == std::string::npos) return 0;
  std::string_view rest = std::string_view(*text).substr(at + kKey.size());
  return ParseNumber<int64_t>(NextField(rest)).value_or(0) * 1024;
}

Error LeftBehind(pid_t pid) {
  return {ErrorCode::kInvalid, "process " + std::to_string(pid), 0,
          "it still runs for this service since an earlier run of the daemon, which left no record "
          "of it; stop it (kill " +
              std::to_string(pid) + ") and start the service again"};
}

}  // namespace

Service::Service(ServiceSpec spec, const ServiceContext& context, Host& host)
    : context_(context),
      host_(host),
      configured_(std::move(spec)),
      spec_(configured_),
      tail_(std::make_shared<LogTail>()),
      output_(LogFile(context.log_dir + "/" + spec_.name + ".log", spec_.log, context.compressor),
              tail_),
      policy_(Random),
      retry_(context.run.loop) {}

// --- The table and its actions ---

void Service::Handle(ServiceEvent event, const std::string& reason) {
  const ServiceState from = state_;
  const Transition* row = FindTransition(from, event);
  if (row == nullptr) {
    spdlog::error("service \"{}\": bug: \"{}\" cannot happen in {}", spec_.name,
                  ServiceEventName(event), ServiceStateName(from));
    return;
  }
  state_ = row->next;
  if (state_ != from) {
    if (from == ServiceState::kBackoff) {
      retry_.Cancel();
      next_retry_.reset();
    }
    changed_ = unrecorded_ = true;
    std::string text(ServiceEventName(event));
    if (!reason.empty()) text += ": " + reason;
    spdlog::info("service \"{}\": {} -> {} ({})", spec_.name, ServiceStateName(from),
                 ServiceStateName(state_), text);
    host_.OnStateChange(
        {0, context_.run.loop.clock().Now().wall, spec_.name, from, state_, std::move(text)});
  }
  Perform(row->action);
}

void Service::Perform(ServiceAction action) {
  switch (action) {
    case ServiceAction::kNone:
      return;
    case ServiceAction::kAwaitGone:
      return AwaitGone();
    case ServiceAction::kAwaitDependencies:
      return host_.OnAwaitDependencies(*this);
    case ServiceAction::kSpawn:
      return Spawn();
    case ServiceAction::kWatchHealth:
      return WatchHealth();
    case ServiceAction::kStop:
      StopRuns();
      return AwaitGone();
    case ServiceAction::kKill:
      KillRuns();
      return AwaitGone();
    case ServiceAction::kRetryLater:
      RetryLater();
      StopRuns();
      return AwaitGone();
  }
}

void Service::Start() {
  stopped_by_operator_ = false;
  if (!is_active() && state_ != ServiceState::kPending) policy_.Reset();
  unrecorded_ = true;
  Handle(ServiceEvent::kStartRequested);
}

void Service::Stop() {
  stopped_by_operator_ = true;
  unrecorded_ = true;
  Handle(ServiceEvent::kStopRequested);
}

void Service::Restart(const std::string& reason) {
  stopped_by_operator_ = false;
  policy_.Reset();
  if (is_active()) restart_reason_ = reason;
  Handle(ServiceEvent::kRestartRequested, reason);
}

void Service::SetInProfile(bool in_profile) {
  in_profile_ = in_profile;
  const bool can_change = state_ == ServiceState::kStopped || state_ == ServiceState::kDisabled;
  if (can_change) {
    Handle(in_profile ? ServiceEvent::kProfileEntered : ServiceEvent::kProfileLeft);
  } else if (!in_profile) {
    Handle(ServiceEvent::kStopRequested, "another profile is active");
  }
}

void Service::SetNote(std::string note) {
  if (note == note_) return;
  note_ = std::move(note);
  changed_ = true;
}

void Service::FailForDependency(const std::string& why) {
  failure_ = why;
  note_.clear();
  Handle(ServiceEvent::kDependencyFailed, why);
}

bool Service::is_active() const {
  return state_ == ServiceState::kStarting || state_ == ServiceState::kReady ||
         state_ == ServiceState::kUnhealthy;
}

bool Service::completed() const {
  return state_ == ServiceState::kExited && last_exit_ &&
         KindOf(*last_exit_, spec_) == EndKind::kWell;
}

// --- Starting ---

Result<ServiceSpec> Service::Expanded(const ServiceSpec& spec) const {
  ServiceSpec with_port = spec;
  const std::vector<uint16_t> taken = host_.TakenPorts(*this);
  for (bool picked = !spec.auto_port; !picked;) {
    ASSIGN_OR_RETURN(with_port.port, PickFreePort());
    picked = std::ranges::find(taken, *with_port.port) == taken.end();
  }
  return Expand(with_port);
}

Result<std::unique_ptr<ServiceRun>> Service::NewRun(const ServiceSpec& spec) {
  ASSIGN_OR_RETURN(ServiceSpec expanded, Expanded(spec));
  if (expanded.port) RETURN_IF_ERROR(CheckPortIsFree(context_.run.proc, *expanded.port));
  return ServiceRun::Start(context_.run, std::move(expanded), output_, *this);
}

void Service::Spawn() {
  if (!std::exchange(keep_failure_, false)) failure_.clear();
  note_.clear();
  output_.BeginRun();
  if (const auto pid = host_.LeftBehind(*this)) return Fail(LeftBehind(*pid));
  auto run = NewRun(spec_);
  if (!run) return Fail(run.error());
  run_ = std::move(*run);
  if (!restart_reason_.empty()) ++restarts_[std::exchange(restart_reason_, "")];
  changed_ = unrecorded_ = true;
  AwaitReady();
}

// It could not be started.
void Service::Fail(const Error& error) {
  if (error.code == ErrorCode::kTransient) return GiveUp(error.ToString(), "spawn");
  if (FallBack(error.ToString())) return;
  spdlog::error("service \"{}\": {}", spec_.name, error.ToString());
  failure_ = error.ToString();
  DropProbes();
  Handle(ServiceEvent::kEndedFailed, failure_);
}

void Service::OnExec(ServiceRun& run, const Result<void>& done) {
  if (candidate_ && candidate_->run.get() == &run) {
    if (!done) return DropCandidate(done.error().ToString());
    if (!candidate_->spec.ready) return Promote();
    return;
  }
  if (run_.get() != &run || state_ != ServiceState::kStarting) return;
  if (!done) return Fail(done.error());
  if (spec_.ready) return;
  NoteReady(*run_);
  Handle(ServiceEvent::kBecameReady);
}

ProbedRun Service::Probed(const ServiceRun& run, const ServiceSpec& spec) const {
  ServiceSpec with_port = spec;
  with_port.port = run.record().port;
  Result<ServiceSpec> expanded = Expand(with_port);
  return {expanded ? std::move(*expanded) : run.spec(), run.marks(),
          [&run](int32_t pid) { return run.MayAnswerFor(pid); }};
}

std::unique_ptr<Readiness> Service::NewReadiness(const ServiceRun& run, const ServiceSpec& spec,
                                                 Readiness::Callbacks callbacks) {
  callbacks.on_status = [this](std::string text) { SetNote(std::move(text)); };
  return std::make_unique<Readiness>(context_.run.loop, context_.run.children, context_.run.proc,
                                     Probed(run, spec), run.record().started_boot,
                                     std::move(callbacks));
}

void Service::AwaitReady() {
  if (!spec_.ready) return;
  Readiness::Callbacks callbacks;
  callbacks.on_ready = [this](const std::string& how) {
    NoteReady(*run_);
    DropProbes();
    Handle(ServiceEvent::kBecameReady, how);
  };
  callbacks.on_timeout = [this](const std::string& why) { OnNotReady(why); };
  readiness_ = NewReadiness(*run_, spec_, std::move(callbacks));
}

void Service::OnNotReady(const std::string& why) {
  if (spec_.ready->fail_on_timeout || fallback_) return GiveUp(why, "not_ready");
  spdlog::warn("service \"{}\": {}; it counts as ready, as ready.on_timeout says", spec_.name, why);
  NoteReady(*run_);
  DropProbes();
  Handle(ServiceEvent::kBecameReady, why);
}

void Service::NoteReady(const ServiceRun& run) {
  const BootTime now = context_.run.loop.Now();
  run_->record().ready_boot = now;
  start_durations_.Add(ToSeconds(now - run.record().started_boot));
  fallback_.reset();
  changed_ = unrecorded_ = true;
}

// --- Health ---

void Service::WatchHealth() {
  DropProbes();
  if (!spec_.liveness) return;
  Liveness::Callbacks callbacks;
  callbacks.on_change = [this](int failures, const std::string& why) { OnHealth(failures, why); };
  liveness_ =
      std::make_unique<Liveness>(context_.run.loop, context_.run.children, context_.run.proc,
                                 Probed(*run_, spec_), std::move(callbacks));
}

void Service::OnHealth(int failures, const std::string& why) {
  SetNote(failures == 0 ? "" : why);
  if (failures == 0) {
    if (state_ == ServiceState::kUnhealthy) Handle(ServiceEvent::kRecovered);
    return;
  }
  if (state_ == ServiceState::kReady) Handle(ServiceEvent::kBecameUnwell, why);
  // With restart = "no" it stays unhealthy, for somebody to look at.
  const bool restarts = spec_.restart != RestartMode::kNo;
  if (failures >= spec_.liveness->failure_threshold && restarts) {
    GiveUp("not alive: " + why, "unhealthy");
  }
}

void Service::DropProbes() {
  readiness_.reset();
  liveness_.reset();
}

// --- Ends ---

void Service::OnOutput(ServiceRun& run, std::string_view data) {
  written_ = true;
  if (run_.get() == &run && readiness_) {
    readiness_->OnOutput(data);
  } else if (candidate_ && candidate_->run.get() == &run && candidate_->readiness) {
    candidate_->readiness->OnOutput(data);
  }
}

void Service::OnRootEnded(ServiceRun& run) {
  changed_ = unrecorded_ = true;
  if (candidate_ && candidate_->run.get() == &run) return DropCandidate(run.exit().text);
  if (run_.get() != &run) return OnMemberEnded(run);
  if (!run.exec_failed()) {
    last_exit_ = run.exit();
    spdlog::info("service \"{}\": root {}", spec_.name, last_exit_->text);
  }
  if (!is_active()) return Handle(ServiceEvent::kRootEnded);
  TakeEndOfRoot();
}

// The root ended, and nobody had asked for that.
void Service::TakeEndOfRoot() {
  if (candidate_) DropCandidate("the one that served ended: " + last_exit_->text);
  if (state_ == ServiceState::kStarting && FallBack(last_exit_->text)) return;
  const bool well = KindOf(*last_exit_, spec_) == EndKind::kWell;
  if (!well) failure_ = last_exit_->text;
  OnEnd(policy_.OnEnd(spec_, *last_exit_, run_->record().ready_boot, context_.run.loop.Now()),
        last_exit_->text, well ? "exit" : "crash");
}

void Service::GiveUp(const std::string& why, const std::string& retry_reason) {
  if (FallBack(why)) return;
  failure_ = why;
  OnEnd(policy_.OnGivenUp(spec_, run_ ? run_->record().ready_boot : std::nullopt,
                          context_.run.loop.Now()),
        why, retry_reason);
}

void Service::OnEnd(const Verdict& verdict, const std::string& why,
                    const std::string& retry_reason) {
  DropProbes();
  switch (verdict.what) {
    case Verdict::What::kDone:
      return Handle(ServiceEvent::kEndedDone, why);
    case Verdict::What::kFailed:
      if (failure_.empty()) failure_ = why;
      if (!verdict.why.empty()) failure_ += "; " + verdict.why;
      return Handle(ServiceEvent::kEndedFailed, failure_);
    case Verdict::What::kRetry:
      delay_ = verdict.delay;
      restart_reason_ = retry_reason;
      return Handle(ServiceEvent::kEndedRetry, why);
  }
}

void Service::RetryLater() {
  next_retry_ = context_.run.loop.Now() + delay_;
  retry_.Set(*next_retry_, [this] { Handle(ServiceEvent::kRetryDue); });
}

void Service::StopRuns() {
  DropProbes();
  note_.clear();
  if (candidate_) DropCandidate("the service is stopped");
  if (run_) run_->Stop();
}

void Service::KillRuns() {
  DropProbes();
  if (candidate_) Retire(std::move(candidate_->run));
  candidate_.reset();
  if (run_) run_->Kill();
  for (const auto& run : retired_) run->Kill();
}

void Service::AwaitGone() {
  CheckRetired();
  if (run_ && run_->CheckGone()) {
    TakeEndOf(*run_);
    run_.reset();
  }
  if (has_processes()) return;
  output_.Close();
  Handle(ServiceEvent::kAllGone);
  if (state_ == ServiceState::kStopped && spec_.log.delete_on_stop) output_.log().DeleteAll();
}

void Service::OnMemberEnded(ServiceRun& run) {
  if (run_.get() != &run) CheckRetired();
  const bool waits =
      !is_active() && state_ != ServiceState::kStopped && state_ != ServiceState::kDisabled;
  if (waits) AwaitGone();
}

void Service::CheckRetired() {
  std::erase_if(retired_, [this](const auto& run) {
    if (!run->CheckGone()) return false;
    TakeEndOf(*run);
    return true;
  });
}

void Service::TakeEndOf(const ServiceRun& run) {
  changed_ = unrecorded_ = true;
  if (const auto& ended = run.ended()) ended_.push_back(*ended);
}

// --- Swap ---

bool Service::MaySwapBeside(const ServiceSpec& next) const {
  // On a port that is fixed, and named in the command perhaps, two would collide.
  if (!next.auto_port || !next.ready) return false;
  const int64_t needed = next.memory.value_or(run_->ResidentBytes());
  return needed < AvailableMemory(context_.run.proc);
}

void Service::Swap(ServiceSpec next) {
  if (candidate_) DropCandidate("another swap was asked for");
  const bool serves = state_ == ServiceState::kReady || state_ == ServiceState::kUnhealthy;
  if (serves && MaySwapBeside(next)) return StartCandidate(std::move(next));
  if (serves) fallback_ = spec_;
  spec_ = std::move(next);
  Restart("swap");
}

void Service::StartCandidate(ServiceSpec next) {
  changed_ = unrecorded_ = true;
  failure_.clear();
  Candidate& candidate = candidate_.emplace();
  candidate.spec = std::move(next);
  auto run = NewRun(candidate.spec);
  if (!run) return DropCandidate(run.error().ToString());
  candidate.run = std::move(*run);
  SetNote("a swap is under way");
  Readiness::Callbacks callbacks;
  callbacks.on_ready = [this](const std::string&) { Promote(); };
  callbacks.on_timeout = [this](const std::string& why) { DropCandidate(why); };
  candidate.readiness = NewReadiness(*candidate.run, candidate.spec, std::move(callbacks));
}

void Service::Promote() {
  DropProbes();
  Candidate candidate = std::move(*candidate_);
  candidate_.reset();
  // A server ends its open requests at its stop signal.
  Retire(std::exchange(run_, std::move(candidate.run)));
  spec_ = std::move(candidate.spec);
  NoteReady(*run_);
  SetNote("");
  ++restarts_["swap"];
  policy_.Reset();
  Handle(ServiceEvent::kSwapped);
  CheckRetired();
}

void Service::DropCandidate(const std::string& why) {
  spdlog::warn("service \"{}\": swap failed: {}", spec_.name, why);
  failure_ = "swap failed: " + why + "; what ran before goes on";
  SetNote("");
  changed_ = unrecorded_ = true;
  Candidate candidate = std::move(*candidate_);
  candidate_.reset();
  if (candidate.run) Retire(std::move(candidate.run));
  CheckRetired();
}

void Service::Retire(std::unique_ptr<ServiceRun> run) {
  run->Stop();
  retired_.push_back(std::move(run));
}

// After a swap that stopped the old one first: true when that is started again.
bool Service::FallBack(const std::string& why) {
  if (!fallback_) return false;
  spdlog::warn("service \"{}\": swap failed: {}", spec_.name, why);
  failure_ = "swap failed: " + why + "; what ran before is started again";
  keep_failure_ = true;
  spec_ = std::move(*fallback_);
  fallback_.reset();
  policy_.Reset();
  restart_reason_ = "swap";
  Handle(ServiceEvent::kFellBack, why);
  return true;
}

void Service::Update(ServiceSpec next) {
  const bool anew = NeedsRestart(configured_, next);
  const bool was_swapped = NeedsRestart(configured_, spec_);
  configured_ = next;
  if (!anew && was_swapped) {
    next.model = spec_.model;
    next.command = spec_.command;
  }
  spec_ = std::move(next);
  output_.log().Configure(spec_.log);
  if (run_ && !anew) run_->Configure(Probed(*run_, spec_).spec);
  changed_ = unrecorded_ = true;
  const bool rests = state_ == ServiceState::kStopped || state_ == ServiceState::kDisabled ||
                     state_ == ServiceState::kStopping;
  if (anew && !rests) {
    fallback_.reset();
    Restart("reload");
  } else if (state_ == ServiceState::kReady || state_ == ServiceState::kUnhealthy) {
    if (state_ == ServiceState::kUnhealthy) Handle(ServiceEvent::kRecovered);
    WatchHealth();
  }
}

// --- The record ---

void Service::Resume(const ServiceRecord& record) {
  policy_.Restore(record.restart_attempts, record.restart_times);
  restarts_ = record.restarts;
  start_durations_ = record.start_durations;
  last_exit_ = record.last_exit;
  stopped_by_operator_ = record.stopped_by_operator;
  if (record.boot_id != context_.run.boot_id) return;  // of that boot nothing runs any more
  resumed_ = true;
  failure_ = record.failure;
  if (!record.command.empty() && record.fingerprint == StartFingerprint(configured_)) {
    spec_.model = record.model;
    spec_.command = record.command;
  }
  for (const RunRecord& other : record.others) {
    auto run = ServiceRun::Adopt(context_.run, spec_, other, output_, *this);
    if (run) Retire(std::move(*run));
  }
  CheckRetired();
  if (record.run) {
    ResumeRun(record);
  } else {
    ResumeState(record);
  }
  changed_ = unrecorded_ = true;
}

// It had processes when the daemon died.
void Service::ResumeRun(const ServiceRecord& record) {
  ServiceSpec spec = spec_;
  spec.port = record.run->port;
  const Result<ServiceSpec> expanded = Expand(spec);
  auto run =
      ServiceRun::Adopt(context_.run, expanded ? *expanded : spec, *record.run, output_, *this);
  if (!run) {
    spdlog::warn("service \"{}\": {}; it is left alone", spec_.name, run.error().ToString());
    return ResumeState(record);
  }
  run_ = std::move(*run);
  state_ = record.state;
  if (!run_->root_alive()) return ResumeDead();
  spdlog::info("service \"{}\": process {} is taken back", spec_.name, run_->record().pid);
  const bool changed = record.fingerprint != StartFingerprint(configured_);
  if (is_active() && (changed || spec_.orphan_policy == OrphanPolicy::kKill)) {
    return Restart(changed ? "reload" : "orphan");
  }
  switch (state_) {
    case ServiceState::kStarting:
      return spec_.ready ? AwaitReady() : OnExec(*run_, {});
    case ServiceState::kUnhealthy:
      state_ = ServiceState::kReady;  // the next answer tells
      return WatchHealth();
    case ServiceState::kReady:
      return WatchHealth();
    default:  // it was on its way out
      if (state_ == ServiceState::kBackoff) ResumeBackoff(record);
      StopRuns();
      return AwaitGone();
  }
}

// Its root ended while no daemon ran.
void Service::ResumeDead() {
  if (is_active()) {
    last_exit_ = run_->exit();
    return TakeEndOfRoot();
  }
  StopRuns();
  AwaitGone();
}

void Service::ResumeState(const ServiceRecord& record) {
  state_ = record.state;
  if (state_ == ServiceState::kBackoff) return ResumeBackoff(record);
  const bool was_under_way = is_active() || state_ == ServiceState::kPending;
  if (was_under_way || state_ == ServiceState::kStopping) state_ = ServiceState::kStopped;
  resumed_ = !was_under_way;  // StartAutostart does the rest
}

void Service::ResumeBackoff(const ServiceRecord& record) {
  const TimePoint now = context_.run.loop.clock().Now();
  const BootTime due = std::max(record.next_retry.value_or(now.boot), now.boot);
  delay_ = std::chrono::ceil<std::chrono::milliseconds>(due - now.boot);
  restart_reason_ = "crash";
  RetryLater();
}

ServiceRecord Service::Record() const {
  ServiceRecord record;
  record.boot_id = context_.run.boot_id;
  record.state = state_;
  if (run_) record.run = run_->record();
  if (candidate_ && candidate_->run) record.others.push_back(candidate_->run->record());
  for (const auto& run : retired_) record.others.push_back(run->record());
  record.fingerprint = StartFingerprint(configured_);
  record.model = spec_.model;
  record.command = spec_.command;
  record.restart_times = policy_.restart_times();
  record.restart_attempts = policy_.attempts();
  record.next_retry = next_retry_;
  record.restarts = restarts_;
  record.start_durations = start_durations_;
  record.last_exit = last_exit_;
  record.failure = failure_;
  record.stopped_by_operator = stopped_by_operator_;
  return record;
}

// --- What others are told ---

ServiceStatus Service::Status() const {
  ServiceStatus status;
  status.name = spec_.name;
  status.state = state_;
  status.ready = state_ == ServiceState::kReady;
  status.port = run_ ? run_->record().port : spec_.port;
  status.model = spec_.model;
  status.restart_attempts = policy_.attempts();
  if (next_retry_) {
    status.next_retry_boot = next_retry_;
    status.backoff_seconds = ToSeconds(delay_);
  }
  status.restarts = restarts_;
  status.start_durations = start_durations_;
  status.last_exit = last_exit_;
  status.failure = failure_;
  status.note = note_;
  status.last_output = output_.LastLines();
  status.log_path = output_.log().path();
  status.log_bytes = output_.log().written_bytes();
  status.log_dropped_bytes = output_.log().dropped_bytes();
  status.profiles = spec_.profiles;
  status.has_processes = has_processes();
  if (run_) status.adopted = run_->adopted();
  if (run_ && run_->root_alive()) {
    status.pid = run_->record().pid;
    status.started_at = run_->record().started;
    status.started_boot = run_->record().started_boot;
  }
  return status;
}

std::vector<SupervisedRoot> Service::Roots() const {
  std::vector<SupervisedRoot> roots;
  if (run_) roots.push_back(run_->Root());
  if (candidate_ && candidate_->run) roots.push_back(candidate_->run->Root());
  for (const auto& run : retired_) roots.push_back(run->Root());
  return roots;
}

}  // namespace idlewatt
