#include "supervisor/supervisor_loop.h"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace idlewatt {
namespace {

// What epoll gives back: a descriptor of the loop, or of service number `service`.
// bits 0-31 descriptor, 32-55 service, 56-63 kind.
enum Kind : uint64_t { kWake, kTimer, kSignals, kServiceSource };
uint64_t Key(uint64_t kind, uint64_t service = 0, int fd = 0) {
  return kind << 56 | service << 32 | static_cast<uint32_t>(fd);
}
uint64_t ServiceKind(Service::Source source) {
  return kServiceSource + static_cast<uint64_t>(source);
}

// Takes the counter of an eventfd or timerfd, or one record of a signalfd; all are non-blocking.
void Empty(int fd) {
  std::array<char, sizeof(signalfd_siginfo)> buffer;
  while (::read(fd, buffer.data(), buffer.size()) > 0) {
  }
}

}  // namespace

SupervisorLoop::SupervisorLoop(std::vector<ServiceSpec> specs, ServiceContext context,
                               SharedState& shared)
    : context_(std::move(context)), shared_(shared) {
  for (ServiceSpec& spec : specs) {
    services_.push_back(std::make_unique<Service>(std::move(spec), context_));
  }
}

Result<std::unique_ptr<SupervisorLoop>> SupervisorLoop::Create(std::vector<ServiceSpec> specs,
                                                               const ServiceContext& context,
                                                               SharedState& shared) {
  std::unique_ptr<SupervisorLoop> loop(new SupervisorLoop(std::move(specs), context, shared));
  RETURN_IF_ERROR(loop->OpenDescriptors());
  loop->Publish();
  return loop;
}

Result<void> SupervisorLoop::OpenDescriptors() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!epoll_ || !wake_ || !timer_ || !signals_ || !Watch(Key(kWake), wake_.get()) ||
      !Watch(Key(kTimer), timer_.get()) || !Watch(Key(kSignals), signals_.get())) {
    return ErrnoError(errno, "supervisor", "no descriptors for its loop");
  }
  return {};
}

bool SupervisorLoop::Watch(uint64_t key, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void SupervisorLoop::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full: then Run is awake anyway.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof(one));
}

void SupervisorLoop::Run(const std::stop_token& stop) {
  std::array<epoll_event, 64> events;
  while (!stop.stop_requested()) {
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) Dispatch(events[static_cast<size_t>(i)].data.u64);
    WatchNewDescriptors();
    ArmTimer();
    Publish();
  }
  ReapOrphans();  // those that ended in the last turn
}

// An event may be of a descriptor that was closed earlier in the same turn, and its number may be
// in use again: every handler looks whether it is true.
void SupervisorLoop::Dispatch(uint64_t key) {
  switch (const uint64_t kind = key >> 56) {
    case kWake:
      return OnCommands();
    case kTimer:
      return OnTimer();
    case kSignals:
      return ReapOrphans();
    default:
      return OnService(*services_[key >> 32 & 0xFFFFFF],
                       static_cast<Service::Source>(kind - kServiceSource),
                       static_cast<int>(key & 0xFFFFFFFF));
  }
}

void SupervisorLoop::OnService(Service& service, Service::Source source, int fd) {
  service.changed = true;
  switch (source) {
    case Service::Source::kOutput:
      return service.OnOutputReadable();
    case Service::Source::kMember:
      if (service.OnMemberReadable(fd)) AwaitGone(service);
      return;
    case Service::Source::kRoot:
      if (!service.OnRootReadable()) return;
      const LastExit& exit = service.last_exit();
      const bool well = exit.kind == LastExit::Kind::kCode && exit.value == 0;
      spdlog::info("service \"{}\": root {}", service.spec.name, exit.text);
      Handle(service, well ? ServiceEvent::kExitedWell : ServiceEvent::kExitedBadly);
  }
}

void SupervisorLoop::OnTimer() {
  Empty(timer_.get());
  armed_.reset();
  const BootTime now = context_.clock.Now().boot;
  for (const auto& service : services_) {
    switch (service->OnTimer(now)) {
      case Service::Timer::kNothing:
        break;
      case Service::Timer::kDeadline:
        Handle(*service, ServiceEvent::kDeadline);
        break;
      case Service::Timer::kCheckGone:
        AwaitGone(*service);
        break;
    }
  }
}

void SupervisorLoop::OnCommands() {
  Empty(wake_.get());
  for (const Command& command : shared_.Take()) {
    ++handled_commands_;
    for (size_t i = 0; i < services_.size(); ++i) {
      if (!command.service || *command.service == i) Handle(*services_[i], command.event);
    }
  }
}

void SupervisorLoop::ReapOrphans() {
  Empty(signals_.get());
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    if (!IsRoot(info.si_pid)) {
      ::waitpid(info.si_pid, nullptr, WNOHANG);
      info.si_pid = 0;
      continue;
    }
    // waitid shows the same zombie again and again, and this one must stay: look behind it.
    const ProcessScan scan(context_.proc);
    for (const ProcessInfo& process : scan.processes()) {
      if (process.parent == ::getpid() && !process.IsAlive() && !IsRoot(process.pid)) {
        ::waitpid(process.pid, nullptr, WNOHANG);
      }
    }
    return;
  }
}

bool SupervisorLoop::IsRoot(pid_t pid) const {
  return std::ranges::any_of(services_, [&](const auto& s) { return s->IsRoot(pid); });
}

void SupervisorLoop::Handle(Service& service, ServiceEvent event) {
  const ServiceState state = service.state;
  const Transition* row = FindTransition(state, event);
  if (row == nullptr) {
    spdlog::error("service \"{}\": bug: \"{}\" cannot happen in {}", service.spec.name,
                  ServiceEventName(event), ServiceStateName(state));
    return;
  }
  service.state = row->next;
  service.changed = true;
  if (row->next != state) {
    spdlog::info("service \"{}\": {} -> {} ({})", service.spec.name, ServiceStateName(state),
                 ServiceStateName(row->next), ServiceEventName(event));
  }
  Perform(service, row->action);
}

void SupervisorLoop::Perform(Service& service, ServiceAction action) {
  switch (action) {
    case ServiceAction::kNone:
      return;
    case ServiceAction::kSpawn:
      return SpawnService(service);
    case ServiceAction::kStop:
      service.BeginStop();
      return AwaitGone(service);
    case ServiceAction::kKill:
      service.Kill();
      return AwaitGone(service);
    case ServiceAction::kAwaitGone:
      return AwaitGone(service);
  }
}

void SupervisorLoop::AwaitGone(Service& service) {
  if (service.CheckGone()) Handle(service, ServiceEvent::kAllGone);
}

void SupervisorLoop::SpawnService(Service& service) {
  std::vector<uint16_t> taken_ports;
  for (const auto& other : services_) {
    if (const auto port = other->Status().port) taken_ports.push_back(*port);
  }
  const Result<void> done = service.Spawn(taken_ports);
  if (!done) spdlog::error("service \"{}\": {}", service.spec.name, done.error().ToString());
  Handle(service, done ? ServiceEvent::kExecSucceeded : ServiceEvent::kExecFailed);
}

void SupervisorLoop::WatchNewDescriptors() {
  for (size_t i = 0; i < services_.size(); ++i) {
    for (const Service::Watch& watch : services_[i]->TakeNewWatches()) {
      if (Watch(Key(ServiceKind(watch.source), i, watch.fd), watch.fd)) continue;
      spdlog::error("service \"{}\": {}", services_[i]->spec.name,
                    ErrnoError(errno, "epoll", "what it does will go unseen").ToString());
    }
  }
}

void SupervisorLoop::ArmTimer() {
  std::optional<BootTime> next;
  for (const auto& service : services_) {
    const auto timer = service->next_timer();
    if (timer && (!next || *timer < *next)) next = timer;
  }
  if (next == armed_) return;
  armed_ = next;
  itimerspec spec{};
  if (next) {
    const std::chrono::nanoseconds since_boot = next->time_since_epoch();
    spec.it_value.tv_sec = since_boot.count() / 1'000'000'000;
    spec.it_value.tv_nsec = since_boot.count() % 1'000'000'000;
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void SupervisorLoop::Publish() {
  std::vector<SharedState::Change> changes;
  std::vector<EndedRoot> ended;
  for (size_t i = 0; i < services_.size(); ++i) {
    Service& service = *services_[i];
    if (!std::exchange(service.changed, false)) continue;
    changes.push_back({i, service.Status(), service.Root()});
    if (auto root = service.TakeEnded()) ended.push_back(std::move(*root));
  }
  if (changes.empty() && handled_commands_ == 0) return;
  shared_.Publish(std::move(changes), std::move(ended), std::exchange(handled_commands_, 0));
}

}  // namespace idlewatt
