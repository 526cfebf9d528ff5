#include "collector/input_sampler.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

constexpr std::array<const Metric*, 1> kMetrics{&metrics::kHostInputIdle};
constexpr int kConsoles = 63;  // MAX_NR_CONSOLES of the kernel

// "user", and since systemd 256 "user-early", "user-light", ...; not greeters, lock screens, jobs.
bool IsSomebody(const LoginSession& session) {
  return session.session_class.starts_with("user") && session.state != "closing";
}

bool IsDesktop(const LoginSession& session) {
  return session.type == "x11" || session.type == "wayland" || session.type == "mir";
}

// "3 terminals"
std::string Count(size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace

// What one reading finds.
struct InputSampler::Look {
  void Add(BootTime at, std::string name) {
    if (newest && *newest >= at) return;
    newest = at;
    where = std::move(name);
  }
  TimePoint now;
  std::map<std::string, Seen> seen{};
  size_t terminals = 0;
  size_t desktops = 0;
  std::optional<BootTime> newest{};
  std::string where{};  // the newest input was
};

const SamplerInfo& InputSampler::Info() {
  static constexpr SamplerInfo kInfo{
      "input", "Keyboard, mouse and terminals of those who are logged in", true, kMetrics};
  return kInfo;
}

Result<void> InputSampler::Read(TimePoint now, Readings& out) {
  Result<std::vector<LoginSession>> read = sessions_->Read();
  if (!read) {
    const ErrorCode code = read.error().code;
    const bool is_refusal = code == ErrorCode::kNoData || code == ErrorCode::kPermission;
    Error error = read.error();
    // What has been there may come back with the next look.
    if (logind_answered_) error.code = ErrorCode::kTransient;
    if (logind_answered_ || !is_refusal) return error;
  }
  logind_answered_ = read.ok();
  std::vector<LoginSession> sessions = read ? *read : std::vector<LoginSession>();
  Look look{now};
  RETURN_IF_ERROR(AddTerminals(sessions, look));
  std::erase_if(sessions, [](const LoginSession& session) { return !IsSomebody(session); });
  for (const LoginSession& session : sessions) {
    if (IsDesktop(session)) AddDesktop(session, look);
  }
  seen_ = std::move(look.seen);

  if (look.newest) {
    out.Add(metrics::kHostInputIdle, {}, ToSeconds(now.boot - *look.newest));
    out.AddSource("input", "newest of " + Count(look.terminals, "terminal") + " and " +
                               Count(look.desktops, "desktop") + ": " + look.where);
  } else {
    out.AddSource("input", sessions.empty() ? "nobody is logged in"
                                            : Count(sessions.size(), "session") +
                                                  ", none with a terminal or a desktop in front");
  }
  if (read) {
    out.AddSource("input:logind", Count(sessions.size(), "session") + " of users");
  } else {
    out.AddRefused("input:logind", "input on desktops", read.error());
  }
  return {};
}

Result<void> InputSampler::AddTerminals(const std::vector<LoginSession>& sessions,
                                        Look& look) const {
  std::set<std::string> logged_in;  // the terminals of sessions
  std::set<std::string> others;     // of greeters, desktops, sessions that end
  for (const LoginSession& session : sessions) {
    if (session.tty.empty()) continue;
    (IsSomebody(session) && !IsDesktop(session) ? logged_in : others).insert(session.tty);
  }
  const Result<std::vector<std::string>> pseudo = dev_.List("pts");
  if (!pseudo && pseudo.error().code != ErrorCode::kGone) return pseudo.error();
  for (const std::string& name : pseudo.value_or(std::vector<std::string>())) {
    // Not ptmx: whoever opens a terminal opens that.
    if (ParseNumber<unsigned>(name)) logged_in.insert("pts/" + name);
  }
  for (const std::string& name : logged_in) AddTerminal(name, false, look);
  for (int number = 1; number <= kConsoles; ++number) {
    const std::string name = "tty" + std::to_string(number);
    if (!logged_in.contains(name) && !others.contains(name)) AddTerminal(name, true, look);
  }
  return {};
}

void InputSampler::AddTerminal(const std::string& name, bool only_if_owned, Look& look) const {
  const Result<struct stat> info = dev_.Stat(name);
  if (!info) return;  // closed meanwhile, or a machine without consoles
  if (only_if_owned && info->st_uid == getty_owner_) return;
  const WallTime used(
      milliseconds(info->st_atim.tv_sec * 1000 + info->st_atim.tv_nsec / 1'000'000));
  ++look.terminals;
  look.Add(Remember(name, used, look), name);
}

void InputSampler::AddDesktop(const LoginSession& session, Look& look) const {
  const std::string name = "session " + session.id + " (" + session.type + ")";
  std::optional<BootTime> left;
  if (session.idle && session.idle_since) left = Remember(name, session.idle_since, look);
  if (session.locked) {
    const BootTime locked = Remember(name + " locked", std::nullopt, look);
    left = std::min(left.value_or(locked), locked);
  }
  if (left) {
    look.Add(*left, name);
  } else if (session.active) {
    look.Add(look.now.boot,
             name + (session.idle_since ? ", in use" : ", which has never said that it is idle"));
  } else {
    return;  // behind another session; the keyboard is not its own
  }
  ++look.desktops;
}

BootTime InputSampler::Remember(const std::string& what, std::optional<WallTime> moment,
                                Look& look) const {
  Seen seen{moment, look.now.boot};
  const auto last = seen_.find(what);
  if (last != seen_.end() && last->second.moment == moment) {
    seen.at = last->second.at;
  } else if (moment) {
    const auto up = std::chrono::duration_cast<milliseconds>(look.now.boot.time_since_epoch());
    seen.at -= std::clamp(look.now.wall - *moment, milliseconds(0), up);
  }
  look.seen[what] = seen;
  return seen.at;
}

}  // namespace idlewatt
