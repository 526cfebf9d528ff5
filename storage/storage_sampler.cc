#include "storage/storage_sampler.h"

#include <array>

namespace idlewatt {
namespace {

using enum MetricKind;

constexpr Metric kBytes{"idlewatt_storage_bytes",
                        kGauge,
                        "bytes",
                        {},
                        "Size of the database with its -wal and -shm files"};
constexpr Metric kRows{"idlewatt_storage_rows_written_total",
                       kCounter,
                       "",
                       {},
                       "Rows of measured values written to the database"};
constexpr Metric kFlushSeconds = WithDecimals({"idlewatt_storage_flush_seconds",
                                               kGauge,
                                               "seconds",
                                               {},
                                               "How long the last write to the database took"},
                                              5);
constexpr Metric kMaintenanceSeconds =
    WithDecimals({"idlewatt_storage_maintenance_seconds",
                  kGauge,
                  "seconds",
                  {},
                  "How long compaction and retention took before the last write to the database"},
                 5);
constexpr Metric kRowsDeleted{"idlewatt_storage_rows_deleted_total",
                              kCounter,
                              "",
                              {},
                              "Rows deleted because they were too old or the database too large"};
constexpr Metric kFlushErrors{"idlewatt_storage_flush_errors_total",
                              kCounter,
                              "",
                              {},
                              "Writes to the database that failed and are tried again"};
constexpr Metric kQueue{
    "idlewatt_storage_queue_frames", kGauge, "", {}, "Frames that wait to be written"};
constexpr Metric kDropped{"idlewatt_storage_dropped_frames_total",
                          kCounter,
                          "",
                          {},
                          "Frames lost because the database could not be written for too long"};
constexpr Metric kOldest{"idlewatt_storage_oldest_timestamp_seconds",
                         kGauge,
                         "seconds",
                         {},
                         "Time of the oldest value in the database, in seconds since 1970"};
constexpr Metric kSetAside{"idlewatt_storage_databases_set_aside",
                           kGauge,
                           "",
                           {},
                           "Damaged databases that were set aside since the daemon started"};
constexpr Metric kRingSeries{
    "idlewatt_storage_ring_series", kGauge, "", {}, "Series in the memory of the last hour"};
constexpr Metric kRingBytes{
    "idlewatt_storage_ring_bytes", kGauge, "bytes", {}, "Memory that the last hour takes"};
constexpr Metric kRingRefused{"idlewatt_storage_ring_refused_samples_total",
                              kCounter,
                              "",
                              {},
                              "Values that found no room in the memory of the last hour"};
constexpr std::array<const Metric*, 13> kMetrics{
    &kBytes,       &kRows,      &kRowsDeleted, &kFlushSeconds, &kMaintenanceSeconds,
    &kFlushErrors, &kQueue,     &kDropped,     &kOldest,       &kSetAside,
    &kRingSeries,  &kRingBytes, &kRingRefused};

}  // namespace

const SamplerInfo& StorageSampler::Info() {
  static constexpr SamplerInfo kInfo{"storage", "What ring and history hold", false, kMetrics};
  return kInfo;
}

Result<void> StorageSampler::Read(TimePoint /*now*/, Readings& out) {
  const auto number = [](auto count) { return static_cast<double>(count); };
  const HistoryStats history = history_.Stats();
  out.Add(kBytes, {}, number(history.file_bytes));
  out.Add(kRows, {}, number(history.rows_written));
  out.Add(kFlushSeconds, {}, ToSeconds(history.last_flush_duration));
  out.Add(kRowsDeleted, {}, number(history.rows_deleted));
  out.Add(kMaintenanceSeconds, {}, ToSeconds(history.last_maintenance_duration));
  out.Add(kFlushErrors, {}, number(history.flush_errors));
  out.Add(kQueue, {}, number(history.queued_frames));
  out.Add(kDropped, {}, number(history.dropped_frames));
  if (history.oldest) out.Add(kOldest, {}, ToSeconds(history.oldest->time_since_epoch()));
  out.Add(kSetAside, {}, number(history.set_aside.size()));
  const RingStats ring = ring_.Stats();
  out.Add(kRingSeries, {}, number(ring.series));
  out.Add(kRingBytes, {}, number(ring.bytes));
  out.Add(kRingRefused, {}, number(ring.refused_samples));
  return {};
}

}  // namespace idlewatt
