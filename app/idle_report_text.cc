#include "app/idle_report_text.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "app/tables.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using Known = IdleAnswer::Known;

constexpr const char* kUnknown = "-";
constexpr size_t kMostServices = 20;
constexpr size_t kMostAlerts = 20;
constexpr size_t kColumnsOfAll = 76;  // a terminal below it gets fewer columns of the table

std::string UpperCase(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

// `part` eighths of a block fill `width` at 1.
std::string Bar(double part, size_t width) {
  constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths =
      static_cast<size_t>(std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(8 * width)));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + std::string(kEighths[eighths % 8]);
}

class TextReport {
 public:
  TextReport(const IdleAnswer& report, const IdleReportTextOptions& options)
      : report_(report), options_(options) {}

  std::string Write() {
    AddHead();
    AddMachine();
    AddServices();
    if (options_.price && report_.IdleJoules().value_or(0) > 0) AddYear();
    AddRecommendations();
    AddAlerts();
    return std::move(out_);
  }

 private:
  void AddStyled(const char* style, const std::string& line) {
    out_ += options_.color ? style + line + "\x1b[0m\n" : line + "\n";
  }
  void AddTitle(const std::string& title, const std::string& more = "") {
    out_ += "\n";
    AddStyled("\x1b[1m", UpperCase(title + (more.empty() ? "" : " (" + more + ")")));
  }
  // Nothing of an empty text.
  void AddText(const std::string& first, const std::string& text) {
    if (!text.empty()) out_ += Wrapped(first, text, options_.columns);
  }

  void AddHead() {
    AddStyled("\x1b[1m", "IDLE REPORT");
    out_ += WindowWords(report_) + "\n";
    const BasisWords basis = WordsOfBasis(report_);
    if (!basis.warning.empty()) AddStyled("\x1b[1;33m", "*** " + UpperCase(basis.warning) + " ***");
    AddText("", basis.text);
    AddText("", CoverageWords(report_));
    AddText("", SummaryWords(report_, options_.price));
    if (options_.price && report_.KnowsEnergy()) {
      AddText("", "Costs are at " + options_.price->ToString() + ".");
    }
  }

  void AddMachine() {
    const IdleAnswer::Machine& machine = report_.machine;
    if (!machine.joules && !machine.idle_seconds) return;
    AddTitle("The machine", EstimateWords(report_));
    if (machine.joules) {
      AddText(
          "energy  ",
          EnergyText(*machine.joules) +
              (machine.mean_watts ? ", " + PowerText(*machine.mean_watts) + " on average" : ""));
      AddText("went to ", Parts());
    }
    AddText("idle    ", MachineIdleWords(report_));
  }
  std::string Parts() const {
    const IdleAnswer::Machine& machine = report_.machine;
    std::string text;
    const auto add = [&](const char* name, const Known& joules) {
      if (!joules) return;
      text += std::string(text.empty() ? "" : ", ") + name + " " + EnergyText(*joules);
      if (*machine.joules > 0) text += " (" + ShareText(*joules / *machine.joules) + ")";
    };
    add("idle services", machine.service_idle_joules);
    add("active services", machine.service_active_joules);
    add("the floor", machine.floor_joules);
    add("not attributed", machine.unattributed_joules);
    return text;
  }

  // ---- Services ---------------------------------------------------------------------------------

  void AddServices() {
    const auto services = report_.IdleServices();
    const bool has_energy = !services.empty() && services[0]->idle_joules;
    if (has_energy) {
      AddTitle("Services by idle energy", EstimateWords(report_));
    } else {
      AddTitle("Idle services");
    }
    if (services.empty()) {
      out_ += report_.services.empty() ? "No service was seen in this time.\n"
                                       : "No service was idle in this time.\n";
      return;
    }
    const auto rest =
        services.begin() + static_cast<std::ptrdiff_t>(std::min(services.size(), kMostServices));
    AddTable({services.begin(), rest});
    if (rest != services.end()) AddText("", RestWords({rest, services.end()}));
    AddText("", has_energy
                    ? "Idle: nobody used the service. OF OWN is the part of all its energy that it "
                      "used while idle, OF ALL its part of the idle energy of all services."
                    : "Idle: nobody used the service.");
  }

  void AddTable(const std::vector<const IdleAnswer::Service*>& services) {
    const EnergyScale scale(services[0]->idle_joules.value_or(0));
    const std::string table = TableOf(services, scale);
    const std::vector<std::string_view> rows = Split(table, '\n');
    size_t width = 0;
    for (const std::string_view row : rows) width = std::max(width, WidthOf(row));
    const double most = services[0]->idle_joules.value_or(0);
    const size_t bar_width =
        width + 2 < options_.columns ? std::min<size_t>(options_.columns - width - 2, 16) : 0;
    for (size_t i = 0; i < services.size() + 1; ++i) {
      out_ += rows[i];
      if (i > 0 && most > 0 && bar_width >= 4) {
        const double joules = services[i - 1]->idle_joules.value_or(0);
        out_ += std::string(width - WidthOf(rows[i]) + 2, ' ') + Bar(joules / most, bar_width);
      }
      out_ += "\n";
    }
  }

  std::string TableOf(const std::vector<const IdleAnswer::Service*>& services,
                      const EnergyScale& scale) const {
    const bool has_all = options_.columns >= kColumnsOfAll;
    const std::string cost = options_.price ? "COST " + options_.price->currency : "COST";
    TextTable table({"SERVICE", "IDLE " + scale.unit() + ">", "MEAN W>", "OF OWN>", "OF ALL>",
                     "IDLE FOR>", "MEMORY>", std::string(Trim(cost)) + ">"});
    const Known all = report_.IdleJoules();
    for (const IdleAnswer::Service* service : services) {
      const Known joules = service->idle_joules;
      const bool has_share = joules && all && *all > 0;
      table.Add({service->name, joules ? scale.Number(*joules) : kUnknown,
                 service->idle_mean_watts ? WattsNumber(*service->idle_mean_watts) : kUnknown,
                 service->idle_share ? ShareText(*service->idle_share) : kUnknown,
                 has_share ? ShareText(*joules / *all) : kUnknown,
                 has_all && service->idle_seconds ? SecondsText(*service->idle_seconds) : kUnknown,
                 has_all && service->peak_memory_bytes ? MemoryText(*service->peak_memory_bytes)
                                                       : kUnknown,
                 joules && options_.price ? options_.price->CostNumber(*joules) : kUnknown});
    }
    table.DropEmpty(kUnknown);
    table.Fit(options_.columns, {"SERVICE"});
    return table.ToString();
  }
  static std::string WattsNumber(double watts) {
    const std::string text = PowerText(watts);
    return text.ends_with(" W") ? text.substr(0, text.size() - 2) : text;
  }

  static std::string RestWords(const std::vector<const IdleAnswer::Service*>& rest) {
    double joules = 0;
    for (const IdleAnswer::Service* service : rest) joules += service->idle_joules.value_or(0);
    return "and " + Counted(rest.size(), "more service") +
           (joules > 0 ? ", together " + EnergyText(joules) : "") + ".";
  }

  // ---- What follows -----------------------------------------------------------------------------

  void AddYear() {
    AddTitle("What a year of it would cost", EstimateWords(report_));
    const Known times = report_.TimesAYear();
    if (times) {
      const double joules = *report_.IdleJoules() * *times;
      AddText("", "Idle services: " + EnergyText(joules) + ", " + options_.price->CostText(joules) +
                      ".");
    }
    AddText("", ProjectionWords(report_, *options_.price));
  }

  void AddRecommendations() {
    AddTitle("What to do");
    size_t number = 0;
    for (const IdleAnswer::Recommendation& one : report_.recommendations) {
      const std::string first = std::to_string(++number) + ". ";
      const std::string below(first.size(), ' ');
      AddText(first, TitleWords(one));
      const std::string saving = SavingWords(one, options_.price);
      if (!saving.empty()) AddText(below, "That " + saving + ".");
      AddText(below, one.advice);
      for (const std::string& evidence : one.evidence) AddText(below + "- ", evidence);
      const std::string confidence = ConfidenceWords(one.confidence);
      if (!confidence.empty()) AddText(below, "(" + confidence + ")");
    }
    if (number == 0) out_ += "Nothing was found that is worth a change.\n";
  }

  void AddAlerts() {
    const size_t count = report_.alerts.size();
    AddTitle("Alerts of the time");
    if (count == 0) out_ += "None.\n";
    const size_t first = count > kMostAlerts ? count - kMostAlerts : 0;
    if (first > 0) out_ += Counted(first, "earlier alert") + " left out.\n";
    for (size_t i = first; i < count; ++i) {
      const IdleAnswer::Alert& alert = report_.alerts[i];
      AddText(UtcText(alert.time) + "  ", AlertWords(alert));
    }
  }

  const IdleAnswer& report_;
  const IdleReportTextOptions& options_;
  std::string out_;
};

}  // namespace

std::string IdleReportText(const IdleAnswer& report, const IdleReportTextOptions& options) {
  return TextReport(report, options).Write();
}

}  // namespace idlewatt
