#include "supervisor/port_guard.h"

#include <chrono>

#include "base/text.h"
#include "collector/port_owner.h"

namespace idlewatt {

std::optional<std::string> PortGuard::WhyStranger(BootTime now) {
  if (refusal_ && now - refused_at_ < std::chrono::seconds(1)) return refusal_;
  refusal_.reset();
  if (owner_ && IsPortOwner(proc_, *owner_, port_)) return std::nullopt;
  owner_.reset();
  const auto found = FindPortOwner(proc_, port_, is_member_);
  if (!found) return std::nullopt;
  if (is_member_(*found)) {
    owner_ = found;
    return std::nullopt;
  }
  refusal_ = Refusal(*found);
  refused_at_ = now;
  return refusal_;
}

std::string PortGuard::Refusal(int32_t owner) const {
  const auto name = proc_.Read(std::to_string(owner) + "/comm");
  return "port " + std::to_string(port_) + " is held by process " + std::to_string(owner) +
         (name ? " (" + ToValidUtf8(Trim(*name)) + ")" : "") + ", which is not of this service";
}

}  // namespace idlewatt
