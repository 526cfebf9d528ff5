#pragma once

#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/unique_fd.h"
#include "supervisor/event_loop.h"
#include "supervisor/log/log_compressor.h"
#include "supervisor/process/child_processes.h"
#include "supervisor/process/out_of_memory.h"
#include "supervisor/service.h"
#include "supervisor/service_record.h"
#include "supervisor/shared_state.h"
#include "supervisor/supervisor.h"

namespace idlewatt {

// The one thread that changes a service's state. What concerns one service is in Service; here is
// what concerns several: dependencies, profiles, the order of the stop, reload, and telling others.
// Threads: Run on one thread; Post on any; Create and the destructor while Run does not.
// Owns:    the services and what they share.
class SupervisorLoop final : public Service::Host {
 public:
  // Takes back what an earlier daemon left; starts nothing. `shared` and `clock` must outlive this
  // object, and the specs be valid.
  static Result<std::unique_ptr<SupervisorLoop>> Create(std::vector<ServiceSpec> specs,
                                                        const SupervisorOptions& options,
                                                        const Clock& clock, SharedState& shared);
  ~SupervisorLoop() override;

  // Until `stop` is requested and Wake was called.
  void Run(const std::stop_token& stop);
  // `request` is called by Run.
  void Post(SharedState::Request request);
  void Wake() { events_->Wake(); }

  // Calls `answer` once what the present request changed is published. Loop thread.
  void AnswerLater(std::function<void()> answer) { answers_.push_back(std::move(answer)); }

  // For requests, which run on the loop thread. Names are known to the caller.
  void StartAutostart();
  void Start(const std::string& name);
  void Stop(const std::string& name);
  void Restart(const std::string& name);
  void Swap(const std::string& name, ServiceSpec next);
  // The spec that a swap begins from; nothing when the service is gone.
  const ServiceSpec* SpecOf(const std::string& name) const;
  void ActivateProfile(const std::string& name);
  ReloadOutcome Reload(std::vector<ServiceSpec> specs);
  void StopAll();
  void KillAll();

 private:
  // In this order they are made and, the other way round, ended.
  SupervisorLoop(const SupervisorOptions& options, SharedState& shared, FileRoot proc, FileRoot sys,
                 std::unique_ptr<EventLoop> events, std::unique_ptr<LogCompressor> compressor,
                 ServiceRecords records);
  Result<void> WatchDescriptors();
  void Resume(std::vector<ServiceSpec> specs);
  void Beat();

  void OnStateChange(StateChange change) override;
  void OnAwaitDependencies(Service& service) override;
  std::optional<pid_t> LeftBehind(const Service& service) const override;
  std::vector<uint16_t> TakenPorts(const Service& service) const override;

  Service* Find(std::string_view name) const;
  std::unique_ptr<Service> MakeService(ServiceSpec spec);
  bool IsInProfile(const ServiceSpec& spec) const;
  void StartWithDependencies(Service& service, std::set<std::string>& seen);
  void StartWithDependencies(Service& service);
  void CheckDependencies(Service& service);
  const Service* WhoHoldsItUp(const Service& service) const;
  void StopInOrder();
  void DropRemoved();
  void PublishProfiles();

  void AfterTurn();
  void SaveRecords();
  void SaveRecord(Service& service);
  void Publish();

  const SupervisorOptions options_;
  SharedState& shared_;
  const FileRoot proc_;
  const FileRoot sys_;
  std::unique_ptr<EventLoop> events_;
  ChildProcesses children_;
  OutOfMemoryWatch out_of_memory_;
  std::unique_ptr<LogCompressor> compressor_;
  ServiceRecords records_;
  const ServiceContext context_;
  std::string profile_;  // the active one; empty: none

  UniqueFd signals_;
  EventLoop::Watch signals_watch_;
  EventLoop::Watch compressor_watch_;
  EventLoop::Timer publish_later_;
  EventLoop::Timer heartbeat_;
  std::vector<std::unique_ptr<Service>> services_;  // in the order of the configuration
  std::vector<std::unique_ptr<Service>> removed_;   // from it, on their way out
  std::vector<ProcessScan::Left> left_;             // by an earlier daemon
  bool stopping_all_ = false;
  bool state_changed_ = false;  // in this turn
  BootTime published_;
  Publication news_;
  std::vector<std::function<void()>> answers_;
};

}  // namespace idlewatt
