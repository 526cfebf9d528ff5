#include "supervisor/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace idlewatt {
namespace {

constexpr uint64_t kWakeId = 1;
constexpr uint64_t kTimerId = 2;

// Takes the counter of an eventfd or timerfd.
void Empty(int fd) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(fd, &count, sizeof count);
}

bool Add(int epoll, int fd, uint32_t events, uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::Create(const Clock& clock) {
  std::unique_ptr<EventLoop> loop(new EventLoop(clock));
  loop->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  loop->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  loop->timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!loop->epoll_ || !loop->wake_ || !loop->timer_ ||
      !Add(loop->epoll_.get(), loop->wake_.get(), EPOLLIN, kWakeId) ||
      !Add(loop->epoll_.get(), loop->timer_.get(), EPOLLIN, kTimerId)) {
    return Error{ErrorCode::kTransient, "supervisor", errno, "no descriptors for its loop"};
  }
  return loop;
}

Result<EventLoop::Watch> EventLoop::WatchFd(int fd, uint32_t events,
                                            std::function<void(uint32_t)> callback) {
  const uint64_t id = ++last_id_;
  if (!Add(epoll_.get(), fd, events, id)) {
    return Error{ErrorCode::kTransient, "epoll", errno, "a descriptor cannot be watched"};
  }
  watches_[id] = std::make_shared<std::function<void(uint32_t)>>(std::move(callback));
  return Watch(this, id, fd);
}

EventLoop::Watch& EventLoop::Watch::operator=(Watch&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  loop_ = std::exchange(other.loop_, nullptr);
  id_ = other.id_;
  fd_ = other.fd_;
  return *this;
}

void EventLoop::Watch::Reset() {
  if (loop_ == nullptr) return;
  ::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  loop_->watches_.erase(id_);
  loop_ = nullptr;
}

void EventLoop::Timer::Set(BootTime when, std::function<void()> callback) {
  Cancel();
  id_ = ++loop_.last_id_;
  when_ = when;
  loop_.timers_[{when_, id_}] = std::move(callback);
}

void EventLoop::Timer::SetAfter(std::chrono::nanoseconds delay, std::function<void()> callback) {
  Set(loop_.Now() + delay, std::move(callback));
}

void EventLoop::Timer::Cancel() {
  if (id_ == 0) return;
  loop_.timers_.erase({when_, id_});
  id_ = 0;
}

std::optional<BootTime> EventLoop::Timer::when() const {
  if (id_ == 0 || !loop_.timers_.contains({when_, id_})) return std::nullopt;
  return when_;
}

void EventLoop::Run(const std::stop_token& stop, const std::function<void()>& on_wake,
                    const std::function<void()>& after_turn) {
  std::array<epoll_event, 64> events;
  while (!stop.stop_requested()) {
    ArmTimer();
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kWakeId) {
        Empty(wake_.get());
        on_wake();
      } else if (event.data.u64 == kTimerId) {
        Empty(timer_.get());
        armed_.reset();
      } else if (const auto it = watches_.find(event.data.u64); it != watches_.end()) {
        // Kept: the callback may end its own watch. One that ended in this turn is not found.
        const auto callback = it->second;
        (*callback)(event.events);
      }
    }
    RunDueTimers();
    after_turn();
  }
}

// Those that callbacks set meanwhile wait for the next turn, lest one that sets itself for now
// starves the descriptors.
void EventLoop::RunDueTimers() {
  const BootTime now = Now();
  const uint64_t newest = last_id_;
  for (auto it = timers_.begin(); it != timers_.end() && it->first.first <= now;) {
    if (it->first.second > newest) {
      ++it;
      continue;
    }
    const std::function<void()> callback = std::move(it->second);
    timers_.erase(it);
    callback();
    it = timers_.begin();  // the callback may have removed any
  }
}

void EventLoop::ArmTimer() {
  const std::optional<BootTime> next =
      timers_.empty() ? std::nullopt : std::optional(timers_.begin()->first.first);
  if (next == armed_) return;
  armed_ = next;
  itimerspec spec{};
  if (next) {
    // A time of zero would disarm it.
    const std::chrono::nanoseconds since_boot =
        std::max(next->time_since_epoch(), std::chrono::nanoseconds(1));
    spec.it_value.tv_sec = since_boot.count() / 1'000'000'000;
    spec.it_value.tv_nsec = since_boot.count() % 1'000'000'000;
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full: then Run is awake anyway.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof one);
}

}  // namespace idlewatt
