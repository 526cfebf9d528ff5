#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/result.h"
#include "collector/service_directory.h"
#include "supervisor/service_control.h"
#include "supervisor/shared_state.h"
#include "supervisor/spec/service_spec.h"
#include "supervisor/status.h"

namespace idlewatt {

class SupervisorLoop;

struct SupervisorOptions {
  std::string log_dir;   // NAME.log per service; created when missing
  std::string data_dir;  // must exist; marks which processes are this daemon's
  std::string profile;   // active at the start, unless an earlier daemon died with another one
  bool cgroups = true;   // one for each run, where it can be made
  // Called by the loop at the start and then at least so often while it turns: a sign of life.
  std::function<void()> heartbeat;
  std::chrono::milliseconds heartbeat_interval{0};  // 0: never
};

// Runs the services of the configuration.
// Requests are queued for the loop thread, which alone looks at a state in order to change it.
// Threads: any, except that Create and the destructor belong to one thread.
// Owns:    the loop thread and, while it lives, every process of the services: the destructor kills
//          those that still run. At most one object per process at a time.
class Supervisor final : public ServiceControl, public ServiceDirectory {
 public:
  // Checks the specs, takes back what an earlier daemon left running, starts the loop, starts no
  // service. The daemon becomes the subreaper of its descendants, SIGCHLD gets its default action
  // and is blocked in this thread; every other thread must block it as well, or orphans are reaped
  // late. `clock` must outlive this object and give the real boot time.
  static Result<std::unique_ptr<Supervisor>> Create(std::vector<ServiceSpec> specs,
                                                    const SupervisorOptions& options,
                                                    const Clock& clock);
  ~Supervisor() override;

  // Starts what shall run: autostart, in the active profile, not stopped by an operator for good.
  void StartAutostart();
  // All at once in the reverse order of dependencies, each bounded by its stop_timeout. A Start
  // asked for later still starts.
  void StopAll();
  // SIGKILL to every process now, also to those whose stop is under way.
  void KillAll();
  // True when every request so far was handled and no process of any service is left.
  bool WaitAllStopped(std::chrono::nanoseconds timeout) const;
  // Waits until `done` of the statuses is true, or until `timeout` passed: then false. `done` is
  // called at every change, with a lock held: it must not call this object. Their uptime and
  // next_retry_at are empty.
  bool WaitFor(const std::function<bool(const std::vector<ServiceStatus>&)>& done,
               std::chrono::nanoseconds timeout) const;

  // Applies what differs from the specs that were given last. kInvalid, and nothing changed, when a
  // spec is wrong. Waits for the loop to take it.
  Result<ReloadOutcome> Reload(std::vector<ServiceSpec> specs);

  Result<void> Start(std::string_view name) override;
  Result<void> Stop(std::string_view name) override;
  Result<void> Restart(std::string_view name) override;
  Result<void> Swap(std::string_view name, const SwapRequest& request) override;
  std::vector<ProfileStatus> Profiles() const override;
  Result<void> ActivateProfile(std::string_view name) override;
  std::vector<ServiceStatus> Status() const override;
  std::shared_ptr<const LogTail> Log(std::string_view name) const override;
  StateNews WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const override;

  std::vector<SupervisedRoot> Roots() override;
  std::vector<EndedRoot> TakeEnded() override;

 private:
  explicit Supervisor(const Clock& clock);

  const Clock& clock_;
  SharedState shared_;
  std::unique_ptr<SupervisorLoop> loop_;
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace idlewatt
