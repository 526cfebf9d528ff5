#include "supervisor/spec/service_checks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/duration.h"
#include "base/regex.h"
#include "base/text.h"
#include "supervisor/probe/probe.h"
#include "supervisor/spec/surroundings.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr milliseconds kNone{0};
constexpr milliseconds kShortest{1};
constexpr milliseconds kDay = hours(24);
constexpr milliseconds kYear = 365 * kDay;
constexpr size_t kMaxPatterns = 64;

bool HasPort(const ServiceSpec& spec) { return spec.port || spec.auto_port; }

// It becomes a file name and a label value.
bool IsGoodName(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}
constexpr std::string_view kGoodName = "1 to 64 letters, digits, '.', '_' or '-', and no '.' first";

// Collects what can never be right about one service.
class MistakeFinder {
 public:
  explicit MistakeFinder(const ServiceSpec& spec) : spec_(spec) {}

  std::vector<Error> Find() &&;

 private:
  void Add(std::string_view key, std::string_view text) {
    mistakes_.push_back(ServiceError(spec_, key, text));
  }
  void CheckNumber(std::string_view key, double value, double least, double most);
  void CheckTime(std::string_view key, milliseconds value, milliseconds least, milliseconds most);
  void CheckCodes(std::string_view key, const std::vector<int>& codes);
  void CheckNul(std::string_view key, std::string_view text);
  void CheckCommand(std::string_view key, const std::vector<std::string>& command);
  void CheckHttp(std::string_view key, const std::string& configured, const std::string& target);
  void CheckHasPort(std::string_view key);

  void CheckTexts();
  void CheckUser();
  void CheckVariables();
  void CheckLimits();
  void CheckPolicies();
  void CheckReady();
  void CheckPatterns(const std::vector<std::string>& patterns);
  void CheckLiveness();

  const ServiceSpec& spec_;
  std::optional<ServiceSpec> expanded_;  // nothing when a variable is wrong
  bool user_is_known_ = true;
  std::vector<Error> mistakes_;
};

std::vector<Error> MistakeFinder::Find() && {
  CheckTexts();
  CheckUser();
  CheckVariables();
  CheckLimits();
  CheckPolicies();
  if (spec_.ready) CheckReady();
  if (spec_.liveness) CheckLiveness();
  return std::move(mistakes_);
}

void MistakeFinder::CheckNumber(std::string_view key, double value, double least, double most) {
  if (value >= least && value <= most) return;
  std::ostringstream text;
  text << "must be between " << least << " and " << most;
  Add(key, text.str());
}

void MistakeFinder::CheckTime(std::string_view key, milliseconds value, milliseconds least,
                              milliseconds most) {
  if (value >= least && value <= most) return;
  Add(key, "must be between " + FormatDuration(least) + " and " + FormatDuration(most));
}

void MistakeFinder::CheckCodes(std::string_view key, const std::vector<int>& codes) {
  if (std::ranges::all_of(codes, [](int code) { return code >= 0 && code <= 255; })) return;
  Add(key, "exit codes are between 0 and 255");
}

// The kernel takes C strings: what follows a NUL would be lost silently.
void MistakeFinder::CheckNul(std::string_view key, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) Add(key, "contains a NUL character");
}

void MistakeFinder::CheckCommand(std::string_view key, const std::vector<std::string>& command) {
  if (command.empty()) return;
  if (command.front().empty()) Add(key, "names no program");
  for (const std::string& word : command) CheckNul(key, word);
}

void MistakeFinder::CheckTexts() {
  if (!IsGoodName(spec_.name)) Add("name", "must have " + std::string(kGoodName));
  if (spec_.command.empty()) Add("command", "must be set");
  CheckCommand("command", spec_.command);
  CheckCommand("stop_command", spec_.stop_command);
  CheckNul("model", spec_.model);
  CheckNul("working_dir", spec_.working_dir);
  CheckNul("env_file", spec_.env_file);
  for (const auto& [name, value] : spec_.environment) {
    CheckNul("environment", name);
    CheckNul("environment." + name, value);
    if (name.empty() || name.find('=') != std::string::npos) {
      Add("environment", InQuotes(name) + " is no name of a variable");
    }
  }
  for (const std::string& profile : spec_.profiles) {
    if (IsGoodName(profile)) continue;
    Add("profiles", InQuotes(profile) + " must have " + std::string(kGoodName));
  }
}

void MistakeFinder::CheckUser() {
  if (spec_.user.empty()) return;
  CheckNul("user", spec_.user);
  const auto account = FindAccount(spec_.user);
  user_is_known_ = account || account.error().code != ErrorCode::kInvalid;
  if (!user_is_known_) Add("user", "there is no " + account.error().subject + " on this machine");
}

void MistakeFinder::CheckVariables() {
  ServiceSpec seen = spec_;
  if (!user_is_known_) seen.user.clear();
  auto expanded = ExpandBeforeStart(seen);
  if (expanded) {
    expanded_ = std::move(*expanded);
  } else {
    mistakes_.push_back(std::move(expanded).error());
  }
}

void MistakeFinder::CheckLimits() {
  if (spec_.port == 0) Add("port", "must be between 1 and 65535");
  std::set<int> resources;
  for (const Ulimit& limit : spec_.ulimits) {
    if (limit.soft > limit.hard) Add("ulimits", "a soft limit must not be above its hard limit");
    if (!resources.insert(limit.resource).second) Add("ulimits", "one limit is set twice");
  }
  if (spec_.nice) CheckNumber("nice", *spec_.nice, -20, 19);
  if (spec_.oom_score_adj) CheckNumber("oom_score_adj", *spec_.oom_score_adj, -1000, 1000);
  if (spec_.memory && *spec_.memory < 1) Add("memory", "must be at least 1B");
  if (spec_.log.max_size < 1) Add("log.max_size", "must be at least 1B");
  CheckNumber("log.max_backups", spec_.log.max_backups, 0, 1000);
  CheckTime("log.max_age", spec_.log.max_age, kNone, 200 * kYear);
}

void MistakeFinder::CheckPolicies() {
  CheckCodes("success_exit_codes", spec_.success_exit_codes);
  CheckCodes("restart_prevent_exit_codes", spec_.restart_prevent_exit_codes);
  const ServiceSpec::Backoff& backoff = spec_.backoff;
  CheckTime("backoff.initial", backoff.initial, kNone, kDay);
  CheckNumber("backoff.multiplier", backoff.multiplier, 1, 100);
  CheckTime("backoff.max", backoff.max, kNone, kDay);
  if (backoff.max < backoff.initial) {
    Add("backoff.max",
        "must not be shorter than backoff.initial, which is " + FormatDuration(backoff.initial));
  }
  CheckNumber("backoff.jitter", backoff.jitter, 0, 1);
  CheckTime("backoff.reset_after", backoff.reset_after, kNone, kYear);
  CheckNumber("start_limit.burst", spec_.start_limit.burst, 0, 1000);
  CheckTime("start_limit.interval", spec_.start_limit.interval, kShortest, kYear);
  if (spec_.stop_signal < 1 || spec_.stop_signal > SIGRTMAX || spec_.stop_signal == SIGSTOP) {
    Add("stop_signal", "is no signal that can end a process");
  }
  CheckTime("stop_timeout", spec_.stop_timeout, kNone, kDay);
}

void MistakeFinder::CheckHasPort(std::string_view key) {
  if (!HasPort(spec_)) Add(key, "needs a port; set port to a number or \"auto\"");
}

// `target` is what `configured` becomes.
void MistakeFinder::CheckHttp(std::string_view key, const std::string& configured,
                              const std::string& target) {
  if (configured.empty()) return;
  if (configured.starts_with('/')) CheckHasPort(key);
  // What a variable of the environment holds is known at the start.
  if (!expanded_ || configured.find("${env.") != std::string::npos) return;
  if (!HttpTarget(target, /*port=*/1)) {
    Add(key, "must be a path as \"/health\" or a URL as \"http://127.0.0.1:8001/health\"");
  }
}

void MistakeFinder::CheckPatterns(const std::vector<std::string>& patterns) {
  constexpr std::string_view kKey = "ready.log_pattern";
  if (patterns.size() > kMaxPatterns) Add(kKey, "has more than 64 patterns");
  for (const std::string& pattern : patterns) {
    if (pattern.empty()) Add(kKey, "an empty pattern fits every line");
    const auto regex = Regex::Compile(pattern, Regex::Case::kIgnored);
    if (!regex) Add(kKey, regex.error().ToString());
  }
}

void MistakeFinder::CheckReady() {
  const ReadySpec& ready = *spec_.ready;
  if (ready.log_patterns.empty() && ready.http_get.empty() && !ready.tcp_socket &&
      ready.exec.empty() && !ready.notify && !ready.delay) {
    Add("ready",
        "says no way; write ready = { log_pattern = true }, or one of http_get, tcp_socket, exec, "
        "notify and delay");
  }
  CheckPatterns(ready.log_patterns);
  CheckHttp("ready.http_get", ready.http_get, (expanded_ ? *expanded_ : spec_).ready->http_get);
  if (ready.tcp_socket) CheckHasPort("ready.tcp_socket");
  CheckCommand("ready.exec", ready.exec);
  CheckTime("ready.timeout", ready.timeout, kShortest, kDay);
  if (ready.delay && (*ready.delay < kNone || *ready.delay > ready.timeout)) {
    Add("ready.delay",
        "must not be longer than ready.timeout, which is " + FormatDuration(ready.timeout));
  }
  if (ready.stall_timeout) CheckTime("ready.stall_timeout", *ready.stall_timeout, kShortest, kDay);
}

void MistakeFinder::CheckLiveness() {
  const LivenessSpec& liveness = *spec_.liveness;
  const int ways = (liveness.http_get.empty() ? 0 : 1) + (liveness.tcp_socket ? 1 : 0) +
                   (liveness.exec.empty() ? 0 : 1);
  if (ways != 1) Add("liveness", "needs exactly one of http_get, tcp_socket and exec");
  CheckHttp("liveness.http_get", liveness.http_get,
            (expanded_ ? *expanded_ : spec_).liveness->http_get);
  if (liveness.tcp_socket) CheckHasPort("liveness.tcp_socket");
  CheckCommand("liveness.exec", liveness.exec);
  CheckTime("liveness.period", liveness.period, kShortest, kDay);
  CheckTime("liveness.timeout", liveness.timeout, kShortest, kDay);
  CheckNumber("liveness.failure_threshold", liveness.failure_threshold, 1, 1000);
}

// Collects what is wrong between services.
class ConflictFinder {
 public:
  explicit ConflictFinder(const std::vector<ServiceSpec>& specs) : specs_(specs) {}

  std::vector<Error> Find() &&;

 private:
  void Add(const ServiceSpec& spec, std::string_view key, std::string_view text) {
    conflicts_.push_back(ServiceError(spec, key, text));
  }
  void CheckDistinct();
  void CheckDependency(const ServiceSpec& spec, const std::string& name,
                       DependencyCondition condition);
  void CheckCycles();

  const std::vector<ServiceSpec>& specs_;
  std::map<std::string, const ServiceSpec*> by_name_;
  std::vector<Error> conflicts_;
};

std::vector<Error> ConflictFinder::Find() && {
  CheckDistinct();
  for (const ServiceSpec& spec : specs_) {
    for (const auto& [name, condition] : spec.depends_on) CheckDependency(spec, name, condition);
  }
  CheckCycles();
  return std::move(conflicts_);
}

// Those that have none never run at once, unless somebody starts them by name.
bool HaveACommonProfile(const ServiceSpec& a, const ServiceSpec& b) {
  return a.profiles.empty() || b.profiles.empty() ||
         std::ranges::find_first_of(a.profiles, b.profiles) != a.profiles.end();
}

void ConflictFinder::CheckDistinct() {
  for (const ServiceSpec& spec : specs_) {
    if (!by_name_.emplace(spec.name, &spec).second && !spec.name.empty()) {
      Add(spec, "name", InQuotes(spec.name) + " is used twice");
    }
    for (const ServiceSpec* other = specs_.data(); spec.port && other != &spec; ++other) {
      if (other->port != spec.port || !HaveACommonProfile(*other, spec)) continue;
      Add(spec, "port",
          std::to_string(*spec.port) + " is used twice, here and by " + InQuotes(other->name));
      break;
    }
  }
}

void ConflictFinder::CheckDependency(const ServiceSpec& spec, const std::string& name,
                                     DependencyCondition condition) {
  constexpr std::string_view kKey = "depends_on";
  if (name == spec.name) return Add(spec, kKey, "a service cannot depend on itself");
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    std::vector<std::string> names;
    for (const auto& [known, unused] : by_name_) names.push_back(known);
    const std::string nearest = Nearest(name, names);
    return Add(spec, kKey,
               InQuotes(name) + " is not a service" +
                   (nearest.empty() ? "" : "; did you mean " + InQuotes(nearest) + "?"));
  }
  const ServiceSpec& other = *found->second;
  const bool never_ends =
      other.restart == RestartMode::kAlways || other.restart == RestartMode::kUnlessStopped;
  if (condition == DependencyCondition::kCompleted && never_ends) {
    Add(spec, kKey, InQuotes(name) + " is never completed: its restart starts it again and again");
  }
  if (!HaveACommonProfile(spec, other)) {
    Add(spec, kKey, InQuotes(name) + " is never active together with it: they share no profile");
  }
}

// Name -> what it depends on.
using Dependencies = std::map<std::string, std::set<std::string>>;

// Takes away whose dependencies are all away, until none is left that can be. Who stays is on a
// cycle, or depends on one.
void TakeFulfillable(Dependencies& open) {
  const auto is_fulfillable = [&](const auto& entry) {
    return std::ranges::none_of(entry.second,
                                [&](const std::string& name) { return open.contains(name); });
  };
  while (std::erase_if(open, is_fulfillable) != 0) {
  }
}

// The names on a cycle. Each of `open` must depend on one of them.
std::vector<std::string> FindCycle(const Dependencies& open) {
  std::vector<std::string> path;
  std::string name = open.begin()->first;
  while (std::ranges::find(path, name) == path.end()) {
    path.push_back(name);
    name = *std::ranges::find_if(open.at(name),
                                 [&](const std::string& needed) { return open.contains(needed); });
  }
  path.erase(path.begin(), std::ranges::find(path, name));
  return path;
}

void ConflictFinder::CheckCycles() {
  Dependencies open;
  for (const auto& [name, spec] : by_name_) {
    std::set<std::string>& needed = open[name];
    for (const auto& [other, condition] : spec->depends_on) {
      if (other != name) needed.insert(other);
    }
  }
  for (TakeFulfillable(open); !open.empty(); TakeFulfillable(open)) {
    const std::vector<std::string> cycle = FindCycle(open);
    std::string text = "is a cycle: ";
    for (const std::string& name : cycle) text += name + " -> ";
    Add(*by_name_.at(cycle.front()), "depends_on", text + cycle.front());
    for (const std::string& name : cycle) open.erase(name);
  }
}

}  // namespace

std::vector<Error> Mistakes(const ServiceSpec& spec) { return MistakeFinder(spec).Find(); }

Result<void> Validate(const ServiceSpec& spec) {
  std::vector<Error> mistakes = Mistakes(spec);
  if (!mistakes.empty()) return std::move(mistakes.front());
  return {};
}

std::vector<Error> ValidateTogether(const std::vector<ServiceSpec>& specs) {
  return ConflictFinder(specs).Find();
}

}  // namespace idlewatt
