// Frames, histories and answers for the tests of storage.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/data_dir.h"
#include "storage/database_file.h"
#include "storage/history.h"
#include "storage/range_query.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {

inline constexpr Metric kTestGauge{"test_celsius", MetricKind::kGauge, "celsius", {{"sensor"}}, ""};
inline constexpr Metric kTestCounter{
    "test_joules_total", MetricKind::kCounter, "joules", {{"source", "domain"}}, ""};
inline constexpr int64_t kStartMs = 1'700'000'000'000;

inline WallTime At(int64_t time_ms) { return WallTime(std::chrono::milliseconds(time_ms)); }

// A frame at `time_ms` on both clocks.
inline Frame FrameAt(int64_t time_ms, std::vector<Sample> samples) {
  Frame frame;
  frame.begin = {At(time_ms), BootTime(std::chrono::milliseconds(time_ms))};
  frame.end = frame.begin.boot;
  frame.samples = std::move(samples);
  return frame;
}

inline Selector Select(std::string_view text) {
  Result<Selector> selector = Selector::Parse(text);
  if (!selector.ok()) ADD_FAILURE() << selector.error().ToString();
  return std::move(*selector);
}

inline RangeWindow Everything() {
  return {At(0), At(int64_t{1} << 50), std::chrono::milliseconds(0), 1'000'000};
}

// One data folder with a registry and a history that only flushes when told to.
class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    options_.flush_interval = std::chrono::hours(1);
    options_.store.synchronous = "off";
  }

  std::string db_path() const { return tree_.PathOf("data/history.db"); }
  // Null, with the error in `error_`, when it can't be opened.
  void Open() {
    Close();
    if (!folder_) folder_.emplace(std::move(*DataDir::Lock(tree_.PathOf("data"))));
    Result<std::unique_ptr<History>> history = History::Open(*folder_, options_, registry_);
    error_ = history.ok() ? std::nullopt : std::optional(history.error());
    if (history.ok()) history_ = std::move(*history);
  }
  void Close() { history_.reset(); }

  SeriesId GaugeId(std::string_view sensor = "a") { return registry_.Intern(kTestGauge, {sensor}); }
  void PushValue(int64_t time_ms, double value) {
    history_->Push(FrameAt(time_ms, {{GaugeId(), value}}));
  }
  // The answer from disk alone.
  RangeAnswer Read(std::string_view selector = "test_celsius",
                   RangeWindow window = Everything()) const {
    Result<HistoryReader> reader = HistoryReader::Open(db_path());
    if (!reader.ok()) {
      ADD_FAILURE() << reader.error().ToString();
      return {};
    }
    Result<RangeAnswer> answer = QueryRange(Select(selector), window, nullptr, &*reader);
    if (!answer.ok()) {
      ADD_FAILURE() << answer.error().ToString();
      return {};
    }
    return std::move(*answer);
  }
  // Times of the points of the only series; empty when there is none.
  std::vector<int64_t> TimesOnDisk() const {
    std::vector<int64_t> times;
    const RangeAnswer answer = Read();
    if (answer.series.empty()) return times;
    for (const Point& point : answer.series.front().points) times.push_back(point.time_ms);
    return times;
  }
  // Files in the data folder whose name starts so.
  std::vector<std::string> FilesNamed(std::string_view prefix) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(tree_.PathOf("data"))) {
      const std::string name = entry.path().filename();
      if (name.starts_with(prefix)) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  FakeTree tree_;
  SeriesRegistry registry_;
  HistoryOptions options_;
  std::optional<DataDir> folder_;
  std::unique_ptr<History> history_;
  std::optional<Error> error_;
};

}  // namespace idlewatt
