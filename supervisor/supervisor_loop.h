#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/unique_fd.h"
#include "supervisor/service.h"
#include "supervisor/shared_state.h"

namespace idlewatt {

// The one thread that changes a service's state: it waits for what happens to processes, pipes,
// the timer and requests, looks up the transition table, acts, and publishes what changed.
// Orphans: their parent gone, descendants of a service become our children, because the daemon is
// the subreaper. At SIGCHLD every child that has ended is waited for by its pid, except roots,
// which Service reaps when their run is over. So nothing else in this process may start children.
// Threads: Run on one thread; Wake on any.
// Owns:    the services, an epoll, an eventfd, a timerfd and a signalfd.
class SupervisorLoop {
 public:
  // `shared` must outlive this object.
  static Result<std::unique_ptr<SupervisorLoop>> Create(std::vector<ServiceSpec> specs,
                                                        const ServiceContext& context,
                                                        SharedState& shared);

  // Until `stop` is requested and Wake was called.
  void Run(const std::stop_token& stop);
  // Makes Run look for requests.
  void Wake();

 private:
  SupervisorLoop(std::vector<ServiceSpec> specs, ServiceContext context, SharedState& shared);
  Result<void> OpenDescriptors();
  bool Watch(uint64_t key, int fd);

  void Dispatch(uint64_t key);
  void OnService(Service& service, Service::Source source, int fd);
  void OnTimer();
  void OnCommands();
  void ReapOrphans();
  bool IsRoot(pid_t pid) const;

  // The transition table is obeyed here and nowhere else.
  void Handle(Service& service, ServiceEvent event);
  void Perform(Service& service, ServiceAction action);
  void AwaitGone(Service& service);
  void SpawnService(Service& service);

  void WatchNewDescriptors();
  void ArmTimer();
  void Publish();

  const ServiceContext context_;
  SharedState& shared_;
  std::vector<std::unique_ptr<Service>> services_;
  UniqueFd epoll_;
  UniqueFd wake_;
  UniqueFd timer_;
  UniqueFd signals_;
  std::optional<BootTime> armed_;
  size_t handled_commands_ = 0;  // since the last Publish
};

}  // namespace idlewatt
