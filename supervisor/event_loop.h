#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// Waits for descriptors and times, and calls who asked. Between events it sleeps: no polling.
// Threads: one, except Wake.
// Owns:    an epoll, an eventfd and a timerfd on the boot clock. Watches and timers end before it.
class EventLoop {
 public:
  // Calls a function whenever its descriptor is ready, until it is destroyed. Empty by default.
  // The descriptor stays the caller's, and must be open as long as the watch is there.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept { *this = std::move(other); }
    Watch& operator=(Watch&& other) noexcept;
    ~Watch() { Reset(); }
    void Reset();
    explicit operator bool() const { return loop_ != nullptr; }

   private:
    friend class EventLoop;
    Watch(EventLoop* loop, uint64_t id, int fd) : loop_(loop), id_(id), fd_(fd) {}
    EventLoop* loop_ = nullptr;
    uint64_t id_ = 0;
    int fd_ = -1;
  };

  // Calls a function once, at or after a time. Bound to a loop for its whole life.
  class Timer {
   public:
    explicit Timer(EventLoop& loop) : loop_(loop) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { Cancel(); }
    // In the place of what was set before.
    void Set(BootTime when, std::function<void()> callback);
    void SetAfter(std::chrono::nanoseconds delay, std::function<void()> callback);
    void Cancel();
    // When it will call; nothing when it is not set.
    std::optional<BootTime> when() const;

   private:
    EventLoop& loop_;
    uint64_t id_ = 0;  // 0: not set
    BootTime when_;
  };

  // `clock` must outlive it and give CLOCK_BOOTTIME.
  static Result<std::unique_ptr<EventLoop>> Create(const Clock& clock);
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `events` as for epoll(7); `callback` gets those that came. It may do what it likes, ending this
  // and other watches included. kTransient when the kernel has no memory for it.
  Result<Watch> WatchFd(int fd, uint32_t events, std::function<void(uint32_t)> callback);

  // Until `stop` is requested and Wake was called; `after_turn` is called after each round of
  // events, and on_wake when Wake was called.
  void Run(const std::stop_token& stop, const std::function<void()>& on_wake,
           const std::function<void()>& after_turn);
  // Any thread.
  void Wake();

  const Clock& clock() const { return clock_; }
  BootTime Now() const { return clock_.Now().boot; }

 private:
  using TimerKey = std::pair<BootTime, uint64_t>;

  explicit EventLoop(const Clock& clock) : clock_(clock) {}
  void RunDueTimers();
  void ArmTimer();

  const Clock& clock_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  uint64_t last_id_ = 2;  // 1 and 2 are wake_ and timer_
  std::unordered_map<uint64_t, std::shared_ptr<std::function<void(uint32_t)>>> watches_;
  std::map<TimerKey, std::function<void()>> timers_;
  std::optional<BootTime> armed_;
};

}  // namespace idlewatt
