#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file_root.h"
#include "base/result.h"

namespace idlewatt {

// Before a start: kInvalid, with the pid and the name of who listens, when `port` of 127.0.0.1 is
// taken.
Result<void> CheckPortIsFree(const FileRoot& proc, uint16_t port);

// Says whether who listens on a port is of the run: a stranger's answer is not believed.
// Source:  collector/port_owner.h. Looking through all processes takes tens of milliseconds, so
//          that is done for a good answer only, and not more than once a second while a stranger is
//          there; an owner that was found is looked at alone from then on.
// Threads: loop only.
class PortGuard {
 public:
  // `proc` must outlive it.
  PortGuard(const FileRoot& proc, uint16_t port, std::function<bool(int32_t pid)> is_member)
      : proc_(proc), port_(port), is_member_(std::move(is_member)) {}

  // Why an answer is not believed: "port 8001 is held by process 123 (nginx), which is not of this
  // service". Nothing when it is, also when it cannot be known who listens.
  std::optional<std::string> WhyStranger(BootTime now);

 private:
  std::string Refusal(int32_t owner) const;

  const FileRoot& proc_;
  const uint16_t port_;
  const std::function<bool(int32_t pid)> is_member_;
  std::optional<int32_t> owner_;  // a member
  std::optional<std::string> refusal_;
  BootTime refused_at_;
};

}  // namespace idlewatt
