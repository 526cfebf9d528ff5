#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/log/log_tail.h"
#include "supervisor/log/output.h"
#include "supervisor/restart_policy.h"
#include "supervisor/service_record.h"
#include "supervisor/service_run.h"
#include "supervisor/spec/service_spec.h"
#include "supervisor/status.h"

namespace idlewatt {

class LogCompressor;

// What every service needs of its surroundings; all of it outlives the services.
struct ServiceContext {
  RunContext run;
  std::string log_dir;
  LogCompressor* compressor = nullptr;
};

// One service: its state, which the transition table rules, and what the table's actions do.
// Between two states it has one run at most; during a swap another one beside it, and runs that
// were replaced until they are gone.
// Threads: supervisor loop only.
// Owns:    its runs, probes, timers and log.
class Service final : private ServiceRun::Listener {
 public:
  // What only somebody who knows all services can say.
  class Host {
   public:
    virtual ~Host() = default;
    virtual void OnStateChange(StateChange change) = 0;
    // It waits in pending: answer with Handle(kDependenciesMet) or FailForDependency, later.
    virtual void OnAwaitDependencies(Service& service) = 0;
    // A process that an earlier daemon left behind, of which there is no record.
    virtual std::optional<pid_t> LeftBehind(const Service& service) const = 0;
    // Ports of other services, which port = "auto" must not pick.
    virtual std::vector<uint16_t> TakenPorts(const Service& service) const = 0;
  };

  // `context` and `host` must outlive this object.
  Service(ServiceSpec spec, const ServiceContext& context, Host& host);

  // Goes on where an earlier daemon left it, as far as its processes can be verified. Before the
  // first event.
  void Resume(const ServiceRecord& record);

  // The transition table is obeyed here and nowhere else. `reason` is for people.
  void Handle(ServiceEvent event, const std::string& reason = {});
  // Requests of an operator; counts of crashes begin anew.
  void Start();
  void Stop();                              // the service is remembered as stopped on purpose
  void Restart(const std::string& reason);  // the label of idlewatt_service_restarts_total
  void Kill() { Handle(ServiceEvent::kKillRequested); }
  void Swap(ServiceSpec next);
  // The same service, configured anew: restarted if it must be and runs.
  void Update(ServiceSpec next);
  // The profile that is active now has it, or has not.
  void SetInProfile(bool in_profile);

  // As it is run: configured, or swapped in.
  const ServiceSpec& spec() const { return spec_; }
  const ServiceSpec& configured() const { return configured_; }
  ServiceState state() const { return state_; }
  bool in_profile() const { return in_profile_; }
  bool resumed() const { return resumed_; }
  bool stopped_by_operator() const { return stopped_by_operator_; }
  bool has_processes() const { return run_ || candidate_ || !retired_.empty(); }
  bool is_active() const;  // starting, ready or unhealthy
  // Did its last run end as it should have?
  bool completed() const;
  // What it waits for, for people; empty: nothing.
  void SetNote(std::string note);
  void FailForDependency(const std::string& why);

  ServiceStatus Status() const;
  ServiceRecord Record() const;
  std::vector<SupervisedRoot> Roots() const;
  // Roots that were reaped since the last call.
  std::vector<EndedRoot> TakeEnded() { return std::exchange(ended_, {}); }
  std::shared_ptr<const LogTail> tail() const { return tail_; }

  // Since the loop asked last.
  bool TakeChanged() { return std::exchange(changed_, false); }
  bool has_written() const { return written_; }  // output, which may be told of later
  void TakeWritten() { written_ = false; }
  bool TakeUnrecorded() { return std::exchange(unrecorded_, false); }

 private:
  // A run that shall take the place of the present one once it is ready.
  struct Candidate {
    ServiceSpec spec;  // as configured, variables not replaced
    std::unique_ptr<ServiceRun> run;
    std::unique_ptr<Readiness> readiness;
  };

  void OnExec(ServiceRun& run, const Result<void>& done) override;
  void OnOutput(ServiceRun& run, std::string_view data) override;
  void OnRootEnded(ServiceRun& run) override;
  void OnMemberEnded(ServiceRun& run) override;

  void Perform(ServiceAction action);
  void Spawn();
  void Fail(const Error& error);
  Result<std::unique_ptr<ServiceRun>> NewRun(const ServiceSpec& spec);
  Result<ServiceSpec> Expanded(const ServiceSpec& spec) const;
  ProbedRun Probed(const ServiceRun& run, const ServiceSpec& spec) const;
  std::unique_ptr<Readiness> NewReadiness(const ServiceRun& run, const ServiceSpec& spec,
                                          Readiness::Callbacks callbacks);
  void AwaitReady();
  void OnNotReady(const std::string& why);
  void NoteReady(const ServiceRun& run);
  void WatchHealth();
  void OnHealth(int failures, const std::string& why);
  void RetryLater();
  void AwaitGone();
  void StopRuns();
  void KillRuns();
  void DropProbes();

  void TakeEndOfRoot();
  void OnEnd(const Verdict& verdict, const std::string& why, const std::string& retry_reason);
  void GiveUp(const std::string& why, const std::string& retry_reason);
  bool FallBack(const std::string& why);

  void StartCandidate(ServiceSpec next);
  bool MaySwapBeside(const ServiceSpec& next) const;
  void Promote();
  void DropCandidate(const std::string& why);
  void Retire(std::unique_ptr<ServiceRun> run);
  void CheckRetired();
  void TakeEndOf(const ServiceRun& run);

  void ResumeRun(const ServiceRecord& record);
  void ResumeDead();
  void ResumeState(const ServiceRecord& record);
  void ResumeBackoff(const ServiceRecord& record);

  const ServiceContext& context_;
  Host& host_;
  ServiceSpec configured_;
  ServiceSpec spec_;
  ServiceState state_ = ServiceState::kStopped;
  bool in_profile_ = true;
  bool resumed_ = false;
  bool stopped_by_operator_ = false;

  std::shared_ptr<LogTail> tail_;
  Output output_;
  std::unique_ptr<ServiceRun> run_;
  std::unique_ptr<Readiness> readiness_;
  std::unique_ptr<Liveness> liveness_;
  std::optional<Candidate> candidate_;
  std::vector<std::unique_ptr<ServiceRun>> retired_;
  std::optional<ServiceSpec> fallback_;  // what ran before a swap that is not ready yet

  RestartPolicy policy_;
  EventLoop::Timer retry_;
  std::optional<BootTime> next_retry_;
  std::chrono::milliseconds delay_{0};
  std::string restart_reason_;  // of the next spawn; empty: it is no restart
  std::map<std::string, int64_t> restarts_;
  StartDurations start_durations_;

  std::optional<LastExit> last_exit_;
  std::string failure_;
  bool keep_failure_ = false;  // beyond the next spawn
  std::string note_;
  std::vector<EndedRoot> ended_;
  bool changed_ = true;
  bool written_ = false;
  bool unrecorded_ = false;
};

}  // namespace idlewatt
