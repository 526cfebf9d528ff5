#include "app/idle_report_words.h"

namespace idlewatt {
namespace {

constexpr double kEnough = 0.95;  // of the window, to say nothing of what is missing

double WindowSeconds(const IdleAnswer& report) { return ToSeconds(report.window()); }

// ", 0.38 EUR".
std::string AndCost(double joules, const MaybePrice& price) {
  return price ? ", " + price->CostText(joules) : "";
}

}  // namespace

std::string WindowWords(const IdleAnswer& report) {
  const bool is_short = report.window() < std::chrono::hours(1);
  return UtcText(report.since, is_short) + " to " + UtcText(report.until, is_short) + " UTC (" +
         SecondsText(WindowSeconds(report)) + ")";
}

BasisWords WordsOfBasis(const IdleAnswer& report) {
  const std::string sources = Enumerated(report.sources);
  switch (report.basis) {
    case IdleAnswer::Basis::kMeter:
      return {"", "Energy is measured" + (sources.empty() ? "" : " by " + sources) + "."};
    case IdleAnswer::Basis::kModel:
      return {
          "Estimated by the model, not measured",
          "No meter was there: the power model of the configuration makes watts of how busy the "
          "CPUs were. It ranks services well enough; its sums are only as good as its idle_watts "
          "and max_watts."};
    case IdleAnswer::Basis::kMixed:
      return {"Partly estimated by the model",
              "A part of the energy was measured, the rest is an estimate of the power model" +
                  (sources.empty() ? "" : " (" + sources + ")") + "."};
    case IdleAnswer::Basis::kUnknown:
      break;
  }
  if (report.KnowsEnergy()) return {"What the energy rests on is not known", ""};
  return {"No energy is known of this time",
          "Nothing measured it. \"idlewatt sensors\" says what can be measured here, what not, and "
          "what "
          "would allow it."};
}

std::string EstimateWords(const IdleAnswer& report) {
  if (report.basis == IdleAnswer::Basis::kModel) return "estimated";
  return report.basis == IdleAnswer::Basis::kMixed ? "partly estimated" : "";
}

std::string CoverageWords(const IdleAnswer& report) {
  const auto coverage = report.Coverage();
  if (!coverage) return "How much of this time was watched is not known.";
  if (*coverage == 0) return "idlewatt did not watch in this time.";
  if (*coverage >= kEnough) return "";
  return "idlewatt watched for " + SecondsText(*report.measured_seconds) + " of " +
         SecondsText(WindowSeconds(report)) + " (" + ShareText(*coverage) +
         "); of the rest nothing is known, and nothing is counted.";
}

std::string SummaryWords(const IdleAnswer& report, const MaybePrice& price) {
  const auto idle = report.IdleJoules();
  if (!idle) return "";
  std::string text = "Services that nobody used took " + EnergyText(*idle) + AndCost(*idle, price);
  if (report.machine.joules && *report.machine.joules > 0) {
    text += ": " + ShareText(*idle / *report.machine.joules) + " of the machine's " +
            EnergyText(*report.machine.joules) + AndCost(*report.machine.joules, price);
  }
  return text + ".";
}

std::string MachineIdleWords(const IdleAnswer& report) {
  const IdleAnswer::Machine& machine = report.machine;
  if (!machine.idle_seconds) return "";
  if (*machine.idle_seconds < 1) return "The machine as a whole was never idle.";
  std::string text =
      "The machine as a whole was idle for " + SecondsText(*machine.idle_seconds) + " in all";
  if (machine.idle_joules)
    text += " and used " + EnergyText(*machine.idle_joules) + " in that time";
  if (machine.idle_mean_watts) text += ", " + PowerText(*machine.idle_mean_watts) + " on average";
  return text + ".";
}

std::string TitleWords(const IdleAnswer::Recommendation& recommendation) {
  const bool is_named = recommendation.title.find(recommendation.service) != std::string::npos;
  return is_named ? recommendation.title : recommendation.service + ": " + recommendation.title;
}

std::string SavingWords(const IdleAnswer::Recommendation& recommendation, const MaybePrice& price) {
  const IdleAnswer::Known joules = recommendation.saves_joules, seconds = recommendation.seconds;
  if (!joules || *joules == 0) return "";
  std::string text = "would have saved " + EnergyText(*joules) + AndCost(*joules, price);
  if (seconds) text += " in " + SecondsText(*seconds);
  if (recommendation.saves_watts) text += " (" + PowerText(*recommendation.saves_watts) + ")";
  if (!seconds || *seconds < 3600) return text;
  const double year = *joules / *seconds * IdleAnswer::kSecondsOfYear;
  return text + "; in a year at this rate " + EnergyText(year) + AndCost(year, price);
}

std::string ConfidenceWords(IdleAnswer::Basis confidence) {
  switch (confidence) {
    case IdleAnswer::Basis::kMeter:
      return "measured";
    case IdleAnswer::Basis::kModel:
      return "an estimate of the power model";
    case IdleAnswer::Basis::kMixed:
      return "partly measured, partly an estimate of the power model";
    case IdleAnswer::Basis::kUnknown:
      break;
  }
  return "";
}

std::string ProjectionWords(const IdleAnswer& report, const EnergyPrice& price) {
  if (!report.TimesAYear()) {
    return "What a year would cost is not told: less than an hour was watched.";
  }
  std::string text = "A projection, no measurement: what " + SecondsText(*report.measured_seconds) +
                     " of watching found, as if the whole year were like that, at " +
                     price.ToString() + ".";
  if (*report.measured_seconds < 7 * 86400.0) {
    text += " Less than a week was watched; a report of a longer time makes a better one.";
  }
  return text;
}

std::string AlertWords(const IdleAnswer::Alert& alert) {
  std::string how;
  for (const std::string& word : {alert.severity, alert.state}) {
    if (!word.empty()) how += (how.empty() ? "" : ", ") + word;
  }
  return alert.alert + (how.empty() ? "" : " (" + how + ")") + ": " + alert.summary;
}

std::string Enumerated(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

std::string Counted(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace idlewatt
