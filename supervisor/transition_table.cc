#include "supervisor/transition_table.h"

#include <algorithm>
#include <array>

namespace idlewatt {
namespace {

using enum ServiceState;
using enum ServiceEvent;
using A = ServiceAction;

constexpr std::array kTransitions = {
    Transition{kDisabled, kStartRequested, kPending, A::kAwaitGone},
    Transition{kDisabled, kRestartRequested, kPending, A::kAwaitGone},
    Transition{kDisabled, kStopRequested, kDisabled, A::kNone},
    Transition{kDisabled, kKillRequested, kDisabled, A::kNone},
    Transition{kDisabled, kProfileEntered, kStopped, A::kNone},
    Transition{kDisabled, kProfileLeft, kDisabled, A::kNone},

    Transition{kStopped, kStartRequested, kPending, A::kAwaitGone},
    Transition{kStopped, kRestartRequested, kPending, A::kAwaitGone},
    Transition{kStopped, kStopRequested, kStopped, A::kNone},
    Transition{kStopped, kKillRequested, kStopped, A::kNone},
    Transition{kStopped, kProfileEntered, kStopped, A::kNone},
    Transition{kStopped, kProfileLeft, kDisabled, A::kNone},

    // What an earlier run left is being stopped; or it waits for its dependencies.
    Transition{kPending, kStartRequested, kPending, A::kNone},
    Transition{kPending, kRestartRequested, kPending, A::kNone},
    Transition{kPending, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kPending, kKillRequested, kStopping, A::kKill},
    Transition{kPending, kRootEnded, kPending, A::kAwaitGone},
    Transition{kPending, kAllGone, kPending, A::kAwaitDependencies},
    Transition{kPending, kDependenciesMet, kStarting, A::kSpawn},
    Transition{kPending, kDependencyFailed, kFailed, A::kNone},

    Transition{kStarting, kStartRequested, kStarting, A::kNone},
    Transition{kStarting, kRestartRequested, kPending, A::kStop},
    Transition{kStarting, kStopRequested, kStopping, A::kStop},
    Transition{kStarting, kKillRequested, kStopping, A::kKill},
    Transition{kStarting, kBecameReady, kReady, A::kWatchHealth},
    Transition{kStarting, kFellBack, kPending, A::kStop},
    Transition{kStarting, kEndedDone, kExited, A::kStop},
    Transition{kStarting, kEndedRetry, kBackoff, A::kRetryLater},
    Transition{kStarting, kEndedFailed, kFailed, A::kStop},

    Transition{kReady, kStartRequested, kReady, A::kNone},
    Transition{kReady, kRestartRequested, kPending, A::kStop},
    Transition{kReady, kStopRequested, kStopping, A::kStop},
    Transition{kReady, kKillRequested, kStopping, A::kKill},
    Transition{kReady, kBecameUnwell, kUnhealthy, A::kNone},
    Transition{kReady, kSwapped, kReady, A::kWatchHealth},
    Transition{kReady, kEndedDone, kExited, A::kStop},
    Transition{kReady, kEndedRetry, kBackoff, A::kRetryLater},
    Transition{kReady, kEndedFailed, kFailed, A::kStop},

    Transition{kUnhealthy, kStartRequested, kUnhealthy, A::kNone},
    Transition{kUnhealthy, kRestartRequested, kPending, A::kStop},
    Transition{kUnhealthy, kStopRequested, kStopping, A::kStop},
    Transition{kUnhealthy, kKillRequested, kStopping, A::kKill},
    Transition{kUnhealthy, kRecovered, kReady, A::kNone},
    Transition{kUnhealthy, kSwapped, kReady, A::kWatchHealth},
    Transition{kUnhealthy, kEndedDone, kExited, A::kStop},
    Transition{kUnhealthy, kEndedRetry, kBackoff, A::kRetryLater},
    Transition{kUnhealthy, kEndedFailed, kFailed, A::kStop},

    // Here and in exited and failed what the last run left behind may still be on its way out.
    Transition{kBackoff, kStartRequested, kPending, A::kAwaitGone},
    Transition{kBackoff, kRestartRequested, kPending, A::kAwaitGone},
    Transition{kBackoff, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kBackoff, kKillRequested, kStopping, A::kKill},
    Transition{kBackoff, kRootEnded, kBackoff, A::kAwaitGone},
    Transition{kBackoff, kRetryDue, kPending, A::kAwaitGone},
    Transition{kBackoff, kAllGone, kBackoff, A::kNone},

    Transition{kStopping, kStartRequested, kPending, A::kNone},
    Transition{kStopping, kRestartRequested, kPending, A::kNone},
    Transition{kStopping, kStopRequested, kStopping, A::kNone},
    Transition{kStopping, kKillRequested, kStopping, A::kKill},
    Transition{kStopping, kRootEnded, kStopping, A::kAwaitGone},
    Transition{kStopping, kAllGone, kStopped, A::kNone},

    Transition{kExited, kStartRequested, kPending, A::kAwaitGone},
    Transition{kExited, kRestartRequested, kPending, A::kAwaitGone},
    Transition{kExited, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kExited, kKillRequested, kStopping, A::kKill},
    Transition{kExited, kRootEnded, kExited, A::kAwaitGone},
    Transition{kExited, kAllGone, kExited, A::kNone},

    Transition{kFailed, kStartRequested, kPending, A::kAwaitGone},
    Transition{kFailed, kRestartRequested, kPending, A::kAwaitGone},
    Transition{kFailed, kStopRequested, kStopping, A::kAwaitGone},
    Transition{kFailed, kKillRequested, kStopping, A::kKill},
    Transition{kFailed, kRootEnded, kFailed, A::kAwaitGone},
    Transition{kFailed, kAllGone, kFailed, A::kNone},
};

constexpr std::array<std::string_view, kServiceStateCount> kStateNames = {
    "disabled",  "stopped", "pending",  "starting", "ready",
    "unhealthy", "backoff", "stopping", "exited",   "failed"};
constexpr std::array<std::string_view, kServiceEventCount> kEventNames = {
    "start requested",  "restart requested", "stop requested",
    "kill requested",   "profile entered",   "profile left",
    "dependencies met", "dependency failed", "became ready",
    "became unwell",    "recovered",         "swapped",
    "fell back",        "ended, done",       "ended, to be restarted",
    "ended, failed",    "root ended",        "retry due",
    "all gone"};
constexpr std::array<std::string_view, kServiceActionCount> kActionNames = {
    "",         "await all gone", "await dependencies", "spawn", "watch health",
    "stop all", "kill all",       "retry later"};

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

}  // namespace

std::span<const Transition> Transitions() { return kTransitions; }

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

std::string RenderTransitions() { return RenderDiagram() + "\n" + RenderTable(); }

}  // namespace idlewatt
