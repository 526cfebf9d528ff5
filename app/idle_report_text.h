#pragma once

#include <cstddef>
#include <string>

#include "app/idle_answer.h"
#include "app/idle_report_words.h"

namespace idlewatt {

struct IdleReportTextOptions {
  MaybePrice price = {};
  size_t columns = 100;
  bool color = false;  // for a terminal: heads are bold, warnings yellow
};

// The report for a terminal or a mail: how it was measured, the machine, the services by idle
// energy, what to do about them, and the alerts. Lines have at most `columns` where that can be.
// Times are UTC. A pure function.
std::string IdleReportText(const IdleAnswer& report, const IdleReportTextOptions& options);

}  // namespace idlewatt
