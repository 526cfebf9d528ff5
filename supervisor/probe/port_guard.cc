#include "supervisor/probe/port_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

#include "base/text.h"
#include "base/unique_fd.h"
#include "collector/port_owner.h"

namespace idlewatt {

Result<void> CheckPortIsFree(const FileRoot& proc, uint16_t port) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;  // connections of an earlier run that linger are no obstacle
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != EADDRINUSE) {
    return {};
  }
  const std::string subject = "port " + std::to_string(port);
  const auto pid = FindPortOwner(proc, port);
  if (!pid)
    return Error{ErrorCode::kInvalid, subject, 0, "is in use by somebody who can't be seen"};
  const auto name = proc.Read(std::to_string(*pid) + "/comm");
  return Error{ErrorCode::kInvalid, subject, 0,
               "is held by process " + std::to_string(*pid) +
                   (name ? " (" + ToValidUtf8(Trim(*name)) + ")" : "") +
                   "; stop it, or give the service another port"};
}

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
