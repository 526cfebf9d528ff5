// A mutex that clang's -Wthread-safety can check; it cannot check libstdc++'s std::mutex.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define IDLEWATT_TSA(x) __attribute__((x))
#else
#define IDLEWATT_TSA(x)
#endif
#define GUARDED_BY(x) IDLEWATT_TSA(guarded_by(x))
#define REQUIRES(...) IDLEWATT_TSA(requires_capability(__VA_ARGS__))

namespace idlewatt {

class IDLEWATT_TSA(capability("mutex")) Mutex {
 public:
  void Lock() IDLEWATT_TSA(acquire_capability()) { mutex_.lock(); }
  void Unlock() IDLEWATT_TSA(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class IDLEWATT_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) IDLEWATT_TSA(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() IDLEWATT_TSA(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Used with a Mutex that the caller holds; waits may end spuriously, so loop on the condition.
class CondVar {
 public:
  void Wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // False when `timeout` passed without a notification.
  bool WaitFor(Mutex& mutex, std::chrono::nanoseconds timeout) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool notified = cv_.wait_for(lock, timeout) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace idlewatt
