#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "collector/frame.h"
#include "storage/data_dir.h"
#include "storage/history_store.h"

namespace idlewatt {

struct HistoryOptions {
  std::chrono::milliseconds flush_interval{std::chrono::seconds(15)};
  size_t queue_frames = 180;  // at least 1
  StoreOptions store;
};

// For idlewatt_storage_*.
struct HistoryStats {
  int64_t file_bytes = 0;  // database, -wal and -shm, at the last flush
  uint64_t rows_written = 0;
  uint64_t rows_deleted = 0;  // by retention
  uint64_t flushes = 0;       // that wrote something
  uint64_t flush_errors = 0;
  std::chrono::nanoseconds last_flush_duration{0};
  std::chrono::nanoseconds last_maintenance_duration{
      0};  // compaction and retention, if any was due
  size_t queued_frames = 0;
  uint64_t dropped_frames = 0;
  std::optional<WallTime> oldest;
  std::vector<std::string> set_aside;  // damaged databases of this run, by their new names
};

// The history on disk: takes frames without waiting and writes them from a thread of its own, in
// one transaction each flush interval.
// Errors:  a flush that fails keeps its frames for the next one; the first failure and the
//          recovery are logged. When the queue is full the oldest frame is dropped and counted.
// Threads: any; Push only holds a mutex that is never held during I/O. The writer thread
//          "idlewatt-writer" owns the connection.
// Owns:    the writer thread; the destructor stops it.
class History {
 public:
  // Opens or makes `history.db`. `folder` and `registry` must outlive this object.
  static Result<std::unique_ptr<History>> Open(const DataDir& folder, HistoryOptions options,
                                               const SeriesRegistry& registry);
  ~History() { Stop(); }

  // Copies the samples. A frame of more than 250,000 samples is dropped and counted.
  void Push(const Frame& frame);
  // Written with the next flush. Of more than 1,000 that wait the oldest is dropped.
  void PushEvent(HistoryEvent event);
  // Written with the next flush, in the place of the row of the same service and start. One that
  // waits already gives way; of more than 1,000 that wait the oldest is dropped. What a daemon left
  // "open" that was killed is made "lost" when the history is opened.
  void PushInterval(IdleInterval interval);
  // Writes what is queued now and waits for it. kGone after Stop.
  Result<void> Flush();
  // Writes what is queued and ends the thread. A later Push is dropped and counted.
  void Stop();
  HistoryStats Stats() const;

 private:
  History(HistoryOptions options, HistoryStore store);
  void Run(const std::stop_token& stop);
  void WaitForWork(const std::stop_token& stop) REQUIRES(mutex_);
  Result<void> WriteQueue();
  void Maintain(int64_t newest_ms);
  FlushContent TakeQueue();
  void Restore(FlushContent content) REQUIRES(mutex_);
  void RestoreFrames(std::vector<QueuedFrame> frames) REQUIRES(mutex_);
  void Record(const Result<void>& written, std::chrono::nanoseconds duration);

  const HistoryOptions options_;

  HistoryStore store_;    // writer thread, once it runs
  bool failing_ = false;  // of the last flush
  bool maintenance_failing_ = false;

  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<QueuedFrame> queue_ GUARDED_BY(mutex_);
  std::deque<HistoryEvent> events_ GUARDED_BY(mutex_);
  std::deque<IdleInterval> intervals_ GUARDED_BY(mutex_);  // no two of one key
  uint64_t flushes_asked_ GUARDED_BY(mutex_) = 0;
  uint64_t flushes_done_ GUARDED_BY(mutex_) = 0;  // the highest request that was served
  Result<void> last_result_ GUARDED_BY(mutex_);
  bool stopped_ GUARDED_BY(mutex_) = false;
  HistoryStats stats_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace idlewatt
