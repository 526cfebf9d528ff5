#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/result.h"
#include "collector/service_directory.h"
#include "supervisor/service_spec.h"
#include "supervisor/shared_state.h"
#include "supervisor/status.h"

namespace idlewatt {

class SupervisorLoop;

struct SupervisorOptions {
  std::string log_dir;   // NAME.log per service; created when missing
  std::string data_dir;  // must exist; marks which processes are this daemon's
};

// Runs the services of the configuration.
// Requests are asynchronous: they are queued for the loop thread, which alone looks at a state in
// order to change it. Asking twice for what is already so, or under way, changes nothing.
// Threads: any, except that Create and the destructor belong to one thread.
// Owns:    the loop thread and, while it lives, every process of the services: the destructor kills
//          those that still run. At most one object per process at a time.
class Supervisor final : public ServiceDirectory {
 public:
  // Checks the specs, starts the loop, starts no service. The daemon becomes the subreaper of its
  // descendants, SIGCHLD gets its default action and is blocked in this thread; every other thread
  // must block it as well, or orphans are reaped late. `clock` must outlive this object and give
  // the real boot time.
  static Result<std::unique_ptr<Supervisor>> Create(std::vector<ServiceSpec> specs,
                                                    const SupervisorOptions& options,
                                                    const Clock& clock);
  ~Supervisor() override;

  void StartAutostart();
  // kInvalid, with the nearest name, when there is no such service.
  Result<void> Start(std::string_view name);
  Result<void> Stop(std::string_view name);
  // All at once, each bounded by its stop_timeout. A Start asked for later still starts.
  void StopAll();
  // SIGKILL to every process now, also to those whose stop is under way.
  void KillAll();
  // True when every request so far was handled and no process of any service is left.
  bool WaitAllStopped(std::chrono::nanoseconds timeout) const;

  // In the order of the configuration.
  std::vector<ServiceStatus> Status() const;
  // Waits until `done` of the statuses is true, or until `timeout` passed: then false. `done` is
  // called at every change, with a lock held: it must not call this object. Their uptime is empty.
  bool WaitFor(const std::function<bool(const std::vector<ServiceStatus>&)>& done,
               std::chrono::nanoseconds timeout) const;

  std::vector<SupervisedRoot> Roots() override { return shared_.GetRoots(); }
  std::vector<EndedRoot> TakeEnded() override { return shared_.TakeEnded(); }

 private:
  Supervisor(const std::vector<ServiceSpec>& specs, FileRoot proc, const Clock& clock);
  Result<void> Request(std::string_view name, ServiceEvent event);
  void Post(Command command);

  const Clock& clock_;
  const FileRoot proc_;
  std::vector<std::string> names_;
  std::vector<size_t> autostart_;  // numbers of services
  SharedState shared_;
  std::unique_ptr<SupervisorLoop> loop_;
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace idlewatt
