#include "app/baseline_command.h"

#include <optional>
#include <string>

#include "analysis/idle_baseline.h"
#include "app/control_token.h"
#include "app/exit_code.h"
#include "app/http_client.h"
#include "app/output_file.h"
#include "app/tables.h"
#include "base/text.h"
#include "exporters/baseline_api.h"

namespace idlewatt {
namespace {

constexpr const char* kPath = "/api/v1/baseline";

Result<void> Print(const Baseline& baseline) {
  return PrintText(Printable(baseline.name) + ": the idle machine draws " +
                   Format("%.2f", baseline.watts) + " W, the mean of " +
                   std::to_string(baseline.minutes) + " idle minutes from " +
                   FormatWallTime(baseline.since) + " to " + FormatWallTime(baseline.until) + "\n");
}

Result<void> Set(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(arguments.http));
  const Json body = {
      {"name", arguments.name}, {"since", arguments.since}, {"until", arguments.until}};
  ASSIGN_OR_RETURN(const std::string answer,
                   HttpPost(arguments.http, kPath, token, DumpJson(body)));
  const std::optional<Baseline> baseline = BaselineFromJson(answer);
  if (!baseline) return UnexpectedAnswer("the baseline");
  return Print(*baseline);
}

Result<void> Show(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string answer, HttpGet(arguments.http, kPath));
  if (arguments.json) return PrintText(answer);
  const std::optional<Baseline> baseline = BaselineFromJson(answer);
  if (baseline) return Print(*baseline);
  return PrintText("there is no baseline; `idlewatt baseline set NAME` sets one\n");
}

Result<void> Clear(const BaselineArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string token, ControlTokenFor(arguments.http));
  RETURN_IF_ERROR(HttpPost(arguments.http, std::string(kPath) + "/clear", token, ""));
  return PrintText("there is no baseline any more\n");
}

int ExitCodeOf(const Result<void>& done) { return done.ok() ? kExitDone : Fail(done.error()); }

}  // namespace

int BaselineSetCommand(const BaselineArguments& arguments) { return ExitCodeOf(Set(arguments)); }
int BaselineShowCommand(const BaselineArguments& arguments) { return ExitCodeOf(Show(arguments)); }
int BaselineClearCommand(const BaselineArguments& arguments) {
  return ExitCodeOf(Clear(arguments));
}

}  // namespace idlewatt
