#include "app/sd_notify.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "base/result.h"
#include "base/text.h"

namespace idlewatt {
namespace {

constexpr timeval kPatience{1, 0};

std::string TakeVariable(const char* name) {
  const char* const value = ::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);
  return taken;
}

// Nothing when no sign of life is asked of this process.
std::optional<std::chrono::nanoseconds> AliveInterval(std::string_view microseconds,
                                                      std::string_view pid) {
  const auto timeout = ParseNumber<int64_t>(microseconds);
  if (!timeout || *timeout <= 0) return std::nullopt;
  if (!pid.empty() && ParseNumber<pid_t>(pid) != ::getpid()) return std::nullopt;
  return std::chrono::microseconds(*timeout) / 2;
}

}  // namespace

SdNotify SdNotify::FromEnvironment() {
  const std::string address = TakeVariable("NOTIFY_SOCKET");
  const std::string timeout = TakeVariable("WATCHDOG_USEC");
  const std::string pid = TakeVariable("WATCHDOG_PID");
  SdNotify notify;
  if (address.empty()) return notify;
  notify.Connect(address);
  if (notify.socket_) notify.alive_interval_ = AliveInterval(timeout, pid);
  return notify;
}

void SdNotify::Connect(const std::string& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.size() >= sizeof name.sun_path) {
    spdlog::warn("NOTIFY_SOCKET={}: too long for a socket; nobody is told that we are ready",
                 address);
    return;
  }
  std::copy(address.begin(), address.end(), name.sun_path);
  if (address.front() == '@') name.sun_path[0] = '\0';  // the abstract namespace
  // Without the NUL behind it, which would belong to an abstract name.
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&name), length) != 0) {
    spdlog::warn("{}", ErrnoError(errno, "NOTIFY_SOCKET=" + address).ToString());
    socket_.reset();
  }
}

void SdNotify::Ready() const { Send("READY=1", 0); }

void SdNotify::Reloading() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // the manager compares it with this clock of its own
  Send("RELOADING=1\nMONOTONIC_USEC=" +
           std::to_string(int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000),
       0);
}

void SdNotify::Stopping() const { Send("STOPPING=1", 0); }

void SdNotify::Status(std::string_view text) const {
  std::string message = "STATUS=" + std::string(text);
  std::replace(message.begin(), message.end(), '\n', ' ');  // a second line would be a variable
  Send(message, 0);
}

void SdNotify::Alive() const { Send("WATCHDOG=1", MSG_DONTWAIT); }

void SdNotify::Send(std::string_view message, int flags) const {
  if (!socket_) return;
  if (::send(socket_.get(), message.data(), message.size(), flags | MSG_NOSIGNAL) >= 0) return;
  spdlog::warn("{}", ErrnoError(errno, "the service manager does not hear " +
                                           std::string(message.substr(0, message.find('\n'))))
                         .ToString());
}

}  // namespace idlewatt
