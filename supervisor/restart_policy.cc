#include "supervisor/restart_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "base/duration.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

bool Contains(const std::vector<int>& codes, int code) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

Verdict Done() { return {Verdict::What::kDone, {}, {}}; }
Verdict Failed(std::string why) { return {Verdict::What::kFailed, {}, std::move(why)}; }

// In doubles: a power may exceed every integer, and is then above `max`.
milliseconds Delay(const ServiceSpec::Backoff& backoff, int attempts, double random) {
  if (backoff.initial.count() <= 0) return milliseconds(0);
  const double grown =
      static_cast<double>(backoff.initial.count()) * std::pow(backoff.multiplier, attempts);
  const double capped = std::min(grown, static_cast<double>(backoff.max.count()));
  return milliseconds(std::llround(capped * (1 + backoff.jitter * (2 * random - 1))));
}

}  // namespace

EndKind KindOf(const LastExit& exit, const ServiceSpec& spec) {
  const bool well = exit.kind == LastExit::Kind::kCode &&
                    (exit.value == 0 || Contains(spec.success_exit_codes, exit.value));
  return well ? EndKind::kWell : EndKind::kBadly;
}

Verdict RestartPolicy::OnEnd(const ServiceSpec& spec, const LastExit& exit,
                             std::optional<BootTime> ready_since, BootTime now) {
  const bool well = KindOf(exit, spec) == EndKind::kWell;
  if (spec.restart == RestartMode::kNo) return well ? Done() : Failed("");
  if (well && spec.restart == RestartMode::kOnFailure) return Done();
  if (exit.kind == LastExit::Kind::kCode && Contains(spec.restart_prevent_exit_codes, exit.value)) {
    return well ? Done()
                : Failed("exit code " + std::to_string(exit.value) +
                         " is one of restart_prevent_exit_codes; it is not started again");
  }
  return Retry(spec, well ? "ended" : "crashed", ready_since, now);
}

Verdict RestartPolicy::OnGivenUp(const ServiceSpec& spec, std::optional<BootTime> ready_since,
                                 BootTime now) {
  if (spec.restart == RestartMode::kNo) return Failed("");
  return Retry(spec, "failed", ready_since, now);
}

Verdict RestartPolicy::Retry(const ServiceSpec& spec, std::string_view what,
                             std::optional<BootTime> ready_since, BootTime now) {
  if (ready_since && now - *ready_since >= spec.backoff.reset_after) Reset();
  const int burst = spec.start_limit.burst;
  const milliseconds interval = spec.start_limit.interval;
  std::erase_if(restart_times_, [&](BootTime time) { return now - time >= interval; });
  if (burst > 0) {
    if (restart_times_.size() >= static_cast<size_t>(burst)) {
      return Failed(std::string(what) + " " + std::to_string(restart_times_.size() + 1) +
                    " times within " + FormatDuration(interval) + "; it is not started again");
    }
    restart_times_.push_back(now);
  }
  const milliseconds delay = Delay(spec.backoff, attempts_, random_());
  if (attempts_ < std::numeric_limits<int>::max()) ++attempts_;
  return {Verdict::What::kRetry, delay, {}};
}

void RestartPolicy::Reset() {
  attempts_ = 0;
  restart_times_.clear();
}

void RestartPolicy::Restore(int attempts, std::vector<BootTime> restart_times) {
  attempts_ = std::max(attempts, 0);
  restart_times_ = std::move(restart_times);
}

}  // namespace idlewatt
