#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/config.h"
#include "app/event_recorder.h"
#include "app/recorder.h"
#include "app/sd_notify.h"
#include "base/clock.h"
#include "base/file_root.h"
#include "base/mutex.h"
#include "base/slot.h"
#include "collector/sampling_loop.h"
#include "exporters/api.h"
#include "exporters/http_server.h"
#include "storage/data_dir.h"
#include "storage/history.h"
#include "storage/range_query.h"
#include "storage/ring.h"
#include "storage/series_query.h"
#include "supervisor/supervisor.h"

namespace idlewatt {

// All parts of the daemon, wired.
// Threads: created, stopped and destroyed by the main thread, which must have blocked SIGTERM,
//          SIGINT, SIGHUP and SIGCHLD before.
class Daemon {
 public:
  // Reads the configuration file again, for a reload; any thread.
  using ConfigLoader = std::function<Result<Config>()>;
  // Takes the port, locks the data folder, opens the history and starts everything. On failure
  // one sentence, and nothing was changed. `manager` hears that the supervisor's loop turns; it
  // must outlive this object.
  static Result<std::unique_ptr<Daemon>> Start(const Config& config, MachineRoots roots,
                                               ConfigLoader load_config, const SdNotify& manager);
  ~Daemon();

  std::string address() const { return http_->address(); }
  Supervisor& supervisor() { return *supervisor_; }
  // Applies the services of the configuration file as it is now. Any thread.
  Result<ReloadOutcome> Reload();
  // Ends sampling, flushes the history and closes the port; the services must have been stopped.
  // False when a driver hangs in a sampler: then the process must end with _Exit, without
  // destroying this object.
  bool Stop();

 private:
  Daemon(const Config& config, MachineRoots roots, ConfigLoader load_config,
         const SdNotify& manager);
  Result<void> StartHttp();
  Result<void> StartStorage();
  Result<void> StartSampling();
  Result<ReloadOutcome> ReloadServices();
  std::optional<StorageStatus> Storage() const;
  // From memory alone where the ring reaches back far enough.
  Result<RangeAnswer> Range(const Selector& selector, const RangeWindow& window) const;
  Result<SeriesAnswer> Series(const Selector* selector) const;
  AnalysisPast ReadPast() const;
  void SetBaseline(std::optional<Baseline> baseline);
  // A reader of the history; kTransient while the daemon starts.
  Result<HistoryReader> OpenHistory() const;
  Result<std::vector<HistoryEvent>> Events(const TimeSpan& span, size_t limit) const;
  Result<IdleReport> Idle(const IdleWindow& window) const;

  // All that HTTP workers use is there: history, past, supervisor.
  std::atomic<bool> started_ = false;
  const Config config_;
  const MachineRoots roots_;
  const ConfigLoader load_config_;
  const SdNotify& manager_;
  Mutex reload_mutex_;
  Mutex baseline_mutex_;
  const RealClock clock_;
  SeriesRegistry registry_;
  Ring ring_;
  Slot<Snapshot> snapshot_;
  Slot<std::vector<AlertStatus>> alerts_;
  Slot<std::optional<Baseline>> baseline_;
  std::optional<DataDir> data_dir_;
  std::string token_;  // of control; fixed once started_
  std::unique_ptr<History> history_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<EventRecorder> events_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<SamplingLoop> loop_;
  std::jthread sampler_thread_;
  std::unique_ptr<HttpServer> http_;
};

// The roots of --procfs and --sysfs; where these are the live machine's own, its /dev too.
Result<MachineRoots> OpenRoots(const std::string& procfs, const std::string& sysfs);

}  // namespace idlewatt
