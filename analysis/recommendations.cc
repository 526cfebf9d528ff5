#include "analysis/recommendations.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "base/duration.h"

namespace idlewatt {
namespace {

constexpr double kJoulesPerWattHour = 3600;
constexpr double kSecondsPerDay = 86'400;

constexpr std::array kUnloadMinutes{5, 10, 15, 30, 60, 120};
constexpr double kMostLoadsPerDay = 4;
constexpr double kWorthJoulesPerWeek = kJoulesPerWattHour;
constexpr double kWorthShare = 0.05;  // of what the service used
constexpr double kNoiseJoulesPerWeek = 0.1 * kJoulesPerWattHour;
constexpr double kBusyRatio = 0.05;  // of one CPU
constexpr double kBusySeconds = 600;
constexpr int64_t kLargeBytes = int64_t{1} << 30;
constexpr double kMostlyIdle = 0.8;  // of the time

std::string Number(double value, const char* format) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// About three digits that say something.
std::string Digits(double value) {
  if (value == 0) return "0";
  return Number(value, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : value >= 1 ? "%.2f" : "%.3f");
}

std::string WattHours(double joules) { return Digits(joules / kJoulesPerWattHour) + " Wh"; }

std::string Time(double seconds) {
  return FormatDuration(std::chrono::seconds(static_cast<int64_t>(std::llround(seconds))));
}

std::string Minutes(int minutes) { return FormatDuration(std::chrono::minutes(minutes)); }

std::string Count(int64_t count, const std::string& thing) {
  return std::to_string(count) + " " + thing + (count == 1 ? "" : "s");
}

bool IsEstimated(const IdleFacts& facts) {
  return facts.meter == MeterKind::kModel || facts.meter == MeterKind::kMixed;
}

// For a sentence that tells joules.
std::string EstimateNote(const IdleFacts& facts) {
  if (facts.meter == MeterKind::kModel) return " (estimated by the model)";
  return facts.meter == MeterKind::kMixed ? " (partly estimated by the model)" : "";
}

Recommendation Begin(const std::string& kind, const std::string& service, const IdleFacts& facts) {
  Recommendation advice;
  advice.kind = kind;
  advice.service = service;
  advice.seconds = facts.seconds;
  return advice;
}

// What of the idle intervals lies in the window.
struct IdleTime {
  int64_t intervals = 0;
  double seconds = 0, longest_seconds = 0;
  std::optional<double> joules, cpu_seconds;
  double cpu_known_seconds = 0;  // of `seconds`, those whose CPU time is known
  std::optional<int64_t> peak_bytes;
};

IdleTime IdleTimeOf(const ServiceUse& service, const IdleFacts& facts) {
  IdleTime idle;
  for (const IdleInterval& one : service.intervals) {
    const auto length = static_cast<double>(one.end_ms - one.start_ms);
    const auto within = static_cast<double>(std::min(one.end_ms, facts.until_ms) -
                                            std::max(one.start_ms, facts.since_ms));
    if (length <= 0 || within <= 0) continue;
    ++idle.intervals;
    idle.seconds += within / 1000;
    idle.longest_seconds = std::max(idle.longest_seconds, within / 1000);
    if (one.joules) idle.joules = idle.joules.value_or(0) + *one.joules * within / length;
    if (one.cpu_seconds) {
      idle.cpu_seconds = idle.cpu_seconds.value_or(0) + *one.cpu_seconds * within / length;
      idle.cpu_known_seconds += within / 1000;
    }
    if (one.peak_rss_bytes) {
      idle.peak_bytes = std::max(idle.peak_bytes.value_or(0), *one.peak_rss_bytes);
    }
  }
  return idle;
}

bool IsWorth(double joules, const ServiceUse& service, double seconds) {
  const double per_week = joules * 7 * kSecondsPerDay / seconds;
  if (per_week >= kWorthJoulesPerWeek) return true;
  return per_week >= kNoiseJoulesPerWeek && service.joules &&
         joules >= kWorthShare * *service.joules;
}

// The largest saving with few loads; where there is none, the fewest loads that still save half of
// what can be saved.
UnloadOutcome Choose(const std::vector<UnloadOutcome>& outcomes, double seconds) {
  const double most_loads = kMostLoadsPerDay * std::max(1.0, seconds / kSecondsPerDay);
  const UnloadOutcome* chosen = nullptr;
  for (const UnloadOutcome& one : outcomes) {  // what is saved never grows with the minutes
    if (static_cast<double>(one.loads) > most_loads) continue;
    if (chosen == nullptr || one.joules > chosen->joules) chosen = &one;
  }
  const double half = outcomes.front().joules / 2;
  if (chosen != nullptr && chosen->joules >= half) return *chosen;
  chosen = &outcomes.front();
  for (const UnloadOutcome& one : outcomes) {
    if (one.joules >= half && one.loads < chosen->loads) chosen = &one;
  }
  return *chosen;
}

std::string Comparison(const std::vector<UnloadOutcome>& outcomes) {
  std::string text;
  for (const UnloadOutcome& one : outcomes) {
    text += (text.empty() ? "Unloaded after " : "; after ") + Minutes(one.minutes) + " it saves " +
            WattHours(one.joules) + " and is loaded " + Count(one.loads, "time");
  }
  return text + ".";
}

std::string IntervalText(const IdleTime& idle, const ServiceUse& service, const IdleFacts& facts) {
  std::string text = "It was idle " + Count(idle.intervals, "time") + ", " + Time(idle.seconds) +
                     " in all, the longest " + Time(idle.longest_seconds);
  if (!idle.joules) return text + ".";
  text += ", and used " + WattHours(*idle.joules) + " meanwhile";
  if (service.joules && *service.joules > 0) {
    text += ", " + Number(std::min(1.0, *idle.joules / *service.joules) * 100, "%.0f %%") +
            " of all that it used";
  }
  return text + EstimateNote(facts) + ".";
}

std::optional<Recommendation> UnloadAdvice(const ServiceUse& service, const IdleTime& idle,
                                           const IdleFacts& facts) {
  if (!idle.joules || facts.seconds <= 0) return std::nullopt;
  std::vector<UnloadOutcome> outcomes;
  outcomes.reserve(kUnloadMinutes.size());
  for (const int minutes : kUnloadMinutes) {
    outcomes.push_back(Unload(service, minutes, facts.since_ms, facts.until_ms));
  }
  const UnloadOutcome best = Choose(outcomes, facts.seconds);
  if (!IsWorth(best.joules, service, facts.seconds)) return std::nullopt;
  const std::string after = Minutes(best.minutes);
  Recommendation advice = Begin("unload", service.service, facts);
  advice.title = "Unload " + service.service + " after " + after + " of idleness";
  advice.advice = "Unloading " + service.service + " after " + after + " would have saved " +
                  WattHours(best.joules) + EstimateNote(facts) + " in " + Time(facts.seconds) +
                  ", for " + (best.loads == 0 ? "no load" : Count(best.loads, "load")) + " more.";
  advice.saves_joules = best.joules;
  advice.estimated = IsEstimated(facts);
  advice.evidence = {IntervalText(idle, service, facts), Comparison(outcomes)};
  if (service.start_seconds) {
    advice.evidence.push_back("A load took " + Digits(*service.start_seconds) +
                              " s on average until it was ready.");
  }
  return advice;
}

std::optional<Recommendation> BusyLoopAdvice(const ServiceUse& service, const IdleTime& idle,
                                             const IdleFacts& facts) {
  if (!idle.cpu_seconds || idle.cpu_known_seconds < kBusySeconds) return std::nullopt;
  const double ratio = *idle.cpu_seconds / idle.cpu_known_seconds;
  if (ratio <= kBusyRatio) return std::nullopt;
  Recommendation advice = Begin("busy_loop", service.service, facts);
  advice.title = service.service + " is busy while nobody uses it";
  advice.advice = "Look for polling, a busy loop or a timer in " + service.service +
                  ": a server that waits needs no CPU.";
  advice.saves_joules = service.idle_cpu_joules;
  advice.estimated = service.idle_cpu_joules && IsEstimated(facts);
  advice.evidence = {"It used " + Number(ratio * 100, "%.1f %%") + " of a CPU over " +
                     Time(idle.cpu_known_seconds) + " of idleness."};
  if (service.idle_cpu_joules && service.idle_seconds.value_or(0) > 0) {
    advice.evidence.push_back("That CPU time took " + WattHours(*service.idle_cpu_joules) + ", " +
                              Digits(*service.idle_cpu_joules / *service.idle_seconds) +
                              " W while it was idle" + EstimateNote(facts) + ".");
  }
  return advice;
}

std::optional<Recommendation> IdleModelAdvice(const ServiceUse& service, const IdleTime& idle,
                                              const IdleFacts& facts) {
  const double idle_seconds = service.idle_seconds.value_or(idle.seconds);
  if (idle.peak_bytes.value_or(0) < kLargeBytes || facts.seconds <= 0 ||
      idle_seconds <= kMostlyIdle * facts.seconds) {
    return std::nullopt;
  }
  const std::string memory = Number(static_cast<double>(*idle.peak_bytes) / (1 << 30), "%.1f GiB");
  Recommendation advice = Begin("idle_model", service.service, facts);
  advice.title = service.service + " holds " + memory + " and is hardly used";
  advice.advice =
      "Unload " + service.service + " while nobody needs it, which frees up to " + memory + ".";
  advice.evidence = {"It was idle for " + Time(idle_seconds) + " of " + Time(facts.seconds) + ", " +
                     Number(std::min(1.0, idle_seconds / facts.seconds) * 100, "%.0f %%") +
                     " of the time, with up to " + memory + " of memory."};
  return advice;
}

// Of two that save the same energy, the one that saves less of it tells no joules.
void CountOnce(Recommendation& a, Recommendation& b) {
  if (!a.saves_joules || !b.saves_joules) return;
  const bool a_is_less = *a.saves_joules < *b.saves_joules;
  Recommendation& less = a_is_less ? a : b;
  const Recommendation& more = a_is_less ? b : a;
  less.evidence.push_back("The " + WattHours(*less.saves_joules) + " of this are part of the " +
                          WattHours(*more.saves_joules) + " of \"" + more.title + "\".");
  less.saves_joules.reset();
}

void AddService(const ServiceUse& service, const IdleFacts& facts,
                std::vector<Recommendation>& all) {
  const IdleTime idle = IdleTimeOf(service, facts);
  std::optional<Recommendation> unload = UnloadAdvice(service, idle, facts);
  std::optional<Recommendation> busy = BusyLoopAdvice(service, idle, facts);
  if (unload && busy) CountOnce(*unload, *busy);
  if (!unload) unload = IdleModelAdvice(service, idle, facts);
  if (unload) all.push_back(std::move(*unload));
  if (busy) all.push_back(std::move(*busy));
}

struct AlertRule {
  const char* alert;
  const char* kind;
  const char* title;  // behind the name of the service
};
constexpr std::array<AlertRule, 3> kAlertRules{
    {{"MemoryGrowth", "leak", "the memory grows without end"},
     {"SensorLost", "sensor_lost", "a sensor gives no values any more"},
     {"IdleBaseline", "baseline", "the idle machine draws more than its baseline"}}};

// One for each rule and service, however often it fired.
void AddAlert(const AlertRule& rule, const IdleFacts& facts, std::vector<Recommendation>& all) {
  std::vector<Recommendation> made;
  std::vector<int64_t> fired;
  for (const AlertFact& fact : facts.alerts) {
    if (fact.alert != rule.alert) continue;
    const auto known = std::find_if(made.begin(), made.end(), [&fact](const Recommendation& one) {
      return one.service == fact.service;
    });
    const auto at = static_cast<size_t>(known - made.begin());
    if (known == made.end()) {
      made.push_back(Begin(rule.kind, fact.service, facts));
      fired.push_back(0);
    }
    Recommendation& advice = made[at];
    advice.title = (fact.service.empty() ? "" : fact.service + ": ") + rule.title;
    advice.advice = fact.advice;
    // Only the baseline is a matter of watts.
    advice.estimated = advice.kind == "baseline" && IsEstimated(facts);
    advice.evidence = {fact.summary};  // the newest
    ++fired[at];
  }
  for (size_t i = 0; i < made.size(); ++i) {
    made[i].evidence.push_back("The alert " + std::string(rule.alert) + " fired " +
                               Count(fired[i], "time") + " in " + Time(facts.seconds) + ".");
    if (made[i].estimated) made[i].evidence.push_back("The watts of this are estimated.");
    all.push_back(std::move(made[i]));
  }
}

}  // namespace

UnloadOutcome Unload(const ServiceUse& service, int minutes, int64_t since_ms, int64_t until_ms) {
  UnloadOutcome outcome{minutes};
  const int64_t wait_ms = int64_t{minutes} * 60'000;
  for (const IdleInterval& one : service.intervals) {
    const int64_t unloaded_ms = one.start_ms + wait_ms;
    if (one.end_ms <= unloaded_ms) continue;
    // One that began before the window may have been unloaded before it as well.
    const int64_t saved_ms = std::min(one.end_ms, until_ms) - std::max(unloaded_ms, since_ms);
    if (saved_ms <= 0) continue;
    if (one.joules) {
      outcome.joules += *one.joules * static_cast<double>(saved_ms) /
                        static_cast<double>(one.end_ms - one.start_ms);
    }
    if (one.reason == "used" && one.end_ms <= until_ms) ++outcome.loads;
  }
  return outcome;
}

std::vector<Recommendation> Recommend(const IdleFacts& facts) {
  std::vector<Recommendation> all;
  for (const ServiceUse& service : facts.services) AddService(service, facts, all);
  for (const AlertRule& rule : kAlertRules) AddAlert(rule, facts, all);
  std::stable_sort(all.begin(), all.end(), [](const Recommendation& a, const Recommendation& b) {
    return a.saves_joules.value_or(-1) > b.saves_joules.value_or(-1);
  });
  return all;
}

}  // namespace idlewatt
