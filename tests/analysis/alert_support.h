// What the tests of alerts share.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {

// An alert as people see it; nothing while it is inactive.
inline std::optional<AlertStatus> AlertOf(const AnalysisMachine& machine, std::string_view alert,
                                          std::string_view service = "",
                                          std::string_view severity = "warning") {
  for (AlertStatus& status : machine.Alerts()) {
    if (status.alert == alert && status.service == service && status.severity == severity) {
      return std::move(status);
    }
  }
  return std::nullopt;
}

inline AlertState StateOfAlert(const AnalysisMachine& machine, std::string_view alert,
                               std::string_view service = "",
                               std::string_view severity = "warning") {
  const auto status = AlertOf(machine, alert, service, severity);
  return status ? status->state : AlertState::kInactive;
}

// A service with a port that nobody uses.
inline void RunUnused(AnalysisMachine& machine, const std::string& service, double cpu = 0,
                      const std::string& kind = "supervised") {
  machine.Run(service, cpu, kind);
  machine.Port(service);
}

// Ticks until what is not used is idle, at the last tick.
inline void TickUntilIdle(AnalysisMachine& machine) {
  machine.Tick();
  machine.TickFor(std::chrono::seconds(60));
}

}  // namespace idlewatt
