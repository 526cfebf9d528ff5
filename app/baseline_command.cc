#include "app/baseline_command.h"

#include <cstdio>
#include <optional>

#include "analysis/idle_baseline.h"
#include "app/control_token.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "exporters/baseline_api.h"

namespace idlewatt {
namespace {

constexpr const char* kPath = "/api/v1/baseline";

void Print(const Baseline& baseline) {
  std::printf("%s: the idle machine draws %.2f W, the mean of %zu idle minutes from %s to %s\n",
              baseline.name.c_str(), baseline.watts, baseline.minutes,
              FormatWallTime(baseline.since).c_str(), FormatWallTime(baseline.until).c_str());
}

Result<void> Set(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(arguments.http));
  const Json body = {
      {"name", arguments.name}, {"since", arguments.since}, {"until", arguments.until}};
  ASSIGN_OR_RETURN(const std::string answer,
                   HttpPost(arguments.http, kPath, token, DumpJson(body)));
  const std::optional<Baseline> baseline = BaselineFromJson(answer);
  if (!baseline) return UnexpectedAnswer("the baseline");
  Print(*baseline);
  return {};
}

Result<void> Show(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string answer, HttpGet(arguments.http, kPath));
  if (arguments.json) {
    std::fputs(answer.c_str(), stdout);
    return {};
  }
  const std::optional<Baseline> baseline = BaselineFromJson(answer);
  if (baseline) {
    Print(*baseline);
  } else {
    std::puts("there is no baseline; `idlewatt baseline set NAME` sets one");
  }
  return {};
}

Result<void> Clear(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(arguments.http));
  RETURN_IF_ERROR(HttpPost(arguments.http, std::string(kPath) + "/clear", token, ""));
  std::puts("there is no baseline any more");
  return {};
}

int ExitCodeOf(const Result<void>& done) { return done.ok() ? kExitDone : Fail(done.error()); }

}  // namespace

int BaselineSetCommand(const BaselineArguments& arguments) { return ExitCodeOf(Set(arguments)); }
int BaselineShowCommand(const BaselineArguments& arguments) { return ExitCodeOf(Show(arguments)); }
int BaselineClearCommand(const BaselineArguments& arguments) {
  return ExitCodeOf(Clear(arguments));
}

}  // namespace idlewatt
