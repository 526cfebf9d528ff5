#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace idlewatt {

// One session of somebody, in the words of systemd-logind.
struct LoginSession {
  std::string id;             // "2", "c1"
  std::string session_class;  // "user", "greeter", "background", ...
  std::string type;           // "tty", "x11", "wayland", ...
  std::string state;          // "active", "online", "closing"
  std::string tty;            // below /dev: "tty1"; empty when it has none or none is known
  bool active = false;        // in front on its seat; always, when it has no seat
  bool locked = false;        // as its desktop says
  bool idle = false;          // as its desktop says
  // When `idle` last changed; nothing when it never did.
  std::optional<WallTime> idle_since{};
};

// The login sessions of a machine.
// Errors:  kNoData: nobody here keeps them. Anything else: they are kept, and could not be read.
// Threads: one at a time.
class LoginSessionsApi {
 public:
  virtual ~LoginSessionsApi() = default;
  // All sessions, in the order of their keeper. One that ends meanwhile is left out.
  virtual Result<std::vector<LoginSession>> Read() = 0;
};

struct LogindOptions {
  std::string bus_address{};  // of D-Bus; empty: the system bus
  // For one Read, all its calls together.
  std::chrono::milliseconds patience{2000};
};

// Those that systemd-logind (or elogind) keeps: org.freedesktop.login1 on D-Bus, through sd-bus.
// It is not started when it does not run. The connection is kept; one that broke is made anew.
std::unique_ptr<LoginSessionsApi> MakeLogindApi(LogindOptions options = {});

}  // namespace idlewatt
