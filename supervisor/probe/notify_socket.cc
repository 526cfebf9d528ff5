#include "supervisor/probe/notify_socket.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace idlewatt {
namespace {

// So long that it ends no wait, and can still be added to a time.
constexpr std::chrono::hours kLongest{24 * 365};

std::chrono::microseconds Extension(uint64_t microseconds) {
  constexpr std::chrono::microseconds kMost = kLongest;
  return std::chrono::microseconds(
      static_cast<int64_t>(std::min(microseconds, static_cast<uint64_t>(kMost.count()))));
}

// Who sent it; 0 for a process that this pid namespace does not know.
int32_t SenderOf(msghdr& message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_CREDENTIALS) continue;
    ucred credentials{};
    std::memcpy(&credentials, CMSG_DATA(control), sizeof credentials);
    return credentials.pid;
  }
  return 0;
}

}  // namespace

NotifyMessage ParseNotifyMessage(std::string_view datagram) {
  NotifyMessage message;
  for (const std::string_view line : Split(datagram, '\n')) {
    const size_t equals = std::min(line.find('='), line.size());
    const std::string_view name = line.substr(0, equals);
    const std::string_view value = line.substr(std::min(equals + 1, line.size()));
    if (name == "READY") {
      message.ready = value == "1";
    } else if (name == "STATUS") {
      message.status = ToValidUtf8(Trim(Trim(value).substr(0, NotifySocket::kStatusBytes)));
    } else if (name == "EXTEND_TIMEOUT_USEC") {
      if (const auto number = ParseNumber<uint64_t>(value)) {
        message.extend_timeout = Extension(*number);
      }
    }
  }
  return message;
}

Result<std::unique_ptr<NotifySocket>> NotifySocket::Open(EventLoop& loop, const std::string& name,
                                                         IsMember is_member, OnMessage on_message) {
  std::unique_ptr<NotifySocket> notify(
      new NotifySocket(std::move(is_member), std::move(on_message)));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!name.starts_with('@') || name.size() > sizeof address.sun_path) {
    return Error{ErrorCode::kInternal, name, 0, "no name of an abstract socket"};
  }
  std::ranges::copy(name, address.sun_path);
  address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  notify->socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  // Before there is a name: only what is sent after this says who sent it.
  if (!notify->socket_ ||
      ::setsockopt(notify->socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::bind(notify->socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return Error{ErrorCode::kTransient, name, errno, "no socket for sd_notify"};
  }
  ASSIGN_OR_RETURN(notify->watch_,
                   loop.WatchFd(notify->socket_.get(), EPOLLIN,
                                [self = notify.get()](uint32_t) { self->Receive(); }));
  return notify;
}

// One a turn, for each may end this object; the watch calls again as long as there are more.
void NotifySocket::Receive() {
  std::array<char, kMaxBytes> buffer;
  // Room for credentials alone: the kernel closes descriptors that come along, and that is what
  // sd_notify_barrier(3) waits for.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
  iovec range{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &range;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  if (count <= 0 || (header.msg_flags & MSG_TRUNC) != 0) return;
  const NotifyMessage message = ParseNotifyMessage({buffer.data(), static_cast<size_t>(count)});
  if (message == NotifyMessage()) return;
  const int32_t pid = SenderOf(header);
  if (!is_member_(pid)) {
    stranger_ = pid;
    return;
  }
  const OnMessage on_message = on_message_;  // may destroy this
  on_message(message, pid);
}

}  // namespace idlewatt
