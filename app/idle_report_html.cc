#include "app/idle_report_html.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include "app/energy_text.h"
#include "app/html_text.h"
#include "app/idle_report_chart.h"
#include "app/tables.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Known = IdleAnswer::Known;

constexpr size_t kMostServices = 30;
constexpr size_t kMostOfYear = 6;
constexpr size_t kMostOfName = 120;
constexpr const char* kUnknown = "–";

// Orange is what idle services took, blue what active ones did, grey what no service can help. The
// policy keeps a browser from loading or running anything, whatever a name on the page may try.
constexpr const char* kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
)";

constexpr const char* kStyle = R"(<style>
:root { --paper: #fff; --ink: #1c1917; --soft: #57534e; --line: #e7e5e4; --panel: #fafaf9;
  --accent: #b45309; --alarm: #fff7ed; --active: #4178be; --floor: #a8a29e; --rest: #d6d3d1;
  --i0: #c8560a; --i1: #e37d2b; --i2: #f09c56; --i3: #f5b984; --i4: #f9d0a8; --i5: #fce2c8;
  --i6: #e5d6c6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191715; --ink: #e7e5e4; --soft: #a8a29e; --line: #3a3633; --panel: #23201e;
    --accent: #fdba74; --alarm: #3b2412; --active: #5b93d8; --floor: #78716c; --rest: #57534e;
    --i0: #f58a33; --i1: #d17226; --i2: #ab5c1f; --i3: #884a1a; --i4: #693a16; --i5: #4d2d14;
    --i6: #6b5c50; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1.25rem 3rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; break-after: avoid; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .4rem 0; max-width: 46rem; }
small, .soft, figcaption, caption { color: var(--soft); font-size: .85rem; }
.lead { font-size: 1.15rem; margin-top: 1rem; }
.lead b, .accent { color: var(--accent); }
.warning { border: 2px solid var(--accent); border-radius: .4rem; background: var(--alarm);
  padding: .6rem .9rem; margin: .9rem 0; }
.warning b { display: block; font-size: 1.1rem; color: var(--accent); }
.warning p { margin: .2rem 0 0; }
.split { display: block; width: 100%; height: 1.5rem; border-radius: .3rem; margin: .6rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .6rem;
  margin: 0; padding: 0; list-style: none; }
.cards li { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .8rem; break-inside: avoid; }
.cards b { display: block; font-size: 1.35rem; line-height: 1.3; }
.box { display: inline-block; width: .75rem; height: .75rem; border-radius: .15rem;
  margin-right: .4rem; vertical-align: -.05rem; }
.i0 { fill: var(--i0); background: var(--i0); } .i1 { fill: var(--i1); background: var(--i1); }
.i2 { fill: var(--i2); background: var(--i2); } .i3 { fill: var(--i3); background: var(--i3); }
.i4 { fill: var(--i4); background: var(--i4); } .i5 { fill: var(--i5); background: var(--i5); }
.i6 { fill: var(--i6); background: var(--i6); }
.active { fill: var(--active); background: var(--active); }
.floor { fill: var(--floor); background: var(--floor); }
.rest { fill: var(--rest); background: var(--rest); }
.gap { fill: var(--panel); background: var(--panel); stroke: var(--line); stroke-dasharray: 4 3; }
.box.gap { border: 1px dashed var(--soft); }
figure { margin: 0; break-inside: avoid; }
.chart { display: flex; }
.numbers { flex: none; } .plot { flex: 1; min-width: 0; overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; }
.in-gap { writing-mode: vertical-rl; }
.grid, .zero, .tick { stroke: var(--line); vector-effect: non-scaling-stroke; }
.zero, .tick { stroke: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .3rem 0 0; padding: 0;
  list-style: none; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .3rem 0; }
th, td { padding: .4rem 0 .4rem .9rem; text-align: right; vertical-align: top; font-weight: 400;
  border-top: 1px solid var(--line); overflow-wrap: normal; }
th:first-child, td.words { text-align: left; }
th:first-child { padding-left: 0; }
thead th { border-top: 0; color: var(--soft); font-size: .85rem; vertical-align: bottom; }
tr { break-inside: avoid; }
tr.sum th, tr.sum td { font-weight: 600; }
.ranking th:first-child { width: 45%; min-width: 9rem; overflow-wrap: anywhere; }
.ranking td, .over-time tbody th, .alerts th { white-space: nowrap; }
.bar { display: block; width: 100%; height: .6rem; margin-top: .25rem; }
.bar .track { fill: var(--line); }
td.unknown { text-align: left; color: var(--soft); }
.todo { margin: 0; padding: 0; list-style: none; }
.todo li { border: 1px solid var(--line); border-left: .3rem solid var(--i0); border-radius: .4rem;
  padding: .6rem .9rem; margin: .6rem 0; break-inside: avoid; }
.todo p { max-width: none; }
.todo li.free { border-left-color: var(--floor); }
.todo ul { margin: .3rem 0; padding-left: 1.2rem; list-style: disc; }
.todo ul li { border: 0; padding: 0; margin: 0; color: var(--soft); font-size: .9rem; }
.tag { border: 1px solid var(--line); border-radius: 1rem; padding: .05rem .55rem;
  font-size: .8rem; color: var(--soft); white-space: nowrap; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
dl { margin: 0; font-size: .9rem; } dt { font-weight: 600; } dd { margin: 0 0 .4rem; color: var(--soft); }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@page { size: A4; margin: 15mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; }
  th, td { padding-left: .6rem; } .ranking th:first-child { width: 34%; }
  details:not([open]) { display: none; } }
</style>
)";

std::string Number(double value) { return Format("%.2f", value); }

std::string Tag(const std::string& name, const std::string& text) {
  return "<" + name + ">" + text + "</" + name + ">";
}

// A name of others: it can't turn the direction of what stands beside it.
std::string Name(const std::string& name) {
  return "<bdi>" + EscapeHtml(Shortened(name, kMostOfName)) + "</bdi>";
}

// Escaped, with no line ending between a number and its unit.
std::string Words(const std::string& words) {
  std::string text = words;
  for (size_t at = text.find(' '); at != std::string::npos; at = text.find(' ', at + 1)) {
    const bool is_between =
        at > 0 && std::isdigit(static_cast<unsigned char>(text[at - 1])) != 0 &&
        at + 1 < text.size() &&
        (std::isalpha(static_cast<unsigned char>(text[at + 1])) != 0 || text[at + 1] == '%');
    if (is_between) text.replace(at, 1, "\xC2\xA0");
  }
  return EscapeHtml(text);
}

std::string Paragraph(const std::string& words, const std::string& more = "") {
  return words.empty() ? "" : "<p" + more + ">" + Words(words) + "</p>\n";
}

// A bar across a cell; the number stands beside it.
std::string CellBar(double part, const std::string& color) {
  return "<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" "
         "aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"10\"/>"
         "<rect class=\"" +
         color + "\" width=\"" + Number(100 * std::clamp(part, 0.0, 1.0)) +
         "\" height=\"10\"/></svg>";
}

class HtmlReport {
 public:
  HtmlReport(const IdleAnswer& report, const MaybePrice& price) : report_(report), price_(price) {}

  std::string Write() {
    out_ = std::string(kHead) + "<title>Idle report, " + EscapeHtml(WindowWords(report_)) +
           "</title>\n" + kStyle + "</head>\n<body>\n";
    AddHead();
    AddMachine();
    AddTime();
    AddServices();
    AddRecommendations();
    if (price_ && report_.IdleJoules().value_or(0) > 0) AddYear();
    AddAlerts();
    AddFoot();
    out_ += "</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  std::string Cost(double joules) const {
    return price_ ? EscapeHtml(price_->CostText(joules)) : "";
  }
  void AddTitle(const std::string& title, bool of_energy = false) {
    const std::string estimate = of_energy ? EstimateWords(report_) : "";
    out_ +=
        "<h2>" + title + (estimate.empty() ? "" : " <small>" + estimate + "</small>") + "</h2>\n";
  }

  void AddHead() {
    out_ +=
        "<header>\n<h1>Idle report</h1>\n<p class=\"soft\">" + EscapeHtml(WindowWords(report_)) +
        (price_ && report_.KnowsEnergy() ? ", costs at " + EscapeHtml(price_->ToString()) : "") +
        "</p>\n";
    const BasisWords basis = WordsOfBasis(report_);
    if (!basis.warning.empty()) {
      out_ += "<div class=\"warning\"><b>" + EscapeHtml(basis.warning) + "</b>" +
              Paragraph(basis.text) + "</div>\n";
    }
    out_ += Paragraph(SummaryWords(report_, price_), " class=\"lead\"");
    if (basis.warning.empty()) out_ += Paragraph(basis.text);
    out_ += Paragraph(CoverageWords(report_)) + "</header>\n";
  }

  // ---- The machine ------------------------------------------------------------------------------

  struct Share {
    const char* name;
    const char* color;
    Known joules;
  };
  std::array<Share, 4> Shares() const {
    const IdleAnswer::Machine& machine = report_.machine;
    return {{{"Idle services", "i0", machine.service_idle_joules},
             {"Active services", "active", machine.service_active_joules},
             {"Floor", "floor", machine.floor_joules},
             {"Not attributed", "rest", machine.unattributed_joules}}};
  }

  void AddMachine() {
    const IdleAnswer::Machine& machine = report_.machine;
    if (!machine.joules && !machine.idle_seconds) return;
    AddTitle("The machine", true);
    if (machine.joules) {
      out_ += "<p>It used " + Tag("b", EnergyText(*machine.joules)) +
              (price_ ? " for " + Cost(*machine.joules) : "") +
              (machine.mean_watts ? ", " + PowerText(*machine.mean_watts) + " on average" : "") +
              ".</p>\n" + SplitBar() + "<ul class=\"cards\">\n";
      for (const Share& share : Shares()) AddCard(share);
      out_ += "</ul>\n";
    }
    out_ += Paragraph(MachineIdleWords(report_));
  }

  std::string SplitBar() const {
    double sum = 0;
    for (const Share& share : Shares()) sum += share.joules.value_or(0);
    if (sum <= 0) return "";
    std::string words, rects;
    double x = 0;
    for (const Share& share : Shares()) {
      if (share.joules.value_or(0) <= 0) continue;
      const double width = 1000 * *share.joules / sum;
      rects += "<rect class=\"" + std::string(share.color) + "\" x=\"" + Number(x) +
               "\" y=\"0\" width=\"" + Number(width) + "\" height=\"10\"/>";
      x += width;
      words += (words.empty() ? "" : ", ") + std::string(share.name) + " " +
               ShareText(*share.joules / sum);
    }
    return "<svg class=\"split\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" "
           "aria-labelledby=\"split split-words\"><title id=\"split\">Where the energy of the "
           "machine went</title><desc id=\"split-words\">" +
           words + "</desc>" + rects + "</svg>\n";
  }

  void AddCard(const Share& share) {
    out_ += "<li><span class=\"box " + std::string(share.color) + "\"></span>" + share.name + "<b" +
            (std::string_view(share.color) == "i0" ? " class=\"accent\"" : "") + ">" +
            (share.joules ? EnergyText(*share.joules) : kUnknown) + "</b><small>";
    if (share.joules && *report_.machine.joules > 0) {
      out_ += ShareText(*share.joules / *report_.machine.joules);
      if (price_) out_ += " · " + Cost(*share.joules);
    }
    out_ += "</small></li>\n";
  }

  // ---- What to do -------------------------------------------------------------------------------

  void AddRecommendations() {
    AddTitle("What to do");
    if (report_.recommendations.empty()) {
      out_ += "<p>Nothing was found that is worth a change.</p>\n";
      return;
    }
    out_ += "<ol class=\"todo\">\n";
    for (const IdleAnswer::Recommendation& one : report_.recommendations) {
      const std::string saving = SavingWords(one, price_);
      const std::string confidence = ConfidenceWords(one.confidence);
      out_ += std::string("<li") + (saving.empty() ? " class=\"free\"" : "") + ">" +
              Tag("h3", EscapeHtml(TitleWords(one)));
      if (!saving.empty()) out_ += Paragraph("That " + saving + ".", " class=\"accent\"");
      out_ += Paragraph(one.advice);
      if (!one.evidence.empty()) {
        out_ += "<ul>";
        for (const std::string& evidence : one.evidence) out_ += Tag("li", Words(evidence));
        out_ += "</ul>";
      }
      if (!confidence.empty()) out_ += "<span class=\"tag\">" + confidence + "</span>";
      out_ += "</li>\n";
    }
    out_ += "</ol>\n";
  }

  // ---- Services ---------------------------------------------------------------------------------

  // One column of the ranking; it is there when any service has a value.
  struct Column {
    std::string head;
    std::string (*text)(const HtmlReport&, const IdleAnswer::Service&);  // empty: not known
  };

  void AddServices() {
    const auto services = report_.IdleServices();
    const bool has_energy = !services.empty() && services[0]->idle_joules;
    AddTitle(has_energy ? "Services by idle energy" : "Idle services", has_energy);
    if (services.empty()) {
      out_ += report_.services.empty() ? "<p>No service was seen in this time.</p>\n"
                                       : "<p>No service was idle in this time.</p>\n";
      return;
    }
    const size_t shown = std::min(services.size(), kMostServices);
    AddRanking({services.begin(), services.begin() + static_cast<std::ptrdiff_t>(shown)});
    if (shown < services.size()) {
      out_ += Paragraph("and " + Counted(services.size() - shown, "more service") + ".");
    }
  }

  std::vector<Column> ColumnsOf(const std::vector<const IdleAnswer::Service*>& services) const {
    using Service = IdleAnswer::Service;
    using Self = const HtmlReport&;
    std::vector<Column> columns = {
        {"idle energy", [](Self, const Service& s) { return Text(s.idle_joules, EnergyText); }},
        {"cost",
         [](Self self, const Service& s) {
           return s.idle_joules ? self.Cost(*s.idle_joules) : std::string();
         }},
        {"mean power", [](Self, const Service& s) { return Text(s.idle_mean_watts, PowerText); }},
        {"of its own", [](Self, const Service& s) { return Text(s.idle_share, ShareText); }},
        {"idle for", [](Self, const Service& s) { return Text(s.idle_seconds, SecondsText); }},
        {"mean CPU", [](Self, const Service& s) { return Text(s.idle_cpu_ratio, ShareText); }},
        {"memory", [](Self, const Service& s) { return Text(s.peak_memory_bytes, MemoryText); }},
    };
    std::erase_if(columns, [&](const Column& column) {
      return std::all_of(services.begin(), services.end(), [&](const Service* service) {
        return column.text(*this, *service).empty();
      });
    });
    return columns;
  }
  static std::string Text(const Known& value, std::string (*format)(double)) {
    return value ? EscapeHtml(format(*value)) : "";
  }

  // "supervised · cpu + gpu": what the service is, and what used its energy.
  static std::string KindWords(const IdleAnswer::Service& service) {
    std::string text = service.kind;
    const char* before = " · ";
    for (const IdleAnswer::Component& component : service.components) {
      if (*component.idle_joules < 0.05 * service.idle_joules.value_or(0)) continue;
      if (*component.idle_joules <= 0) continue;
      text += before + component.name;
      before = " + ";
    }
    return text;
  }

  void AddRanking(const std::vector<const IdleAnswer::Service*>& services) {
    const std::vector<Column> columns = ColumnsOf(services);
    out_ +=
        "<p class=\"soft\">Idle: nobody used the service. All numbers are of that time. “Of its "
        "own” "
        "is the part of all energy of the service, memory the most that it held.</p>\n"
        "<div class=\"scroll\"><table class=\"ranking\">\n"
        "<thead><tr><th scope=\"col\">service</th>";
    for (const Column& column : columns) out_ += "<th scope=\"col\">" + column.head + "</th>";
    out_ += "</tr></thead>\n<tbody>\n";
    const double most = services[0]->idle_joules.value_or(0);
    for (const IdleAnswer::Service* service : services) {
      out_ += "<tr><th scope=\"row\">" + Name(service->name) + " <small>" +
              EscapeHtml(KindWords(*service)) + "</small>";
      if (most > 0) out_ += CellBar(service->idle_joules.value_or(0) / most, "i0");
      out_ += "</th>";
      for (const Column& column : columns) {
        const std::string text = column.text(*this, *service);
        out_ += Tag("td", text.empty() ? kUnknown : text);
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody>\n</table></div>\n";
  }

  // ---- Over time, and in a year -----------------------------------------------------------------

  void AddTime() {
    const IdleChart chart(report_);
    AddTitle("Energy over time", true);
    if (chart.bars().empty()) {
      out_ += "<p>How it was spread over the time is not known.</p>\n";
      return;
    }
    out_ += chart.Figure() +
            "<details><summary>The same numbers as a table</summary>\n"
            "<div class=\"scroll\">" +
            chart.Table() + "</div></details>\n";
  }

  void AddYear() {
    AddTitle("What a year of it would cost", true);
    out_ += Paragraph(ProjectionWords(report_, *price_));
    const Known times = report_.TimesAYear();
    if (times) AddYearTable(*times);
  }

  void AddYearTable(double times) {
    out_ +=
        "<div class=\"scroll\"><table class=\"ranking\">\n<thead><tr><th scope=\"col\">service, "
        "while idle</th><th scope=\"col\">a year</th><th scope=\"col\">cost</th></tr></thead>\n"
        "<tbody>\n";
    const double all = *report_.IdleJoules();
    double shown = 0;
    for (size_t i = 0; i < std::min(report_.services.size(), kMostOfYear); ++i) {
      const double joules = report_.services[i].idle_joules.value_or(0);
      if (joules <= 0) break;
      shown += joules;
      AddYearRow(Name(report_.services[i].name) + CellBar(joules / all, "i0"), joules * times);
    }
    const double others = all - shown;
    if (others > all * 1e-4) AddYearRow("all others" + CellBar(others / all, "i6"), others * times);
    AddYearRow("All services, while idle", all * times, " class=\"sum\"");
    out_ += "</tbody>\n</table></div>\n";
  }
  void AddYearRow(const std::string& head, double joules, const std::string& row_class = "") {
    out_ += "<tr" + row_class + "><th scope=\"row\">" + head + "</th>" +
            Tag("td", EscapeHtml(EnergyText(joules))) + Tag("td", Cost(joules)) + "</tr>\n";
  }

  // ---- What happened ----------------------------------------------------------------------------

  void AddAlerts() {
    AddTitle("Alerts of the time");
    if (report_.alerts.empty()) {
      out_ += "<p>None.</p>\n";
      return;
    }
    out_ +=
        "<div class=\"scroll\"><table class=\"alerts\">\n<thead><tr><th scope=\"col\">time "
        "(UTC)</th>"
        "<th scope=\"col\">state</th><th scope=\"col\">what</th></tr></thead>\n<tbody>\n";
    for (const IdleAnswer::Alert& alert : report_.alerts) {
      out_ += "<tr><th scope=\"row\">" + UtcText(alert.time) + "</th><td>" +
              EscapeHtml(alert.state) + "</td><td class=\"words\">" + Name(alert.alert) +
              " <small>" + EscapeHtml(alert.severity) + "</small><br>" + Words(alert.summary) +
              "</td></tr>\n";
    }
    out_ += "</tbody>\n</table></div>\n";
  }

  void AddFoot() {
    out_ +=
        "<footer>\n<dl>\n<dt>Idle</dt><dd>Nobody has used the service for the time that "
        "<code>idle.after</code> says: nothing came or went on its port.</dd>\n"
        "<dt>Floor</dt><dd>What the machine draws although nothing runs: a power supply, memory, "
        "fans. Only switching it off, or letting it sleep, saves that.</dd>\n"
        "<dt>Not attributed</dt><dd>What no service and no floor explains: the kernel's own work, "
        "and programs that came and went.</dd>\n</dl>\n<p class=\"soft\">Made by idlewatt at " +
        UtcText(report_.generated_at) +
        " UTC. All times are UTC; an hour and a day begin there.</p>\n"
        "</footer>\n";
  }

  const IdleAnswer& report_;
  const MaybePrice& price_;
  std::string out_;
};

}  // namespace

std::string IdleReportHtml(const IdleAnswer& report, const MaybePrice& price) {
  return HtmlReport(report, price).Write();
}

}  // namespace idlewatt
