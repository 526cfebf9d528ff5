#pragma once

#include <string>

#include "app/idle_answer.h"
#include "app/idle_report_words.h"

namespace idlewatt {

// The report as one HTML page that needs nothing else: no script, no other file, no network. Its
// charts are drawn here, as SVG. It follows the light or dark of the reader and prints on A4.
// Times are UTC. Every text of others is escaped. A pure function.
std::string IdleReportHtml(const IdleAnswer& report, const MaybePrice& price);

}  // namespace idlewatt
