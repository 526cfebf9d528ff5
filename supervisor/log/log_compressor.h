#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace idlewatt {

// Compresses files to gzip, one after another, in a thread that yields to everybody else.
// Errors:  told to whoever asked: kGone when the file was deleted meanwhile.
// Threads: supervisor loop only; the work is done on "iw-compress".
// Owns:    that thread and an eventfd. Every task must end before it.
class LogCompressor {
 private:
  struct Job;

 public:
  // kTransient for a lack of descriptors.
  static Result<std::unique_ptr<LogCompressor>> Create();
  LogCompressor(const LogCompressor&) = delete;
  LogCompressor& operator=(const LogCompressor&) = delete;
  ~LogCompressor();

  // A job that was asked for; destroyed before it is done it is given up: its file is removed, and
  // nobody told. Empty by default.
  class Task {
   public:
    Task() = default;
    Task(Task&& other) noexcept { *this = std::move(other); }
    Task& operator=(Task&& other) noexcept;
    ~Task() { Reset(); }
    void Reset();
    explicit operator bool() const { return job_ != nullptr; }

   private:
    friend class LogCompressor;
    Task(LogCompressor* owner, std::shared_ptr<Job> job) : owner_(owner), job_(std::move(job)) {}
    LogCompressor* owner_ = nullptr;
    std::shared_ptr<Job> job_;
  };

  // `source` is a regular file that nobody writes to, opened for reading. `done` is called by
  // Deliver; on success `target` is then a whole gzip file on the disk, with mode and time of
  // `source`, which `done` renames or removes; else it is not there. Jobs with the same target must
  // not overlap.
  [[nodiscard]] Task Compress(UniqueFd source, std::string target,
                              std::function<void(Result<void>)> done);

  // Readable when there is something to deliver.
  int fd() const { return done_event_.get(); }
  void Deliver();

 private:
  explicit LogCompressor(UniqueFd done_event);
  void Work();
  std::shared_ptr<Job> NextJob();
  bool Finish(std::shared_ptr<Job>& job);
  std::shared_ptr<Job> TakeDone();

  const UniqueFd done_event_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<Job>> queue_ GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Job>> done_ GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace idlewatt
