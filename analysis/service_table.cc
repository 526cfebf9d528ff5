#include "analysis/service_table.h"

#include <algorithm>
#include <utility>

#include "collector/metrics.h"

namespace idlewatt {
namespace {

// As long as a series is kept after it was given last.
constexpr std::chrono::hours kForgetAfter{1};

}  // namespace

bool IsFailedRestart(std::string_view reason) {
  return std::find(metrics::kFailedRestarts.begin(), metrics::kFailedRestarts.end(), reason) !=
         metrics::kFailedRestarts.end();
}

std::optional<size_t> ServiceTable::Find(std::string_view service) const {
  const auto place = std::partition_point(
      order_.begin(), order_.end(), [&](size_t number) { return rows_[number].name < service; });
  if (place == order_.end() || rows_[*place].name != service) return std::nullopt;
  return *place;
}

void ServiceTable::Update(const Snapshot& snapshot) {
  BeginTick();
  TakeProcesses(snapshot);
  TakeGpus(snapshot);
  TakeSockets(snapshot);
  TakeSupervision(snapshot);
  // After a gap of hours a service that is there again is still the same.
  std::erase_if(order_, [&](size_t number) {
    if (rows_[number].seen + kForgetAfter > snapshot.time.boot) return false;
    free_.push_back(number);
    return true;
  });
}

void ServiceTable::BeginTick() {
  for (const size_t number : order_) {
    ServiceRow& row = rows_[number];
    // Strings and vectors keep their memory.
    row.is_new = row.supervised = row.configured = row.measured = row.running = false;
    row.cpu_fresh = false;
    row.cpu_used = row.memory_bytes = row.restarts = 0;
    row.cpus.reset();
    row.sockets.reset();
    row.requests.reset();
    row.uptime_seconds.reset();
    row.state.clear();
    std::fill(row.gpus.begin(), row.gpus.end(), GpuUse());
  }
}

size_t ServiceTable::Insert(size_t place, std::string_view service) {
  if (free_.empty()) {
    free_.push_back(rows_.size());
    rows_.emplace_back();
  }
  const size_t number = free_.back();
  free_.pop_back();
  rows_[number] = ServiceRow();
  rows_[number].name = service;
  rows_[number].is_new = true;
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(place), number);
  return number;
}

// Values and rows are in the order of the services' names: one walk through both.
template <typename Take>
void ServiceTable::ForEach(const Snapshot& snapshot, const Metric& metric, Take take) {
  size_t place = 0;
  for (const SnapshotValue& value : snapshot.Family(metric)) {
    const std::string& service = value.series->labels[0];
    while (place < order_.size() && rows_[order_[place]].name < service) ++place;
    if (place == order_.size() || rows_[order_[place]].name != service) Insert(place, service);
    ServiceRow& row = rows_[order_[place]];
    row.seen = snapshot.time.boot;
    take(row, value);
  }
}

void ServiceTable::TakeProcesses(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  ForEach(snapshot, metrics::kServiceProcesses, [](ServiceRow& row, const SnapshotValue& value) {
    const std::string& kind = value.series->labels[1];
    row.running |= value.value > 0;
    row.supervised |= kind == "supervised";
    row.configured |= kind != "discovered";
  });
  ForEach(snapshot, metrics::kServiceCpuSeconds,
          [now](ServiceRow& row, const SnapshotValue& value) {
            row.measured = true;
            if (const auto rate = value.Rate()) row.cpus = row.cpus.value_or(0) + *rate;
            if (value.time.boot != now) return;
            row.cpu_fresh = true;
            row.cpu_used += value.Increase().value_or(0);
          });
  ForEach(snapshot, metrics::kServiceMemoryBytes,
          [](ServiceRow& row, const SnapshotValue& value) { row.memory_bytes += value.value; });
}

GpuUse& ServiceTable::GpuOf(ServiceRow& row, std::string_view gpu) {
  const auto known = std::find(gpus_.begin(), gpus_.end(), gpu);
  const auto index = static_cast<size_t>(known - gpus_.begin());
  if (known == gpus_.end()) gpus_.emplace_back(gpu);
  if (row.gpus.size() <= index) row.gpus.resize(gpus_.size());
  return row.gpus[index];
}

void ServiceTable::TakeGpus(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  ForEach(snapshot, metrics::kServiceGpuMemoryBytes,
          [this](ServiceRow& row, const SnapshotValue& value) {
            GpuOf(row, value.series->labels[2]).memory_bytes += value.value;
          });
  ForEach(snapshot, metrics::kServiceGpuSeconds,
          [this, now](ServiceRow& row, const SnapshotValue& value) {
            if (value.time.boot != now) return;
            GpuOf(row, value.series->labels[2]).used_seconds += value.Increase().value_or(0);
          });
}

void ServiceTable::TakeSockets(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  ForEach(snapshot, metrics::kServiceConnectionsSeen,
          [now](ServiceRow& row, const SnapshotValue& value) {
            SocketUse& sockets = row.sockets.emplace();
            sockets.fresh = value.time.boot == now;
            if (sockets.fresh) sockets.new_connections = value.Increase().value_or(0);
          });
  ForEach(snapshot, metrics::kServiceNetworkBytes, [](ServiceRow& row, const SnapshotValue& value) {
    if (row.sockets) row.sockets->bytes_per_second += value.Rate().value_or(0);
  });
  ForEach(snapshot, metrics::kServiceRequests, [now](ServiceRow& row, const SnapshotValue& value) {
    row.requests.emplace();
    if (value.time.boot == now) row.requests->come = value.Increase().value_or(0);
  });
  ForEach(snapshot, metrics::kServiceInflightRequests,
          [](ServiceRow& row, const SnapshotValue& value) {
            if (row.requests) row.requests->in_flight = value.value;
          });
}

void ServiceTable::TakeSupervision(const Snapshot& snapshot) {
  const BootTime now = snapshot.time.boot;
  ForEach(snapshot, metrics::kServiceState, [](ServiceRow& row, const SnapshotValue& value) {
    row.supervised = row.configured = true;
    if (value.value == 1) row.state = value.series->labels[1];
  });
  ForEach(snapshot, metrics::kServiceRestarts, [now](ServiceRow& row, const SnapshotValue& value) {
    if (value.time.boot != now || !IsFailedRestart(value.series->labels[1])) return;
    row.restarts += value.Increase().value_or(0);
  });
  ForEach(snapshot, metrics::kServiceUptime,
          [](ServiceRow& row, const SnapshotValue& value) { row.uptime_seconds = value.value; });
}

}  // namespace idlewatt
