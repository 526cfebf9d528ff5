// The sentences that the idle report as text and as a page have in common. Pure functions. Each
// gives an empty text where there is nothing to say; texts of others are not escaped.
#pragma once

#include <optional>
#include <string>

#include "app/energy_text.h"
#include "app/idle_answer.h"

namespace idlewatt {

using MaybePrice = std::optional<EnergyPrice>;

// "2026-11-19 21:00 to 2026-11-21 21:00 UTC (2d)".
std::string WindowWords(const IdleAnswer& report);

// What the joules rest on. `warning` is for what is no measurement.
struct BasisWords {
  std::string warning;  // a few words that must be seen
  std::string text;     // a sentence or two
};
BasisWords WordsOfBasis(const IdleAnswer& report);

// "estimated", "partly estimated", or nothing: to stand behind the head of numbers.
std::string EstimateWords(const IdleAnswer& report);

// When less than 95 % of the window was watched.
std::string CoverageWords(const IdleAnswer& report);

// What the services took while nobody used them, as a part of the machine, and what that cost.
std::string SummaryWords(const IdleAnswer& report, const MaybePrice& price);

// When the machine was idle as a whole.
std::string MachineIdleWords(const IdleAnswer& report);

// The head of a recommendation; it names the service.
std::string TitleWords(const IdleAnswer::Recommendation& recommendation);

// What following a recommendation would have saved: "would have saved 512 Wh, …"; and how sure that
// is: "measured", or not.
std::string SavingWords(const IdleAnswer::Recommendation& recommendation, const MaybePrice& price);
std::string ConfidenceWords(IdleAnswer::Basis confidence);

// That a year is no measurement, and what the projection rests on; or why there is none.
std::string ProjectionWords(const IdleAnswer& report, const EnergyPrice& price);

// Names behind each other: "rapl", "rapl and nvml", "rapl, nvml and drm".
std::string Enumerated(const std::vector<std::string>& names);

// What an alert said: "IdleServiceCpu (critical, firing): …".
std::string AlertWords(const IdleAnswer::Alert& alert);

// "1 alert", "2 alerts".
std::string Counted(size_t count, const std::string& what);

}  // namespace idlewatt
