// What the benchmarks of storage share. A failure ends the program: a benchmark that goes on
// without its history measures nothing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "bench/storage/generated_machine.h"
#include "collector/frame.h"
#include "storage/data_dir.h"
#include "storage/database_file.h"
#include "storage/history.h"

namespace idlewatt {

template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.error().ToString().c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// A data folder under the temporary one, removed at the end.
class BenchFolder {
 public:
  BenchFolder();
  BenchFolder(const BenchFolder&) = delete;
  BenchFolder& operator=(const BenchFolder&) = delete;
  ~BenchFolder();

  const DataDir& dir() const { return dir_; }
  std::string db_path() const;

 private:
  DataDir dir_;
};

// A history that records a made-up machine of at least `series` series. It flushes when it is told
// to and not before, so that a benchmark decides what it measures.
class BenchHistory {
 public:
  static constexpr size_t kFlushFrames = 3;  // as many as in 15 s, the daemon's interval

  // Without the history itself, so that what that needs can be told from the rest.
  explicit BenchHistory(size_t series);

  void Open();
  // Pushes the frames of one flush. The history must be open.
  void PushFlush();
  // Flushes so many hours, one flush after the other.
  void Record(int64_t hours);
  History& history() { return *history_; }
  size_t series() const { return ids_.size(); }
  std::string db_path() const { return folder_.db_path(); }

 private:
  void NextFrame();

  BenchFolder folder_;
  SeriesRegistry registry_;
  GeneratedMachine machine_;
  std::vector<SeriesId> ids_;
  Frame frame_;
  std::unique_ptr<History> history_;
};

// `sql` with the numbers in the place of its @, in their order.
std::string WithNumbers(std::string_view sql, std::initializer_list<int64_t> numbers);

// Made-up roll-ups by hour and day of every series that `db` knows; those that are there stay.
// `first_day`: since 1970.
void FillRollUps(Database& db, int64_t first_day, int64_t days);

// Of each of "service0", "service1", … an idle interval of 25 minutes every half hour.
void FillIdleIntervals(Database& db, int64_t services, int64_t first_day, int64_t days);

// How many flushes of BenchHistory an hour has.
inline constexpr int64_t kFlushesPerHour =
    3'600'000 / GeneratedMachine::kIntervalMs / int64_t{BenchHistory::kFlushFrames};

}  // namespace idlewatt
