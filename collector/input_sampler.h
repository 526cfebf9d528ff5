#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_root.h"
#include "collector/login_sessions_api.h"
#include "collector/sampler.h"

namespace idlewatt {

// For how long nobody who is logged in typed or moved anything.
// Source:  access times of the terminals below /dev, which the kernel renews in steps of 8 s when a
//          program reads what was typed; of desktops what they tell logind.
//          - pts/N always counts: it is there because a program opened a terminal.
//          - ttyN counts with a session of somebody on it. Without any session it counts unless it
//            belongs to root: login(1) gives it to the user, getty(8) takes it back.
//          - The console of a desktop does not count: its keyboard goes to the desktop.
//          - A desktop that is idle counts from when it said so, a locked one from when that was
//            first seen. Otherwise it counts as in use now while it is in front: one that is used
//            since the login and one that never says that it is idle look the same, and to call a
//            machine idle that somebody works at is the worse mistake.
//          Each session is read, not the IdleHint of logind's manager: that one is true when nobody
//          is there, false while something inhibits idleness, and false for the sake of one session
//          that says nothing, be it that of a greeter or of a file transfer.
// Units:   seconds. A time is turned into one of the boot clock when it is first seen, so that a
//          wall clock that is set later changes no age. One in the future is "now", one before the
//          boot is the boot.
// Errors:  kNoData and kPermission of logind: a refused source; terminals alone count. Anything
//          else, or once it has answered: the read fails, for to leave the desktops out would make
//          the machine look idle. Nobody logged in: no value, and a source that says so.
// Threads: one at a time; a bus may not answer, so on a lane.
// Owns:    the LoginSessionsApi, and what was seen at the last reading. `dev` must outlive this.
class InputSampler final : public Sampler {
 public:
  // `getty_owner`: whose a console is that nobody logged in to.
  InputSampler(const FileRoot& dev, std::unique_ptr<LoginSessionsApi> sessions,
               uid_t getty_owner = 0)
      : dev_(dev), sessions_(std::move(sessions)), getty_owner_(getty_owner) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  struct Seen {
    std::optional<WallTime> moment;  // nothing: when it was first seen
    BootTime at;
  };
  struct Look;

  Result<void> AddTerminals(const std::vector<LoginSession>& sessions, Look& look) const;
  void AddTerminal(const std::string& name, bool only_if_owned, Look& look) const;
  void AddDesktop(const LoginSession& session, Look& look) const;
  BootTime Remember(const std::string& what, std::optional<WallTime> moment, Look& look) const;

  const FileRoot& dev_;
  const std::unique_ptr<LoginSessionsApi> sessions_;
  const uid_t getty_owner_;
  bool logind_answered_ = false;
  std::map<std::string, Seen> seen_;  // at the last reading
};

}  // namespace idlewatt
