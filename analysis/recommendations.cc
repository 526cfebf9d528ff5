#include "analysis/recommendations.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <span>

#include "base/duration.h"
#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

constexpr double kJoulesPerWattHour = 3600;
constexpr double kSecondsPerDay = 86'400;

constexpr double kMostLoadsPerDay = 4;
constexpr double kWorthJoulesPerWeek = kJoulesPerWattHour;
constexpr double kWorthShare = 0.05;              // of what the service used
constexpr double kLeastSeconds = kSecondsPerDay;  // what is seen in less is not more in a week
constexpr double kNoiseJoulesPerWeek = 0.1 * kJoulesPerWattHour;
constexpr double kBusyRatio = 0.05;  // of one CPU
constexpr double kBusySeconds = 600;
constexpr int64_t kLargeBytes = int64_t{1} << 30;
constexpr double kMostlyIdle = 0.8;  // of the time
constexpr std::string_view kDiscovered = "discovered";

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

bool IsWorth(double joules, const ServiceUse& service, double seconds) {
  const double per_week = joules * 7 * kSecondsPerDay / std::max(seconds, kLeastSeconds);
  if (per_week >= kWorthJoulesPerWeek) return true;
  const std::optional<double> all = service.joules.Sum();
  return per_week >= kNoiseJoulesPerWeek && all && joules >= kWorthShare * *all;
}

// The largest saving with few loads; where there is none, the fewest loads that still save half of
// what can be saved.
UnloadOutcome Choose(std::span<const UnloadOutcome> outcomes, double seconds) {
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

std::string ComparisonText(std::span<const UnloadOutcome> outcomes) {
  std::string text;
  for (const UnloadOutcome& one : outcomes) {
    if (one.joules <= 0) continue;
    text += (text.empty() ? "Unloaded after " : "; after ") + Minutes(one.minutes) + " it saves " +
            WattHours(one.joules) + " and is loaded " + Count(one.loads, "time");
  }
  return text + ".";
}

std::string IntervalText(const ServiceUse& service, const IdleFacts& facts) {
  const IdleTime& idle = service.idle;
  std::string text = "It was idle " + Count(idle.intervals, "time") + ", " + Time(idle.seconds) +
                     " in all, the longest " + Time(idle.longest_seconds.value_or(0));
  if (!idle.joules) return text + ".";
  text += ", and used " + WattHours(*idle.joules) + " meanwhile";
  if (const std::optional<double> all = service.joules.Sum(); all && *all > 0) {
    text +=
        ", " + Format("%.0f %%", std::min(1.0, *idle.joules / *all) * 100) + " of all that it used";
  }
  return text + EstimateNote(facts) + ".";
}

// The small ones that nobody configured are what a system is made of: shells, daemons, agents.
bool CanBeUnloaded(const ServiceUse& service) {
  return service.kind != kDiscovered || service.idle.peak_bytes.value_or(0) >= kLargeBytes;
}

std::optional<Recommendation> UnloadAdvice(const ServiceUse& service, const IdleFacts& facts) {
  if (!service.idle.joules || facts.seconds <= 0 || !CanBeUnloaded(service)) return std::nullopt;
  const UnloadOutcome best = Choose(service.idle.unloads, facts.seconds);
  if (!IsWorth(best.joules, service, facts.seconds)) return std::nullopt;
  const std::string after = Minutes(best.minutes);
  Recommendation advice = Begin("unload", service.service, facts);
  advice.title = "Unload " + service.service + " after " + after + " of idleness";
  advice.advice = "Unloading " + service.service + " after " + after + " would have saved " +
                  WattHours(best.joules) + EstimateNote(facts) + " in " + Time(facts.seconds) +
                  ", for " + (best.loads == 0 ? "no load" : Count(best.loads, "load")) + " more.";
  advice.saves_joules = best.joules;
  advice.estimated = IsEstimated(facts);
  advice.evidence = {IntervalText(service, facts), ComparisonText(service.idle.unloads)};
  if (facts.floor_shared) {
    advice.evidence.push_back(
        "These joules hold a share of the machine's floor, which goes on without the service.");
  }
  if (service.start_seconds) {
    advice.evidence.push_back("A load took " + Digits(*service.start_seconds) +
                              " s on average until it was ready.");
  }
  return advice;
}

std::optional<Recommendation> BusyLoopAdvice(const ServiceUse& service, const IdleFacts& facts) {
  const IdleTime& idle = service.idle;
  if (!idle.cpu_seconds || idle.cpu_known_seconds < kBusySeconds) return std::nullopt;
  const double ratio = *idle.cpu_seconds / idle.cpu_known_seconds;
  if (ratio <= kBusyRatio) return std::nullopt;
  Recommendation advice = Begin("busy_loop", service.service, facts);
  advice.title = service.service + " is busy while nobody uses it";
  advice.advice = "Look for polling, a busy loop or a timer in " + service.service +
                  ": a server that waits needs no CPU.";
  advice.evidence = {"It used " + Format("%.1f %%", ratio * 100) + " of a CPU over " +
                     Time(idle.cpu_known_seconds) + " of idleness."};
  const auto cpu = service.components.find("cpu");
  if (cpu == service.components.end() || !cpu->second.idle) return advice;
  const double joules = *cpu->second.idle;
  advice.estimated = IsEstimated(facts);
  if (!facts.floor_shared) advice.saves_joules = joules;
  if (service.idle_seconds.value_or(0) > 0) {
    advice.evidence.push_back((facts.floor_shared ? "The CPU took " : "That CPU time took ") +
                              WattHours(joules) + ", " + Digits(joules / *service.idle_seconds) +
                              " W while it was idle" + EstimateNote(facts) + ".");
  }
  if (facts.floor_shared) {
    advice.evidence.push_back(
        "That holds a share of the machine's floor, which CPU time does not explain, so what can "
        "be saved of it is not known.");
  }
  return advice;
}

std::optional<Recommendation> IdleModelAdvice(const ServiceUse& service, const IdleFacts& facts) {
  const IdleTime& idle = service.idle;
  const double idle_seconds = service.idle_seconds.value_or(idle.seconds);
  if (idle.peak_bytes.value_or(0) < kLargeBytes || facts.seconds <= 0 ||
      idle_seconds <= kMostlyIdle * facts.seconds) {
    return std::nullopt;
  }
  const std::string memory = Format("%.1f GiB", static_cast<double>(*idle.peak_bytes) / (1 << 30));
  Recommendation advice = Begin("idle_model", service.service, facts);
  advice.title = service.service + " holds " + memory + " and is hardly used";
  advice.advice =
      "Unload " + service.service + " while nobody needs it, which frees up to " + memory + ".";
  advice.evidence = {"It was idle for " + Time(idle_seconds) + " of " + Time(facts.seconds) + ", " +
                     Format("%.0f %%", std::min(1.0, idle_seconds / facts.seconds) * 100) +
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

// Else there is nothing that somebody could mend or stop.
bool IsOneProgram(const ServiceUse& service) {
  return service.kind != kDiscovered ||
         (service.service != metrics::kKernelService && service.service != metrics::kOtherServices);
}

void AddService(const ServiceUse& service, const IdleFacts& facts,
                std::vector<Recommendation>& all) {
  if (!IsOneProgram(service)) return;
  std::optional<Recommendation> unload = UnloadAdvice(service, facts);
  std::optional<Recommendation> busy = BusyLoopAdvice(service, facts);
  if (unload && busy) CountOnce(*unload, *busy);
  if (!unload) unload = IdleModelAdvice(service, facts);
  if (unload) all.push_back(std::move(*unload));
  if (busy) all.push_back(std::move(*busy));
}

struct AlertAdvice {
  const char* builtin;
  const char* kind;
  const char* title;  // behind the name of the service
};
constexpr std::array<AlertAdvice, 3> kAlertAdvice{
    {{"MemoryGrowth", "leak", "the memory grows without end"},
     {"SensorLost", "sensor_lost", "a sensor gives no values any more"},
     {"IdleBaseline", "baseline", "the idle machine draws more than its baseline"}}};

// One for each service, by what fired last.
void AddAlerts(const AlertAdvice& row, const IdleFacts& facts, std::vector<Recommendation>& all) {
  std::map<std::string, Recommendation> made;
  for (const AlertFact& fact : facts.alerts) {
    if (fact.builtin != row.builtin) continue;
    const auto [known, is_new] =
        made.try_emplace(fact.service, Begin(row.kind, fact.service, facts));
    Recommendation& advice = known->second;
    advice.title = (fact.service.empty() ? "" : fact.service + ": ") + row.title;
    advice.advice = fact.advice;
    if (is_new) advice.evidence.emplace_back();
    advice.evidence.front() = fact.summary;
    advice.evidence.push_back("The alert " + fact.alert + " fired " + Count(fact.times, "time") +
                              " in " + Time(facts.seconds) + ".");
  }
  for (auto& [service, advice] : made) {
    // Only the baseline is a matter of watts.
    advice.estimated = advice.kind == "baseline" && IsEstimated(facts);
    if (advice.estimated) advice.evidence.push_back("The watts of this are estimated.");
    all.push_back(std::move(advice));
  }
}

}  // namespace

std::optional<double> StateJoules::Sum() const {
  if (!active || !idle) return active ? active : idle;
  return *active + *idle;
}

std::vector<Recommendation> Recommend(const IdleFacts& facts) {
  std::vector<Recommendation> all;
  for (const ServiceUse& service : facts.services) AddService(service, facts, all);
  for (const AlertAdvice& row : kAlertAdvice) AddAlerts(row, facts, all);
  std::stable_sort(all.begin(), all.end(), [](const Recommendation& a, const Recommendation& b) {
    return a.saves_joules.value_or(-1) > b.saves_joules.value_or(-1);
  });
  return all;
}

}  // namespace idlewatt
