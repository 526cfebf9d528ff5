#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "supervisor/spec/service_spec.h"
#include "supervisor/status.h"

namespace idlewatt {

// How a run ended, for the policy.
enum class EndKind {
  kWell,  // code 0 or one of success_exit_codes
  kBadly,
};
EndKind KindOf(const LastExit& exit, const ServiceSpec& spec);

// What follows the end of a run.
struct Verdict {
  enum class What { kDone, kFailed, kRetry };
  What what = What::kDone;
  std::chrono::milliseconds delay{0};  // of kRetry
  std::string why;  // of kFailed, when the limit or the exit code forbids a retry
};

// Decides whether and when a service that ended is started again. Pure: times are the boot clock's.
// The delay before restart n (from 0) is initial * multiplier^n, at most max, times 1 - jitter to
// 1 + jitter. start_limit.burst restarts are granted within its interval, the end after them is the
// last; a burst of 0 is no limit. A run that was ready for reset_after begins anew.
class RestartPolicy {
 public:
  // `random` gives numbers from 0 to 1.
  explicit RestartPolicy(std::function<double()> random) : random_(std::move(random)) {}

  // The run that was ready since `ready_since`, if it ever was, ended at `now`.
  Verdict OnEnd(const ServiceSpec& spec, const LastExit& exit, std::optional<BootTime> ready_since,
                BootTime now);
  // It was given up: not ready in time, or not alive any more.
  Verdict OnGivenUp(const ServiceSpec& spec, std::optional<BootTime> ready_since, BootTime now);
  // An operator, a swap or a reload begins anew.
  void Reset();

  // Restarts that were granted since it began anew.
  int attempts() const { return attempts_; }
  // When those within the interval were granted, oldest first; none where there is no limit.
  const std::vector<BootTime>& restart_times() const { return restart_times_; }
  // As an earlier daemon left it.
  void Restore(int attempts, std::vector<BootTime> restart_times);

 private:
  // `what` it did, for the sentence that says that it is too much.
  Verdict Retry(const ServiceSpec& spec, std::string_view what, std::optional<BootTime> ready_since,
                BootTime now);

  std::function<double()> random_;
  int attempts_ = 0;
  std::vector<BootTime> restart_times_;
};

}  // namespace idlewatt
