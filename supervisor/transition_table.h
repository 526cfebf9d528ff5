// The life of a service: one table of state × event -> next state + action. The loop obeys it, the
// tests walk it, and docs/supervision.md is drawn from it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace idlewatt {

enum class ServiceState {
  kDisabled,
  kStopped,
  kPending,
  kStarting,
  kReady,
  kUnhealthy,
  kBackoff,
  kStopping,
  kExited,
  kFailed,
};
inline constexpr size_t kServiceStateCount = 10;

enum class ServiceEvent {
  kStartRequested,
  kRestartRequested,
  kStopRequested,
  kKillRequested,
  kProfileEntered,  // it belongs to the profile that is active now
  kProfileLeft,
  kDependenciesMet,
  kDependencyFailed,
  kBecameReady,
  kBecameUnwell,  // did not answer, not yet often enough to be given up
  kRecovered,
  kSwapped,      // another run, ready already, took the place of this one
  kFellBack,     // a swap failed: what ran before is started again
  kEndedDone,    // it ended, or was given up; and shall not run again: it did its work
  kEndedRetry,   //   ... and shall be started again
  kEndedFailed,  //  ... and shall not be started again: it failed
  kRootEnded,    // of a run that was being stopped anyway
  kRetryDue,
  kAllGone,  // no process of the service is left
};
inline constexpr size_t kServiceEventCount = 19;

enum class ServiceAction {
  kNone,
  kAwaitGone,          // gives kAllGone once no process is left, at once when none is
  kAwaitDependencies,  // gives kDependenciesMet or kDependencyFailed, maybe at once
  kSpawn,              // gives kBecameReady or one of kEnded...
  kWatchHealth,        // gives kBecameUnwell, kRecovered or one of kEnded...
  kStop,               // stop signal to all processes, SIGKILL later; then as kAwaitGone
  kKill,               // SIGKILL to all processes; then as kAwaitGone
  kRetryLater,         // gives kRetryDue after the delay; and as kStop
};
inline constexpr size_t kServiceActionCount = 8;

struct Transition {
  ServiceState state;
  ServiceEvent event;
  ServiceState next;
  ServiceAction action;
};

std::span<const Transition> Transitions();

// The row for (`state`, `event`). Null when the event cannot happen there: should it, it is logged
// as a bug and nothing changes.
const Transition* FindTransition(ServiceState state, ServiceEvent event);

// "ready": the label value of idlewatt_service_state, and what the API shows.
std::string_view ServiceStateName(ServiceState state);
// "stop requested": for logs and the page.
std::string_view ServiceEventName(ServiceEvent event);
std::string_view ServiceActionName(ServiceAction action);

// The table and its Mermaid diagram as they stand in docs/supervision.md.
std::string RenderTransitions();

}  // namespace idlewatt
