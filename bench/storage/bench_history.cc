#include "bench/storage/bench_history.h"

#include <unistd.h>

#include <filesystem>

#include "storage/database_file.h"

namespace idlewatt {
namespace {

// One that no other benchmark uses: several may be kept at the same time.
std::string FolderName() {
  static int count = 0;
  const auto name = "idlewatt-bench-" + std::to_string(getpid()) + "-" + std::to_string(++count);
  return (std::filesystem::temp_directory_path() / name).string();
}

SeriesId Intern(const GeneratedMachine::Series& series, SeriesRegistry& registry) {
  const std::shared_ptr<const Metric> borrowed(std::shared_ptr<void>(), series.metric);
  const std::vector<std::string_view> labels(series.labels.begin(), series.labels.end());
  return *registry.Intern(borrowed, labels, Readings::kMostSeries);
}

}  // namespace

BenchFolder::BenchFolder() : dir_(Must(DataDir::Lock(FolderName()))) {}

BenchFolder::~BenchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_.path(), ignored);
}

std::string BenchFolder::db_path() const { return dir_.PathOf(kHistoryFile); }

BenchHistory::BenchHistory(size_t series) : machine_(GeneratedMachine::WithSeries(series)) {
  for (const auto& each : machine_.series()) ids_.push_back(Intern(each, registry_));
  NextFrame();
}

void BenchHistory::Open() {
  HistoryOptions options;
  options.flush_interval = std::chrono::hours(1);
  history_ = Must(History::Open(folder_.dir(), options, registry_));
}

void BenchHistory::NextFrame() {
  frame_.begin.wall = WallTime(std::chrono::milliseconds(machine_.time_ms()));
  frame_.samples.clear();
  for (size_t n = 0; n < ids_.size(); ++n)
    frame_.samples.push_back({ids_[n], machine_.values()[n]});
  machine_.Tick();
}

void BenchHistory::PushFlush() {
  for (size_t i = 0; i < kFlushFrames; ++i) {
    history_->Push(frame_);
    NextFrame();
  }
}

void BenchHistory::Record(int64_t hours) {
  for (int64_t i = 0; i < hours * kFlushesPerHour; ++i) {
    PushFlush();
    Must(history_->Flush());
  }
}

}  // namespace idlewatt
