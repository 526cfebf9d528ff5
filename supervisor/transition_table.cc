#include "supervisor/transition_table.h"

#include <algorithm>
#include <array>

namespace idlewatt {
namespace {

using enum ServiceState;
using enum ServiceEvent;
using A = ServiceAction;

constexpr std::array kTransitions = {
    Transition{kStopped, kStartRequested, kPending, A::kAwaitGone},
    Transition{kStopped, kStopRequested, kStopped, A::kNone},
    Transition{kStopped, kKillRequested, kStopped, A::kNone},

    // Pending has processes only while an earlier run is being stopped, so nothing here signals
    // again: that would move the deadline.
    Transition{kPending, kStartRequested, kPending, A::kNone},
    Transition{kPending, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kPending, kKillRequested, kStopping, A::kKill},
    Transition{kPending, kExitedWell, kPending, A::kAwaitGone},
    Transition{kPending, kExitedBadly, kPending, A::kAwaitGone},
    Transition{kPending, kDeadline, kPending, A::kKill},
    Transition{kPending, kAllGone, kStarting, A::kSpawn},

    Transition{kStarting, kStartRequested, kStarting, A::kNone},
    Transition{kStarting, kStopRequested, kStopping, A::kStop},
    Transition{kStarting, kKillRequested, kStopping, A::kKill},
    Transition{kStarting, kExecSucceeded, kReady, A::kNone},
    Transition{kStarting, kExecFailed, kFailed, A::kNone},
    Transition{kStarting, kExitedWell, kExited, A::kStop},
    Transition{kStarting, kExitedBadly, kFailed, A::kStop},

    Transition{kReady, kStartRequested, kReady, A::kNone},
    Transition{kReady, kStopRequested, kStopping, A::kStop},
    Transition{kReady, kKillRequested, kStopping, A::kKill},
    Transition{kReady, kExitedWell, kExited, A::kStop},
    Transition{kReady, kExitedBadly, kFailed, A::kStop},

    Transition{kStopping, kStartRequested, kPending, A::kNone},
    Transition{kStopping, kStopRequested, kStopping, A::kNone},
    Transition{kStopping, kKillRequested, kStopping, A::kKill},
    Transition{kStopping, kExitedWell, kStopping, A::kAwaitGone},
    Transition{kStopping, kExitedBadly, kStopping, A::kAwaitGone},
    Transition{kStopping, kDeadline, kStopping, A::kKill},
    Transition{kStopping, kAllGone, kStopped, A::kNone},

    // Here the root is gone and what it left behind is being stopped.
    Transition{kExited, kStartRequested, kPending, A::kAwaitGone},
    Transition{kExited, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kExited, kKillRequested, kStopping, A::kKill},
    Transition{kExited, kDeadline, kExited, A::kKill},
    Transition{kExited, kAllGone, kExited, A::kNone},

    Transition{kFailed, kStartRequested, kPending, A::kAwaitGone},
    Transition{kFailed, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kFailed, kKillRequested, kStopping, A::kKill},
    Transition{kFailed, kDeadline, kFailed, A::kKill},
    Transition{kFailed, kAllGone, kFailed, A::kNone},
};

constexpr uint32_t Set(std::initializer_list<ServiceEvent> events) {
  uint32_t set = 0;
  for (const ServiceEvent event : events) set |= 1U << static_cast<unsigned>(event);
  return set;
}

constexpr std::array kRefused = {
    RefusedEvents{kStopped, Set({kExecSucceeded, kExecFailed, kExitedWell, kExitedBadly, kDeadline,
                                 kAllGone})},
    RefusedEvents{kPending, Set({kExecSucceeded, kExecFailed})},
    RefusedEvents{kStarting, Set({kDeadline, kAllGone})},
    RefusedEvents{kReady, Set({kExecSucceeded, kExecFailed, kDeadline, kAllGone})},
    RefusedEvents{kStopping, Set({kExecSucceeded, kExecFailed})},
    RefusedEvents{kExited, Set({kExecSucceeded, kExecFailed, kExitedWell, kExitedBadly})},
    RefusedEvents{kFailed, Set({kExecSucceeded, kExecFailed, kExitedWell, kExitedBadly})},
};

constexpr std::array kUnreached = {kDisabled, kUnhealthy, kBackoff};

constexpr std::array<std::string_view, kServiceStateCount> kStateNames = {
    "disabled",  "stopped", "pending",  "starting", "ready",
    "unhealthy", "backoff", "stopping", "exited",   "failed"};
constexpr std::array<std::string_view, kServiceEventCount> kEventNames = {
    "start requested", "stop requested", "kill requested",  "exec succeeded", "exec failed",
    "exited well",     "exited badly",   "deadline passed", "all gone"};
constexpr std::array<std::string_view, 5> kActionNames = {"", "spawn", "stop all", "kill all",
                                                          "await all gone"};

std::string RenderTable() {
  std::string text = "| state | event | next | action |\n|---|---|---|---|\n";
  for (const Transition& row : kTransitions) {
    for (const std::string_view cell :
         {ServiceStateName(row.state), ServiceEventName(row.event), ServiceStateName(row.next)}) {
      text.append("| ").append(cell).append(" ");
    }
    text.append("| ").append(ServiceActionName(row.action));
    text.append(row.action == ServiceAction::kNone ? "|\n" : " |\n");
  }
  return text;
}

// Rows that stay in their state are left out of the picture.
std::string RenderDiagram() {
  std::string text = "```mermaid\nstateDiagram-v2\n  [*] --> stopped\n";
  for (const Transition& row : kTransitions) {
    if (row.state == row.next) continue;
    text.append("  ").append(ServiceStateName(row.state)).append(" --> ");
    text.append(ServiceStateName(row.next)).append(": ").append(ServiceEventName(row.event));
    text.append("\n");
  }
  return text + "```\n";
}

std::string RenderRefused() {
  std::string text = "Cannot happen, and is logged as a bug if it does:\n\n";
  for (const RefusedEvents& refused : kRefused) {
    text.append("- ").append(ServiceStateName(refused.state)).append(": ");
    std::string_view separator;
    for (size_t i = 0; i < kServiceEventCount; ++i) {
      const auto event = static_cast<ServiceEvent>(i);
      if (!refused.Has(event)) continue;
      text.append(separator).append(ServiceEventName(event));
      separator = ", ";
    }
    text.append("\n");
  }
  text.append("\nNot reached by any row yet:");
  for (const ServiceState state : kUnreached) text.append(" ").append(ServiceStateName(state));
  return text + ".\n";
}

}  // namespace

std::span<const Transition> Transitions() { return kTransitions; }
std::span<const RefusedEvents> Refusals() { return kRefused; }
std::span<const ServiceState> UnreachedStates() { return kUnreached; }

const Transition* FindTransition(ServiceState state, ServiceEvent event) {
  const auto row = std::ranges::find_if(
      kTransitions, [&](const Transition& t) { return t.state == state && t.event == event; });
  return row == kTransitions.end() ? nullptr : &*row;
}

std::string_view ServiceStateName(ServiceState state) {
  return kStateNames[static_cast<size_t>(state)];
}
std::string_view ServiceEventName(ServiceEvent event) {
  return kEventNames[static_cast<size_t>(event)];
}
std::string_view ServiceActionName(ServiceAction action) {
  return kActionNames[static_cast<size_t>(action)];
}

std::string RenderTransitions() {
  return RenderDiagram() + "\n" + RenderTable() + "\n" + RenderRefused();
}

}  // namespace idlewatt
