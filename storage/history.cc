#include "storage/history.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

#include "storage/database_file.h"

namespace idlewatt {
namespace {

constexpr size_t kMostEvents = 1000;

}  // namespace

Result<std::unique_ptr<History>> History::Open(const DataDir& folder, HistoryOptions options,
                                               const SeriesRegistry& registry) {
  options.queue_frames = std::max<size_t>(options.queue_frames, 1);
  ASSIGN_OR_RETURN(HistoryStore store,
                   HistoryStore::Open(folder.PathOf(kHistoryFile), options.store, registry));
  std::unique_ptr<History> history(new History(std::move(options), std::move(store)));
  history->Record({}, std::chrono::nanoseconds(0));
  history->thread_ = std::jthread([h = history.get()](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "idlewatt-writer");
    h->Run(stop);
  });
  return history;
}

History::History(HistoryOptions options, HistoryStore store)
    : options_(std::move(options)), store_(std::move(store)) {}

void History::Push(const Frame& frame) {
  QueuedFrame queued{frame.begin.wall.time_since_epoch().count(), {}};
  const bool fits = frame.samples.size() <= kMaxRowValues;
  if (fits) queued.samples = frame.samples;
  const MutexLock lock(mutex_);
  if (!fits || stopped_) {
    ++stats_.dropped_frames;
    return;
  }
  if (queue_.size() >= options_.queue_frames) {
    queue_.pop_front();
    ++stats_.dropped_frames;
  }
  queue_.push_back(std::move(queued));
}

void History::PushEvent(HistoryEvent event) {
  const MutexLock lock(mutex_);
  if (stopped_) return;
  if (events_.size() >= kMostEvents) events_.pop_front();
  events_.push_back(std::move(event));
}

Result<void> History::Flush() {
  const MutexLock lock(mutex_);
  const uint64_t wanted = ++flushes_asked_;
  changed_.NotifyAll();
  while (flushes_done_ < wanted && !stopped_) changed_.Wait(mutex_);
  if (flushes_done_ < wanted) return Error{ErrorCode::kGone, "history", 0, "stopped"};
  return last_result_;
}

void History::Stop() {
  {
    const MutexLock lock(mutex_);
    thread_.request_stop();
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

HistoryStats History::Stats() const {
  const MutexLock lock(mutex_);
  HistoryStats stats = stats_;
  stats.queued_frames = queue_.size();
  return stats;
}

void History::Run(const std::stop_token& stop) {
  bool last_round = false;
  while (!last_round) {
    uint64_t asked = 0;
    {
      const MutexLock lock(mutex_);
      WaitForWork(stop);
      asked = flushes_asked_;
      last_round = stop.stop_requested();
    }
    const Result<void> result = WriteQueue();
    const MutexLock lock(mutex_);
    last_result_ = result;
    flushes_done_ = asked;
    stopped_ = last_round;
    if (last_round && !queue_.empty()) {
      spdlog::warn("history: {} frames could not be written and are lost", queue_.size());
    }
    changed_.NotifyAll();
  }
}

void History::WaitForWork(const std::stop_token& stop) {
  using std::chrono::steady_clock;
  const auto deadline = steady_clock::now() + options_.flush_interval;
  while (!stop.stop_requested() && flushes_asked_ == flushes_done_) {
    const auto left = deadline - steady_clock::now();
    if (left <= left.zero()) return;
    changed_.WaitFor(mutex_, left);
  }
}

Result<void> History::WriteQueue() {
  std::vector<QueuedFrame> frames;
  std::vector<HistoryEvent> events;
  {
    const MutexLock lock(mutex_);
    frames.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    events.assign(std::make_move_iterator(events_.begin()), std::make_move_iterator(events_.end()));
    queue_.clear();
    events_.clear();
  }
  if (frames.empty() && events.empty()) return {};
  // First, so that these frames are not in a database which maintenance finds damaged; by the time
  // of the first, because an hour is not over while frames of it are not written.
  if (!frames.empty()) Maintain(frames.front().time_ms);
  const auto start = std::chrono::steady_clock::now();
  Result<void> written = store_.Write(frames, events);
  Record(written, std::chrono::steady_clock::now() - start);
  const MutexLock lock(mutex_);
  if (written.ok()) {
    ++stats_.flushes;
  } else {
    ++stats_.flush_errors;
    Restore(std::move(frames));
    Restore(std::move(events));
  }
  return written;
}

// What fails here is tried again after the next flush, and is no reason to keep frames back.
void History::Maintain(int64_t newest_ms) {
  const auto start = std::chrono::steady_clock::now();
  const Result<void> done = store_.Maintain(newest_ms);
  if (!done.ok() && !maintenance_failing_) {
    spdlog::warn("history: cannot compact or delete: {}", done.error().ToString());
  }
  maintenance_failing_ = !done.ok();
  const MutexLock lock(mutex_);
  stats_.last_maintenance_duration = std::chrono::steady_clock::now() - start;
}

void History::Restore(std::vector<HistoryEvent> events) {
  events_.insert(events_.begin(), std::make_move_iterator(events.begin()),
                 std::make_move_iterator(events.end()));
  while (events_.size() > kMostEvents) events_.pop_front();
}

// Puts frames that were not written back before those that came meanwhile.
void History::Restore(std::vector<QueuedFrame> frames) {
  const size_t room = options_.queue_frames - std::min(options_.queue_frames, queue_.size());
  const size_t dropped = frames.size() - std::min(frames.size(), room);
  stats_.dropped_frames += dropped;
  queue_.insert(queue_.begin(),
                std::make_move_iterator(frames.begin() + static_cast<ptrdiff_t>(dropped)),
                std::make_move_iterator(frames.end()));
}

void History::Record(const Result<void>& written, std::chrono::nanoseconds duration) {
  if (!written.ok() && !failing_) {
    spdlog::warn("history: cannot write, keeps trying: {}", written.error().ToString());
  } else if (written.ok() && failing_) {
    spdlog::info("history: writes again");
  }
  failing_ = !written.ok();
  const Result<std::optional<int64_t>> oldest = store_.OldestTime();
  const int64_t bytes = store_.FileBytes();
  const MutexLock lock(mutex_);
  stats_.file_bytes = bytes;
  stats_.rows_written = store_.rows_written();
  stats_.rows_deleted = store_.rows_deleted();
  stats_.last_flush_duration = duration;
  stats_.set_aside = store_.set_aside();
  if (!oldest.ok()) return;
  stats_.oldest.reset();
  if (*oldest) stats_.oldest = WallTime(std::chrono::milliseconds(**oldest));
}

}  // namespace idlewatt
