// A machine that records with values which follow from the time, so that whoever reads them later
// knows what must be there.
#pragma once

#include <set>

#include "storage/history_reader.h"
#include "storage/interval_query.h"
#include "tests/storage/storage_fixture.h"

namespace idlewatt {

// Recordings in simulated time, each frame with the idle interval that goes on at its time, and the
// check of what is left of them.
class RecordedHistoryTest : public HistoryTest {
 protected:
  static constexpr int kCounters = 6;

  // The frame at `time_ms`: a gauge, and counters of which each is absent now and then.
  void PushFrame(int64_t time_ms) {
    std::vector<Sample> samples{{GaugeId(), GaugeAt(time_ms)}};
    for (int n = 0; n < kCounters; ++n) {
      if (HasCounter(n, time_ms))
        samples.push_back({counters_[static_cast<size_t>(n)], CounterAt(n, time_ms)});
    }
    history_->Push(FrameAt(time_ms, std::move(samples)));
    history_->PushInterval(IntervalAt(time_ms));
    pushed_.insert(time_ms);
    unflushed_.push_back(time_ms);
  }
  // Pushes `frames` frames, `step_ms` apart, from `next_ms_` on, and flushes them. When the flush
  // says that it worked, all that this daemon was given is promised.
  bool RecordFlush(int frames, int64_t step_ms) {
    for (int i = 0; i < frames; ++i) {
      PushFrame(next_ms_);
      next_ms_ += step_ms;
    }
    if (!history_->Flush().ok()) return false;
    Promise();
    return true;
  }
  void Promise() {
    promised_.insert(unflushed_.begin(), unflushed_.end());
    unflushed_.clear();
  }
  // The daemon is gone, and what it had not flushed with it.
  void ForgetUnflushed() { unflushed_.clear(); }

  // What a reader must find: every promised frame once, with its values, no other than pushed ones,
  // in a sound database. Frames before `kept_from_ms` may be gone, by retention.
  void ExpectAllPromised(int64_t kept_from_ms) {
    ASSERT_NO_FATAL_FAILURE(ExpectSound());
    const std::set<int64_t> gauge = TimesOf("test_celsius", [](int64_t t) { return GaugeAt(t); });
    ExpectPromised(gauge, [kept_from_ms](int64_t time_ms) { return time_ms >= kept_from_ms; });
    for (int n = 0; n < kCounters; ++n) {
      const std::string selector = "test_joules_total{domain=\"" + std::to_string(n) + "\"}";
      const std::set<int64_t> counter =
          TimesOf(selector, [n](int64_t time_ms) { return CounterAt(n, time_ms); });
      ExpectPromised(counter, [n, kept_from_ms](int64_t time_ms) {
        return time_ms >= kept_from_ms && HasCounter(n, time_ms);
      });
    }
    ExpectIntervalsOf(gauge, kept_from_ms);
  }
  // Intervals are whole and of one transaction with their frames: each reaches to the last of the
  // frames that are there. They outlive frames, which may be gone before `kept_from_ms`.
  void ExpectIntervalsOf(const std::set<int64_t>& frames, int64_t kept_from_ms) const {
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    ASSERT_TRUE(reader.ok()) << reader.error().ToString();
    std::set<int64_t> ends;
    const auto check = [&](const IdleInterval& one) {
      const IdleInterval expected = IntervalAt(one.end_ms);
      EXPECT_TRUE(one.service == expected.service && one.start_ms == expected.start_ms &&
                  one.joules == expected.joules && one.avg_watts == expected.avg_watts &&
                  one.cpu_seconds == expected.cpu_seconds &&
                  one.peak_rss_bytes == expected.peak_rss_bytes)
          << "half of a row at " << one.end_ms;
      EXPECT_TRUE(one.reason == "open" || one.reason == "lost") << one.reason;
      EXPECT_TRUE(one.end_ms < kept_from_ms || frames.contains(one.end_ms)) << one.end_ms;
      ends.insert(one.end_ms);
    };
    const Result<void> visited = VisitIntervals(*reader, 0, INT64_MAX, check);
    ASSERT_TRUE(visited.ok()) << visited.error().ToString();
    for (const int64_t time_ms : frames) {
      const auto end = ends.lower_bound(time_ms);
      EXPECT_TRUE(end != ends.end() && IntervalAt(*end).start_ms == IntervalAt(time_ms).start_ms)
          << "no interval at " << time_ms;
    }
  }
  void ExpectSound() const {
    Result<Database> db = Database::Open(db_path(), Database::Mode::kReadOnly);
    ASSERT_TRUE(db.ok()) << db.error().ToString();
    Result<Statement> check = db->Prepare("PRAGMA integrity_check");
    ASSERT_TRUE(check.ok()) << check.error().ToString();
    ASSERT_TRUE(check->Step().ok());
    EXPECT_EQ(check->Bytes(0), "ok");
    EXPECT_TRUE(FilesNamed("history.db.damaged").empty());
  }

  // Of each series.
  static std::vector<std::string> Selectors() {
    std::vector<std::string> all{"test_celsius"};
    for (int n = 0; n < kCounters; ++n) {
      all.push_back("test_joules_total{domain=\"" + std::to_string(n) + "\"}");
    }
    return all;
  }
  // All points of the only series that `selector` means, as measured.
  std::vector<Point> PointsOf(const std::string& selector) const {
    std::vector<Point> all;
    const Result<size_t> damaged = ReadPoints(selector, all);
    EXPECT_TRUE(damaged.ok()) << (damaged.ok() ? "" : damaged.error().ToString());
    EXPECT_EQ(damaged.value_or(0), 0u) << selector;
    return all;
  }
  // Gives back the number of damaged rows.
  Result<size_t> ReadPoints(const std::string& selector, std::vector<Point>& all) const {
    ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db_path()));
    const Selector wanted = Select(selector);
    ASSIGN_OR_RETURN(const std::vector<StoredSeries> series, reader.FindSeries(&wanted));
    EXPECT_LE(series.size(), 1u) << selector;
    if (series.empty()) return 0;
    ASSIGN_OR_RETURN(const auto points,
                     PointReader::Start(reader.db(), {{series.front().id, {}}}, 0, INT64_MAX));
    for (std::vector<Point> some;;) {
      ASSIGN_OR_RETURN(bool more, points->Next(some));
      if (!more) return points->damaged_rows();
      all.insert(all.end(), some.begin(), some.end());
    }
  }

  int64_t next_ms_ = kStartMs;  // of the next frame
  std::set<int64_t> pushed_, promised_;

 private:
  // One of each 50 minutes, as far as it goes at `time_ms`.
  static IdleInterval IntervalAt(int64_t time_ms) {
    constexpr int64_t kLength = 3'000'000;
    IdleInterval interval;
    interval.service = "idler";
    interval.start_ms = time_ms - time_ms % kLength;
    interval.end_ms = time_ms;
    const auto length = static_cast<double>(interval.end_ms - interval.start_ms);
    interval.joules = length / 7;
    interval.avg_watts = length / 11;
    interval.cpu_seconds = length / 13;
    interval.peak_rss_bytes = time_ms;
    interval.reason = "open";
    return interval;
  }
  static double GaugeAt(int64_t time_ms) { return static_cast<double>(time_ms % 99'991) / 10; }
  static double CounterAt(int n, int64_t time_ms) {
    return static_cast<double>(time_ms - kStartMs) * (n + 1) / 7;
  }
  // Not by plain steps, of which the steps of a recording could be multiples.
  static bool HasCounter(int n, int64_t time_ms) {
    return (static_cast<uint64_t>(time_ms) * 0x9e3779b97f4a7c15U >> 40) %
               static_cast<uint64_t>(n + 2) !=
           0;
  }

  // Of the only series that `selector` means, as measured. No time twice, each with its right
  // value.
  template <typename ValueAt>
  std::set<int64_t> TimesOf(const std::string& selector, ValueAt value_at) const {
    std::set<int64_t> times;
    for (const Point& point : PointsOf(selector)) {
      EXPECT_TRUE(times.insert(point.time_ms).second) << selector << " twice at " << point.time_ms;
      EXPECT_EQ(point.value, value_at(point.time_ms)) << selector << " at " << point.time_ms;
      EXPECT_TRUE(pushed_.contains(point.time_ms)) << selector << " at " << point.time_ms;
    }
    return times;
  }
  template <typename Expected>
  void ExpectPromised(const std::set<int64_t>& found, Expected expected) const {
    size_t missing = 0;
    for (const int64_t time_ms : promised_) {
      if (!expected(time_ms) || found.contains(time_ms)) continue;
      if (missing++ == 0) ADD_FAILURE() << "lost: " << time_ms - kStartMs << " ms after the start";
    }
    EXPECT_EQ(missing, 0u);
  }

  std::vector<int64_t> unflushed_;
  std::array<SeriesId, kCounters> counters_ = [this] {
    std::array<SeriesId, kCounters> ids{};
    for (int n = 0; n < kCounters; ++n) {
      ids[static_cast<size_t>(n)] = registry_.Intern(kTestCounter, {"rapl", std::to_string(n)});
    }
    return ids;
  }();
};

}  // namespace idlewatt
