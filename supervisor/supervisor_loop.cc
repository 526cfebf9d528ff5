#include "supervisor/supervisor_loop.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

namespace idlewatt {
namespace {

constexpr const char* kProfileFile = "active_profile";
// Output alone is told of no more often than this.
constexpr std::chrono::milliseconds kPublishPeriod{20};

// Nothing of it runs, and nothing is about to.
bool IsAtRest(const Service& service) {
  switch (service.state()) {
    case ServiceState::kStopped:
    case ServiceState::kDisabled:
    case ServiceState::kExited:
    case ServiceState::kFailed:
      return !service.has_processes();
    default:
      return false;
  }
}

std::string ReadLine(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

enum class Wait { kMet, kWaits, kFailed };

// Is `service` there, for one that needs it so?
Wait Judge(const Service& service, DependencyCondition condition) {
  const ServiceState state = service.state();
  switch (state) {
    case ServiceState::kReady:
    case ServiceState::kUnhealthy:
      return condition == DependencyCondition::kCompleted ? Wait::kWaits : Wait::kMet;
    case ServiceState::kStarting:
      return condition == DependencyCondition::kStarted ? Wait::kMet : Wait::kWaits;
    case ServiceState::kPending:
    case ServiceState::kBackoff:
      return Wait::kWaits;
    case ServiceState::kExited:
      return condition != DependencyCondition::kReady && service.completed() ? Wait::kMet
                                                                             : Wait::kFailed;
    default:
      return Wait::kFailed;
  }
}

std::string_view ConditionText(DependencyCondition condition) {
  switch (condition) {
    case DependencyCondition::kStarted:
      return "started";
    case DependencyCondition::kReady:
      return "ready";
    case DependencyCondition::kCompleted:
      break;
  }
  return "completed";
}

}  // namespace

Result<std::unique_ptr<SupervisorLoop>> SupervisorLoop::Create(std::vector<ServiceSpec> specs,
                                                               const SupervisorOptions& options,
                                                               const Clock& clock,
                                                               SharedState& shared) {
  ASSIGN_OR_RETURN(FileRoot proc, FileRoot::Open("/proc"));
  ASSIGN_OR_RETURN(FileRoot sys, FileRoot::Open("/sys"));
  ASSIGN_OR_RETURN(ServiceRecords records, ServiceRecords::Open(options.data_dir + "/services"));
  const std::string fifos = options.data_dir + "/fifo";
  if (::mkdir(fifos.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, fifos, "cannot be created for the output of services");
  }
  ASSIGN_OR_RETURN(auto events, EventLoop::Create(clock));
  ASSIGN_OR_RETURN(auto compressor, LogCompressor::Create());
  std::unique_ptr<SupervisorLoop> loop(
      new SupervisorLoop(options, shared, std::move(proc), std::move(sys), std::move(events),
                         std::move(compressor), std::move(records)));
  RETURN_IF_ERROR(loop->WatchDescriptors());
  loop->Resume(std::move(specs));
  loop->AfterTurn();
  return loop;
}

SupervisorLoop::SupervisorLoop(const SupervisorOptions& options, SharedState& shared, FileRoot proc,
                               FileRoot sys, std::unique_ptr<EventLoop> events,
                               std::unique_ptr<LogCompressor> compressor, ServiceRecords records)
    : options_(options),
      shared_(shared),
      proc_(std::move(proc)),
      sys_(std::move(sys)),
      events_(std::move(events)),
      children_(proc_),
      out_of_memory_(proc_, sys_),
      compressor_(std::move(compressor)),
      records_(std::move(records)),
      context_{{*events_, children_, out_of_memory_, proc_, sys_, options.data_dir,
                ReadBootId(proc_), options.cgroups},
               options.log_dir,
               compressor_.get()},
      publish_later_(*events_),
      heartbeat_(*events_) {}

SupervisorLoop::~SupervisorLoop() = default;

Result<void> SupervisorLoop::WatchDescriptors() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return ErrnoError(errno, "supervisor", "no signalfd");
  ASSIGN_OR_RETURN(signals_watch_, events_->WatchFd(signals_.get(), EPOLLIN, [this](uint32_t) {
    std::array<signalfd_siginfo, 16> ignored;
    while (::read(signals_.get(), ignored.data(), sizeof ignored) > 0) {
    }
    children_.ReapOrphans();
  }));
  ASSIGN_OR_RETURN(
      compressor_watch_,
      events_->WatchFd(compressor_->fd(), EPOLLIN, [this](uint32_t) { compressor_->Deliver(); }));
  return {};
}

void SupervisorLoop::Resume(std::vector<ServiceSpec> specs) {
  left_ = ProcessScan(proc_).FindLeft(options_.data_dir);
  std::map<std::string, ServiceRecord> records = records_.Load();
  const std::string last = ReadLine(options_.data_dir + "/" + kProfileFile);
  const bool is_known = std::ranges::any_of(specs, [&](const ServiceSpec& spec) {
    return std::ranges::find(spec.profiles, last) != spec.profiles.end();
  });
  profile_ = is_known ? last : options_.profile;
  for (ServiceSpec& spec : specs) services_.push_back(MakeService(std::move(spec)));
  for (const auto& service : services_) {
    const auto record = records.find(service->spec().name);
    if (record == records.end()) continue;
    service->Resume(record->second);
    records.erase(record);
  }
  for (const auto& service : services_) {
    if (!IsInProfile(service->spec())) service->SetInProfile(false);
  }
  // Those that are no longer configured.
  for (const auto& [name, record] : records) {
    ServiceSpec spec;
    spec.name = name;
    spec.command = record.command;
    removed_.push_back(std::make_unique<Service>(std::move(spec), context_, *this));
    removed_.back()->Resume(record);
    removed_.back()->Handle(ServiceEvent::kStopRequested, "it is not configured any more");
  }
  news_.layout.emplace();
  PublishProfiles();
}

void SupervisorLoop::Run(const std::stop_token& stop) {
  Beat();
  const auto on_wake = [this] {
    for (const SharedState::Request& request : shared_.Take()) {
      request();
      ++news_.handled_requests;
    }
  };
  events_->Run(stop, on_wake, [this] { AfterTurn(); });
  children_.ReapOrphans();  // those that ended in the last turn
}

void SupervisorLoop::Beat() {
  if (options_.heartbeat_interval.count() == 0) return;
  options_.heartbeat();
  heartbeat_.SetAfter(options_.heartbeat_interval, [this] { Beat(); });
}

void SupervisorLoop::Post(SharedState::Request request) {
  shared_.Post(std::move(request));
  events_->Wake();
}

Service* SupervisorLoop::Find(std::string_view name) const {
  const auto it = std::ranges::find_if(
      services_, [&](const auto& service) { return service->spec().name == name; });
  return it == services_.end() ? nullptr : it->get();
}

const ServiceSpec* SupervisorLoop::SpecOf(const std::string& name) const {
  const Service* service = Find(name);
  return service == nullptr ? nullptr : &service->spec();
}

// Nobody but an earlier daemon can have left one, so the scan at the start has them all.
std::optional<pid_t> SupervisorLoop::LeftBehind(const Service& service) const {
  for (const ProcessScan::Left& left : left_) {
    if (left.service != service.spec().name) continue;
    const auto now = ReadProcess(proc_, left.process.pid);
    if (now && now->IsAlive() && now->start_ticks == left.process.start_ticks) return now->pid;
  }
  return std::nullopt;
}

std::unique_ptr<Service> SupervisorLoop::MakeService(ServiceSpec spec) {
  return std::make_unique<Service>(std::move(spec), context_, *this);
}

std::vector<uint16_t> SupervisorLoop::TakenPorts(const Service& service) const {
  std::vector<uint16_t> ports;
  for (const auto& other : services_) {
    const auto port = other->Status().port;
    if (port && (other.get() != &service || other->has_processes())) ports.push_back(*port);
  }
  return ports;
}

// --- Requests ---

void SupervisorLoop::StartAutostart() {
  for (const auto& service : services_) {
    const bool stays_stopped =
        service->stopped_by_operator() && service->spec().restart == RestartMode::kUnlessStopped;
    if (service->spec().autostart && service->in_profile() && !service->resumed() &&
        !stays_stopped) {
      StartWithDependencies(*service);
    }
  }
}

void SupervisorLoop::Start(const std::string& name) {
  Service* service = Find(name);
  if (service == nullptr || stopping_all_) return;
  StartWithDependencies(*service);
}

void SupervisorLoop::StartWithDependencies(Service& service) {
  std::set<std::string> seen;
  StartWithDependencies(service, seen);
}

void SupervisorLoop::StartWithDependencies(Service& service, std::set<std::string>& seen) {
  if (!seen.insert(service.spec().name).second) return;
  for (const auto& [name, condition] : service.spec().depends_on) {
    Service* dependency = Find(name);
    if (dependency != nullptr && Judge(*dependency, condition) == Wait::kFailed) {
      StartWithDependencies(*dependency, seen);
    }
  }
  service.Start();
}

void SupervisorLoop::Stop(const std::string& name) {
  if (Service* service = Find(name)) service->Stop();
}

void SupervisorLoop::Restart(const std::string& name) {
  Service* service = Find(name);
  if (service == nullptr || stopping_all_) return;
  if (service->has_processes()) {
    service->Restart("request");
  } else {
    StartWithDependencies(*service);
  }
}

void SupervisorLoop::Swap(const std::string& name, ServiceSpec next) {
  Service* service = Find(name);
  if (service != nullptr && !stopping_all_) service->Swap(std::move(next));
}

void SupervisorLoop::StopAll() {
  stopping_all_ = true;
  // Those at rest already will not change any more, and must not look as if this daemon had died.
  for (const auto& service : services_) SaveRecord(*service);
}

void SupervisorLoop::KillAll() {
  StopAll();
  for (const auto& service : services_) service->Kill();
  for (const auto& service : removed_) service->Kill();
}

// A service is stopped once everybody who needs it is at rest.
void SupervisorLoop::StopInOrder() {
  for (const auto& service : services_) {
    const ServiceState state = service->state();
    if (IsAtRest(*service) || state == ServiceState::kStopping) continue;
    const bool is_needed = std::ranges::any_of(services_, [&](const auto& other) {
      return other->spec().depends_on.contains(service->spec().name) && !IsAtRest(*other);
    });
    if (service->is_active() && is_needed) continue;
    service->Handle(ServiceEvent::kStopRequested, "the daemon stops");
  }
}

// --- Profiles and reload ---

bool SupervisorLoop::IsInProfile(const ServiceSpec& spec) const {
  return spec.profiles.empty() || std::ranges::find(spec.profiles, profile_) != spec.profiles.end();
}

void SupervisorLoop::ActivateProfile(const std::string& name) {
  if (stopping_all_) return;
  profile_ = name;
  std::ofstream(options_.data_dir + "/" + kProfileFile) << name << "\n";
  for (const auto& service : services_) service->SetInProfile(IsInProfile(service->spec()));
  for (const auto& service : services_) {
    if (service->in_profile() && service->spec().autostart && !service->is_active()) {
      StartWithDependencies(*service);
    }
  }
  PublishProfiles();
}

void SupervisorLoop::PublishProfiles() {
  std::map<std::string, ProfileStatus> profiles;
  for (const auto& service : services_) {
    for (const std::string& name : service->spec().profiles) {
      ProfileStatus& profile = profiles[name];
      profile.name = name;
      profile.active = name == profile_;
      profile.services.push_back(service->spec().name);
    }
  }
  news_.profiles.emplace();
  for (auto& [name, profile] : profiles) news_.profiles->push_back(std::move(profile));
}

ReloadOutcome SupervisorLoop::Reload(std::vector<ServiceSpec> specs) {
  ReloadOutcome outcome;
  std::vector<std::unique_ptr<Service>> before = std::exchange(services_, {});
  std::vector<Service*> added;
  for (ServiceSpec& spec : specs) {
    const auto it = std::ranges::find_if(before, [&](const auto& service) {
      return service != nullptr && service->spec().name == spec.name;
    });
    if (it == before.end()) {
      outcome.added.push_back(spec.name);
      services_.push_back(MakeService(std::move(spec)));
      added.push_back(services_.back().get());
      continue;
    }
    services_.push_back(std::move(*it));
    Service& service = *services_.back();
    if (service.configured() == spec) continue;
    const bool anew = NeedsRestart(service.configured(), spec);
    (anew ? outcome.restarted : outcome.updated).push_back(spec.name);
    service.Update(std::move(spec));
  }
  for (auto& service : before) {
    if (service == nullptr) continue;
    outcome.removed.push_back(service->spec().name);
    service->Handle(ServiceEvent::kStopRequested, "it is not configured any more");
    removed_.push_back(std::move(service));
  }
  for (const auto& service : services_) {
    const bool in_profile = IsInProfile(service->spec());
    if (in_profile != service->in_profile()) service->SetInProfile(in_profile);
  }
  for (Service* service : added) {
    if (service->in_profile() && service->spec().autostart) StartWithDependencies(*service);
  }
  news_.layout.emplace();
  PublishProfiles();
  return outcome;
}

void SupervisorLoop::DropRemoved() {
  std::erase_if(removed_, [this](const auto& service) {
    if (!IsAtRest(*service)) return false;
    for (EndedRoot& root : service->TakeEnded()) news_.ended.push_back(std::move(root));
    if (Find(service->spec().name) == nullptr) records_.Remove(service->spec().name);
    return true;
  });
}

// --- Dependencies ---

void SupervisorLoop::OnStateChange(StateChange change) {
  state_changed_ = true;
  news_.changes.push_back(std::move(change));
}

// AfterTurn looks: in the middle of a reload not every service is in its place.
void SupervisorLoop::OnAwaitDependencies(Service& /*service*/) { state_changed_ = true; }

// Another that must be gone first: it has the same port, or was configured under the same name.
const Service* SupervisorLoop::WhoHoldsItUp(const Service& service) const {
  const auto collides = [&](const auto& other) {
    const ServiceSpec& spec = other->spec();
    const bool same_port = spec.port && service.spec().port && *spec.port == *service.spec().port;
    return other.get() != &service && other->has_processes() && !other->is_active() &&
           (same_port || spec.name == service.spec().name);
  };
  for (const auto* list : {&services_, &removed_}) {
    const auto it = std::ranges::find_if(*list, collides);
    if (it != list->end()) return it->get();
  }
  return nullptr;
}

void SupervisorLoop::CheckDependencies(Service& service) {
  if (service.state() != ServiceState::kPending || service.has_processes()) return;
  std::string waits_for;
  for (const auto& [name, condition] : service.spec().depends_on) {
    const Service* dependency = Find(name);
    const Wait wait = dependency == nullptr ? Wait::kFailed : Judge(*dependency, condition);
    if (wait == Wait::kMet) continue;
    const std::string state(dependency == nullptr ? "not configured"
                                                  : ServiceStateName(dependency->state()));
    const std::string text =
        name + " to be " + std::string(ConditionText(condition)) + ", it is " + state;
    if (wait == Wait::kFailed) return service.FailForDependency("needs " + text);
    waits_for += (waits_for.empty() ? "waits for " : "; for ") + text;
  }
  if (const Service* other = WhoHoldsItUp(service)) {
    waits_for = "waits for the end of " + other->spec().name;
  }
  service.SetNote(waits_for);
  if (waits_for.empty()) service.Handle(ServiceEvent::kDependenciesMet);
}

// --- After each turn ---

void SupervisorLoop::AfterTurn() {
  // What one service does may let another go on, which may let a third.
  do {
    state_changed_ = false;
    for (const auto& service : services_) CheckDependencies(*service);
    for (const auto& service : services_) {
      if (!service->in_profile() && service->state() == ServiceState::kStopped) {
        service->SetInProfile(false);
      }
    }
    if (stopping_all_) StopInOrder();
  } while (state_changed_);
  DropRemoved();
  SaveRecords();
  Publish();
  for (const auto& answer : std::exchange(answers_, {})) answer();
}

void SupervisorLoop::SaveRecords() {
  for (const auto& service : services_) {
    if (service->TakeUnrecorded()) SaveRecord(*service);
  }
}

void SupervisorLoop::SaveRecord(Service& service) {
  const std::string& name = service.spec().name;
  const bool remembered =
      service.stopped_by_operator() && service.spec().restart == RestartMode::kUnlessStopped;
  // After an orderly end the next daemon begins anew, but for what an operator stopped for good.
  if (stopping_all_ && IsAtRest(service) && !remembered) {
    records_.Remove(name);
    ::unlink((options_.data_dir + "/" + kProfileFile).c_str());
  } else {
    records_.Save(name, service.Record());
  }
}

void SupervisorLoop::Publish() {
  const BootTime now = events_->Now();
  const bool may_tell_of_output = now - published_ >= kPublishPeriod;
  bool waits = false;
  bool roots_changed = news_.layout.has_value();
  for (const auto& service : services_) {
    const bool changed = service->TakeChanged();
    roots_changed |= changed;
    const bool written = service->has_written();
    if (changed || (written && may_tell_of_output)) {
      service->TakeWritten();
      if (!news_.layout) news_.statuses.push_back(service->Status());
    } else {
      waits |= written;
    }
    for (EndedRoot& root : service->TakeEnded()) news_.ended.push_back(std::move(root));
  }
  if (waits && !publish_later_.when()) publish_later_.Set(published_ + kPublishPeriod, [] {});
  for (const auto& service : removed_) roots_changed |= service->TakeChanged();
  if (news_.layout) {
    for (const auto& service : services_) {
      news_.layout->statuses.push_back(service->Status());
      news_.layout->logs[service->spec().name] = service->tail();
    }
  }
  const bool has_news = roots_changed || !news_.statuses.empty() || !news_.changes.empty() ||
                        news_.handled_requests > 0 || news_.profiles;
  if (!has_news) return;
  if (roots_changed) {
    news_.roots.emplace();
    for (const auto* list : {&services_, &removed_}) {
      for (const auto& service : *list) {
        for (SupervisedRoot& root : service->Roots()) news_.roots->push_back(std::move(root));
      }
    }
  }
  news_.removed_run = !removed_.empty();
  published_ = now;
  shared_.Publish(std::exchange(news_, {}));
}

}  // namespace idlewatt
