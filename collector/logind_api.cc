#include <systemd/sd-bus.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "collector/login_sessions_api.h"

namespace idlewatt {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr char kLogind[] = "org.freedesktop.login1";
constexpr char kManagerPath[] = "/org/freedesktop/login1";
constexpr char kManager[] = "org.freedesktop.login1.Manager";
constexpr char kSession[] = "org.freedesktop.login1.Session";
constexpr char kProperties[] = "org.freedesktop.DBus.Properties";

struct BusCloser {
  // Not flushed: that could wait for a bus that does not answer.
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, BusCloser>;

struct MessageCloser {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageCloser>;

// The error that a call was answered with.
class CallError {
 public:
  CallError() = default;
  CallError(const CallError&) = delete;
  CallError& operator=(const CallError&) = delete;
  ~CallError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }
  std::string text() const { return error_.message != nullptr ? error_.message : ""; }

 private:
  sd_bus_error error_{};
};

// `code` is a negative errno, as sd-bus gives them; it has one for each error of D-Bus itself.
Error BusError(int code, std::string_view subject, std::string text) {
  ErrorCode kind = ErrorCode::kTransient;
  switch (-code) {
    case ENOENT:        // no socket
    case ECONNREFUSED:  // a socket that nobody listens on any more
      return Error{ErrorCode::kNoData, std::string(subject), -code, "there is none"};
    case EHOSTUNREACH:  // ServiceUnknown
    case ENXIO:         // NameHasNoOwner
      return Error{ErrorCode::kNoData, "systemd-logind", 0, "does not run"};
    case EACCES:
    case EPERM:
      kind = ErrorCode::kPermission;
      break;
    case EBADR:  // UnknownObject
      kind = ErrorCode::kGone;
      break;
    case EBADMSG:
      kind = ErrorCode::kParse;
      break;
    default:
      break;
  }
  return Error{kind, std::string(subject), -code, std::move(text)};
}

// A reply that is not what org.freedesktop.login1(5) promises.
Error OddReply(const char* member) {
  return Error{ErrorCode::kParse, "systemd-logind", 0,
               std::string("answers ") + member + " in another form"};
}

Result<Bus> StartConnection(const std::string& address) {
  sd_bus* raw = nullptr;
  if (address.empty()) {
    const int code = sd_bus_open_system(&raw);
    if (code < 0) return BusError(code, "D-Bus system bus", "cannot be connected to");
    return Bus(raw);
  }
  int code = sd_bus_new(&raw);
  Bus bus(raw);
  if (code >= 0) code = sd_bus_set_address(bus.get(), address.c_str());
  if (code >= 0) code = sd_bus_set_bus_client(bus.get(), 1);
  if (code >= 0) code = sd_bus_start(bus.get());
  if (code < 0) return BusError(code, "D-Bus at " + address, "cannot be connected to");
  return bus;
}

// Reads the value of a property into `out`; false when it is of another type.
bool ReadVariant(sd_bus_message* reply, std::string& out) {
  const char* text = nullptr;
  if (sd_bus_message_read(reply, "v", "s", &text) < 0) return false;
  out = text;
  return true;
}
bool ReadVariant(sd_bus_message* reply, bool& out) {
  int value = 0;
  if (sd_bus_message_read(reply, "v", "b", &value) < 0) return false;
  out = value != 0;
  return true;
}
// A time in microseconds since 1970; 0 is none.
bool ReadVariant(sd_bus_message* reply, std::optional<WallTime>& out) {
  uint64_t value = 0;
  if (sd_bus_message_read(reply, "v", "t", &value) < 0) return false;
  if (value != 0) out = WallTime(std::chrono::milliseconds(value / 1000));
  return true;
}

bool ReadProperty(sd_bus_message* reply, std::string_view name, LoginSession& out) {
  if (name == "Class") return ReadVariant(reply, out.session_class);
  if (name == "Type") return ReadVariant(reply, out.type);
  if (name == "State") return ReadVariant(reply, out.state);
  if (name == "TTY") return ReadVariant(reply, out.tty);
  if (name == "Active") return ReadVariant(reply, out.active);
  if (name == "LockedHint") return ReadVariant(reply, out.locked);
  if (name == "IdleHint") return ReadVariant(reply, out.idle);
  // Not IdleSinceHintMonotonic: that clock stands still while the machine is suspended.
  if (name == "IdleSinceHint") return ReadVariant(reply, out.idle_since);
  return sd_bus_message_skip(reply, "v") >= 0;
}

bool ReadProperties(sd_bus_message* reply, LoginSession& out) {
  if (sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "{sv}") < 0) return false;
  int more = 0;
  while ((more = sd_bus_message_enter_container(reply, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
    const char* name = nullptr;
    if (sd_bus_message_read(reply, "s", &name) < 0 || !ReadProperty(reply, name, out) ||
        sd_bus_message_exit_container(reply) < 0) {
      return false;
    }
  }
  return more == 0;
}

struct SessionPath {
  std::string id;
  std::string path;
};

bool ReadPaths(sd_bus_message* reply, std::vector<SessionPath>& out) {
  if (sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(susso)") < 0) return false;
  const char* id = nullptr;
  const char* user = nullptr;
  const char* seat = nullptr;
  const char* path = nullptr;
  uint32_t uid = 0;
  int more = 0;
  while ((more = sd_bus_message_read(reply, "(susso)", &id, &uid, &user, &seat, &path)) > 0) {
    out.push_back({id, path});
  }
  return more == 0;
}

class LogindApi final : public LoginSessionsApi {
 public:
  explicit LogindApi(LogindOptions options) : options_(std::move(options)) {}

  Result<std::vector<LoginSession>> Read() override {
    deadline_ = SteadyClock::now() + options_.patience;
    const bool kept = bus_ != nullptr;
    Result<std::vector<LoginSession>> sessions = ReadOnce();
    // The bus may have been started anew since the last reading.
    if (!sessions && kept) sessions = ReadOnce();
    return sessions;
  }

 private:
  uint64_t MicrosecondsLeft() const {
    const auto left =
        std::chrono::duration_cast<microseconds>(deadline_ - SteadyClock::now()).count();
    return left > 0 ? static_cast<uint64_t>(left) : 0;
  }

  // After a failure there is no connection.
  Result<std::vector<LoginSession>> ReadOnce() {
    Result<std::vector<LoginSession>> sessions = ConnectAndRead();
    if (!sessions) bus_.reset();
    return sessions;
  }

  Result<std::vector<LoginSession>> ConnectAndRead() {
    if (!bus_) {
      ASSIGN_OR_RETURN(bus_, StartConnection(options_.bus_address));
      RETURN_IF_ERROR(WaitUntilReady());
    }
    ASSIGN_OR_RETURN(const Message list, Call(kManagerPath, kManager, "ListSessions", nullptr));
    std::vector<SessionPath> paths;
    if (!ReadPaths(list.get(), paths)) return OddReply("ListSessions");
    std::vector<LoginSession> sessions;
    for (SessionPath& path : paths) {
      const Result<Message> reply = Call(path.path.c_str(), kProperties, "GetAll", kSession);
      if (!reply && reply.error().code == ErrorCode::kGone) continue;
      if (!reply) return reply.error();
      LoginSession session;
      session.id = std::move(path.id);
      if (!ReadProperties(reply->get(), session)) return OddReply("GetAll");
      sessions.push_back(std::move(session));
    }
    return sessions;
  }

  // sd-bus itself would wait 90 s for a bus that takes a connection and then says nothing.
  Result<void> WaitUntilReady() {
    while (true) {
      int code = sd_bus_is_ready(bus_.get());
      if (code > 0) return {};
      if (code == 0) code = sd_bus_process(bus_.get(), nullptr);
      if (code == 0) {
        const uint64_t left = MicrosecondsLeft();
        code = left == 0 ? -ETIMEDOUT : sd_bus_wait(bus_.get(), left);
      }
      if (code < 0 && code != -EINTR) return BusError(code, "D-Bus", "does not take us");
    }
  }

  // `argument` may be null: none.
  Result<Message> Call(const char* path, const char* interface, const char* member,
                       const char* argument) {
    sd_bus_message* raw = nullptr;
    int code = sd_bus_message_new_method_call(bus_.get(), &raw, kLogind, path, interface, member);
    const Message call(raw);
    if (code >= 0 && argument != nullptr) code = sd_bus_message_append(raw, "s", argument);
    // Who asks whether somebody is there does not start what is not there.
    if (code >= 0) code = sd_bus_message_set_auto_start(raw, 0);
    CallError error;
    sd_bus_message* reply = nullptr;
    const uint64_t left = MicrosecondsLeft();
    if (code >= 0) {  // to sd-bus a timeout of 0 is one of 25 s
      code = left == 0 ? -ETIMEDOUT : sd_bus_call(bus_.get(), raw, left, error.get(), &reply);
    }
    if (code < 0) return BusError(code, "systemd-logind", error.text());
    return Message(reply);
  }

  const LogindOptions options_;
  Bus bus_;
  SteadyClock::time_point deadline_;
};

}  // namespace

std::unique_ptr<LoginSessionsApi> MakeLogindApi(LogindOptions options) {
  return std::make_unique<LogindApi>(std::move(options));
}

}  // namespace idlewatt
