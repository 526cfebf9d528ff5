// The life of a service: one table of state × event -> next state + action. The loop obeys it, the
// tests walk it, and docs/supervision.md is drawn from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
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
  kStopRequested,
  kKillRequested,
  kExecSucceeded,
  kExecFailed,
  kExitedWell,   // the root ended with code 0
  kExitedBadly,  // the root ended with another code or by a signal
  kDeadline,     // stop_timeout passed
  kAllGone,      // no process of the service is left
};
inline constexpr size_t kServiceEventCount = 9;

enum class ServiceAction {
  kNone,
  kSpawn,      // gives kExecSucceeded or kExecFailed
  kStop,       // stop signal to all processes, deadline armed; then as kAwaitGone
  kKill,       // SIGKILL to all processes; then as kAwaitGone
  kAwaitGone,  // gives kAllGone once no process is left, at once when none is
};

struct Transition {
  ServiceState state;
  ServiceEvent event;
  ServiceState next;
  ServiceAction action;
};

// Events that cannot happen in `state`: should one arrive, it is logged as a bug and nothing
// changes.
struct RefusedEvents {
  ServiceState state;
  uint32_t events;  // bit N stands for the event of value N
  constexpr bool Has(ServiceEvent event) const {
    return (events >> static_cast<unsigned>(event) & 1U) != 0;
  }
};

// All rows; all refusals, one per state; states that no row leads to.
std::span<const Transition> Transitions();
std::span<const RefusedEvents> Refusals();
std::span<const ServiceState> UnreachedStates();

// The row for (`state`, `event`); null when it is refused.
const Transition* FindTransition(ServiceState state, ServiceEvent event);

// "ready": the label value of idlewatt_service_state, and what the API shows.
std::string_view ServiceStateName(ServiceState state);
// "stop requested": for logs and the page.
std::string_view ServiceEventName(ServiceEvent event);
std::string_view ServiceActionName(ServiceAction action);

// The table and its Mermaid diagram as they stand in docs/supervision.md.
std::string RenderTransitions();

}  // namespace idlewatt
