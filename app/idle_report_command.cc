#include "app/idle_report_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "app/exit_code.h"
#include "app/idle_answer.h"
#include "app/idle_report_html.h"
#include "app/idle_report_source.h"
#include "app/idle_report_text.h"
#include "app/output_file.h"
#include "app/terminal.h"
#include "base/text.h"

namespace idlewatt {
namespace {

// Wider lines are no longer read with ease.
constexpr size_t kMostColumns = 100;
constexpr size_t kLeastColumns = 40;

IdleReportTextOptions TextOptions(const IdleReportArguments& arguments, const MaybePrice& price) {
  IdleReportTextOptions options{.price = price, .columns = kMostColumns};
  const auto terminal = arguments.output.empty() ? TerminalOf(STDOUT_FILENO) : std::nullopt;
  if (!terminal) return options;
  options.columns = std::clamp(terminal->columns, kLeastColumns, kMostColumns);
  options.color = std::getenv("NO_COLOR") == nullptr;
  return options;
}

Result<std::string> ReportText(const IdleReportArguments& arguments) {
  MaybePrice price;
  if (!arguments.price_per_kwh.empty()) {
    ASSIGN_OR_RETURN(price, EnergyPrice::Parse(arguments.price_per_kwh, arguments.currency));
  }
  ASSIGN_OR_RETURN(const std::string answer,
                   arguments.db.empty()
                       ? IdleReportFromDaemon(arguments.http, arguments.since, arguments.until)
                       : IdleReportFromFile(arguments.db, arguments.since, arguments.until));
  ASSIGN_OR_RETURN(const IdleAnswer report, IdleAnswer::Parse(answer));
  if (arguments.format == "html") return IdleReportHtml(report, price);
  if (arguments.format == "text") return IdleReportText(report, TextOptions(arguments, price));
  return nlohmann::ordered_json::parse(ToValidUtf8(answer), nullptr, false).dump(2) + "\n";
}

Result<void> Report(const IdleReportArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string text, ReportText(arguments));
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::Open(arguments.output));
  RETURN_IF_ERROR(output.Write(text));
  return output.Finish();
}

}  // namespace

int IdleReportCommand(const IdleReportArguments& arguments) {
  const Result<void> reported = Report(arguments);
  return reported ? kExitDone : Fail(reported.error());
}

}  // namespace idlewatt
