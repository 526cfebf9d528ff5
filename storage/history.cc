#include "storage/history.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "storage/database_file.h"

namespace idlewatt {
namespace {

constexpr size_t kMostEvents = 1000;
constexpr size_t kMostIntervals = 1000;

// The one of the same row; the end when there is none.
auto FindRow(std::deque<IdleInterval>& intervals, const IdleInterval& wanted) {
  return std::find_if(intervals.begin(), intervals.end(), [&wanted](const IdleInterval& one) {
    return one.start_ms == wanted.start_ms && one.service == wanted.service;
  });
}

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

void History::PushInterval(IdleInterval interval) {
  const MutexLock lock(mutex_);
  if (stopped_) return;
  if (const auto queued = FindRow(intervals_, interval); queued != intervals_.end()) {
    *queued = std::move(interval);
    return;
  }
  if (intervals_.size() >= kMostIntervals) intervals_.pop_front();
  intervals_.push_back(std::move(interval));
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

FlushContent History::TakeQueue() {
  const auto take = [](auto& queue) {
    std::vector<typename std::decay_t<decltype(queue)>::value_type> taken(
        std::make_move_iterator(queue.begin()), std::make_move_iterator(queue.end()));
    queue.clear();
    return taken;
  };
  const MutexLock lock(mutex_);
  return {take(queue_), take(events_), take(intervals_)};
}

Result<void> History::WriteQueue() {
  FlushContent content = TakeQueue();
  if (content.empty()) return {};
  // First, so that these frames are not in a database which maintenance finds damaged; by the time
  // of the first, because an hour is not over while frames of it are not written.
  if (!content.frames.empty()) Maintain(content.frames.front().time_ms);
  const auto start = std::chrono::steady_clock::now();
  Result<void> written = store_.Write(content);
  Record(written, std::chrono::steady_clock::now() - start);
  const MutexLock lock(mutex_);
  if (written.ok()) {
    ++stats_.flushes;
  } else {
    ++stats_.flush_errors;
    Restore(std::move(content));
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

void History::Restore(FlushContent content) {
  RestoreFrames(std::move(content.frames));
  events_.insert(events_.begin(), std::make_move_iterator(content.events.begin()),
                 std::make_move_iterator(content.events.end()));
  while (events_.size() > kMostEvents) events_.pop_front();
  for (auto one = content.intervals.rbegin(); one != content.intervals.rend(); ++one) {
    if (FindRow(intervals_, *one) == intervals_.end()) intervals_.push_front(std::move(*one));
  }
  while (intervals_.size() > kMostIntervals) intervals_.pop_front();
}

// Puts frames that were not written back before those that came meanwhile.
void History::RestoreFrames(std::vector<QueuedFrame> frames) {
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
