#include "app/idle_report_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "app/energy_text.h"
#include "app/html_text.h"
#include "app/idle_report_words.h"
#include "app/tables.h"
#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr size_t kMostServices = 6;
constexpr int64_t kMostBars = 120;
constexpr double kWidth = 1000;  // of the plot in its own units; it is stretched to the page
constexpr double kHeight = 220;
constexpr double kTop = 12;  // above the highest line, so that its number has room
constexpr double kBarFill = 0.86;
constexpr double kGapWithText = 0.04;  // of the width
constexpr int64_t kMostTicks = 5;
constexpr double kLeastOfAxis = 0.001;  // of its unit
constexpr size_t kMostOfName = 60;

// Bars stand for whole ones of these, so that their name is one that people use.
constexpr std::array<int64_t, 7> kBundles = {1, 2, 3, 7, 14, 28, 91};

// Where the line of so many stands that is this one from below.
double HeightOf(int line, int lines) { return kHeight - (kHeight - kTop) * line / lines; }

// "minute", "hour", "6 hours", "7 days", else "1h 30m".
std::string NameOf(milliseconds length) {
  constexpr std::array<std::pair<milliseconds, const char*>, 3> kUnits = {
      {{hours(24), "day"}, {hours(1), "hour"}, {minutes(1), "minute"}}};
  for (const auto& [unit, name] : kUnits) {
    if (length < unit || length % unit != milliseconds(0)) continue;
    return length == unit ? name : Counted(static_cast<size_t>(length / unit), name);
  }
  return FormatDuration(length);
}

// How many buckets a bar stands for.
int64_t BundleOf(int64_t buckets) {
  for (const int64_t bundle : kBundles) {
    if (buckets <= bundle * kMostBars) return bundle;
  }
  return (buckets + kMostBars - 1) / kMostBars;
}

// 1, 2, 2.5 or 5 times a power of ten: the distance of about four lines up to `most`.
double NiceStep(double most) {
  const double raw = most / 4;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

// Those that `step` has, such as 2.5: one.
int DecimalsOf(double step) {
  int decimals = 0;
  for (double rest = step; decimals < 12 && std::abs(rest - std::round(rest)) > 1e-6; rest *= 10) {
    ++decimals;
  }
  return decimals;
}

// The places of at most some five labels on the time axis: whole hours or days, of a long time the
// first days of months.
std::vector<WallTime> TicksByTime(WallTime since, WallTime until) {
  constexpr std::array<milliseconds, 15> kSteps = {
      minutes(1),  minutes(2), minutes(5),    minutes(10),   minutes(15),
      minutes(30), hours(1),   hours(2),      hours(3),      hours(6),
      hours(12),   hours(24),  hours(2 * 24), hours(7 * 24), hours(14 * 24)};
  const auto* step = std::find_if(kSteps.begin(), kSteps.end() - 1, [&](milliseconds one) {
    return (until - since) / one <= kMostTicks;
  });
  std::vector<WallTime> ticks;
  for (int64_t i = since.time_since_epoch() / *step; WallTime(i * *step) <= until; ++i) {
    if (WallTime(i * *step) >= since) ticks.emplace_back(i * *step);
  }
  return ticks;
}
std::vector<WallTime> TicksByMonth(WallTime since, WallTime until) {
  const int64_t months = (until - since) / hours(30 * 24);
  int64_t step = 1;
  for (const int64_t more : {2, 3, 6, 12}) {
    if (months / step > kMostTicks) step = more;
  }
  while (months / step > kMostTicks) step += 12;
  std::vector<WallTime> ticks;
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(since)};
  const auto january = std::chrono::year_month(day.year(), std::chrono::January);
  for (int64_t i = 0;; i += step) {
    const WallTime tick = std::chrono::sys_days((january + std::chrono::months(i)) / 1);
    if (tick > until) return ticks;
    if (tick >= since) ticks.push_back(tick);
  }
}

// "Nov" of "2026-11-21 03:37".
const char* MonthText(const std::string& time) {
  constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int month = ParseNumber<int>(time.substr(5, 2)).value_or(1);
  return kMonths.at(static_cast<size_t>(std::clamp(month, 1, 12) - 1));
}
// "21 Nov".
std::string DayText(const std::string& time) {
  return std::to_string(ParseNumber<int>(time.substr(8, 2)).value_or(0)) + " " + MonthText(time);
}

double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

// ---- What is drawn -------------------------------------------------------------------------

IdleChart::IdleChart(const IdleAnswer& report) : since_(report.since), until_(report.until) {
  NameParts(report);
  MakeBars(report);
  DropUnusedParts();
  FindGaps();
}

void IdleChart::NameParts(const IdleAnswer& report) {
  for (const IdleAnswer::Service& service : report.services) {
    if (services_ == kMostServices || service.idle_joules.value_or(0) <= 0) break;
    parts_.push_back({service.name, "i" + std::to_string(services_++)});
  }
  parts_.push_back({services_ == 0 ? "idle services" : "other idle services", "i6"});
  parts_.push_back({"active services", "active"});
  parts_.push_back({"floor of the machine", "floor"});
  parts_.push_back({"not attributed", "rest"});
}

// The parts are all of the bucket's energy: what none of them explains is not attributed.
std::vector<double> IdleChart::PartsOf(const IdleAnswer::Bucket& bucket) const {
  std::vector<double> joules(parts_.size());
  double told = 0;
  for (const IdleAnswer::BucketService& service : bucket.services) {
    told += service.idle_joules.value_or(0);
    for (size_t i = 0; i < services_; ++i) {
      if (parts_[i].name != service.name) continue;
      joules[i] += service.idle_joules.value_or(0);
      break;
    }
  }
  const double shown = Sum(joules);
  joules[services_] = std::max(bucket.idle_joules.value_or(told) - shown, 0.0);
  joules[services_ + 1] = bucket.active_joules.value_or(0);
  joules[services_ + 2] = bucket.floor_joules.value_or(0);
  joules[services_ + 3] = bucket.unattributed_joules.value_or(0);
  joules[services_ + 3] += std::max(bucket.joules.value_or(0) - Sum(joules), 0.0);
  return joules;
}

void IdleChart::MakeBars(const IdleAnswer& report) {
  if (report.buckets.empty()) return;
  const int64_t buckets = (until_ - since_) / report.step + 1;
  bar_length_ = report.step * BundleOf(buckets);
  bar_name_ = NameOf(bar_length_);
  const WallTime first = report.buckets.front().start;
  std::map<int64_t, Bar> bars;
  for (const IdleAnswer::Bucket& bucket : report.buckets) {
    const bool is_known = bucket.joules || bucket.idle_joules || bucket.active_joules ||
                          bucket.floor_joules || bucket.unattributed_joules;
    const bool is_within = bucket.start < until_ && bucket.start + report.step > since_;
    if (!is_known || !is_within) continue;
    const int64_t index = (bucket.start - first) / bar_length_;
    Bar& bar = bars[index];
    const WallTime start = first + index * bar_length_;
    bar.start = std::max(start, since_);
    bar.end = std::max(bar.start, std::min(start + bar_length_, until_));
    const std::vector<double> joules = PartsOf(bucket);
    bar.joules.resize(joules.size());
    for (size_t i = 0; i < joules.size(); ++i) bar.joules[i] += joules[i];
    bar.sum = Sum(bar.joules);
  }
  for (auto& [index, bar] : bars) bars_.push_back(std::move(bar));
}

// A part that no bar has needs no legend. The services stay in their order.
void IdleChart::DropUnusedParts() {
  for (size_t i = parts_.size(); i-- > 0;) {
    const bool is_used =
        std::any_of(bars_.begin(), bars_.end(), [i](const Bar& bar) { return bar.joules[i] > 0; });
    if (is_used) continue;
    parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(i));
    for (Bar& bar : bars_) bar.joules.erase(bar.joules.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void IdleChart::FindGaps() {
  WallTime at = since_;
  for (const Bar& bar : bars_) {
    if (bar.start > at) gaps_.push_back({at, bar.start});
    at = std::max(at, bar.end);
  }
  if (at < until_) gaps_.push_back({at, until_});
}

// ---- How it is drawn -----------------------------------------------------------------------

double IdleChart::Most() const {
  double most = 0;
  for (const Bar& bar : bars_) most = std::max(most, bar.sum);
  return most;
}

double IdleChart::PlaceOf(WallTime time) const {
  return static_cast<double>((time - since_).count()) /
         static_cast<double>((until_ - since_).count());
}

std::string IdleChart::BarsSvg(double top) const {
  std::string out;
  for (const Bar& bar : bars_) {
    const double left = PlaceOf(bar.start) * kWidth;
    const double slot = PlaceOf(bar.end) * kWidth - left;
    std::string title = UtcText(bar.start) + " UTC: " + EnergyText(bar.sum);
    std::string rects;
    double y = kHeight;
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (bar.joules[i] <= 0) continue;
      title += "\n" + Shortened(parts_[i].name, kMostOfName) + " " + EnergyText(bar.joules[i]);
      const double height = bar.joules[i] / top * (kHeight - kTop);
      y -= height;
      AppendFormat(
          rects, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
          parts_[i].color.c_str(), left + slot * (1 - kBarFill) / 2, y, slot * kBarFill, height);
    }
    out += "<g><title>" + EscapeHtml(title) + "</title>" + rects + "</g>\n";
  }
  return out;
}

std::string IdleChart::GridSvg(int lines) const {
  std::string out;
  for (int line = 0; line <= lines; ++line) {
    const double y = HeightOf(line, lines);
    AppendFormat(out, "<line class=\"%s\" x1=\"0\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\"/>",
                 line == 0 ? "zero" : "grid", y, kWidth, y);
  }
  return out + "\n";
}

std::string IdleChart::GapsSvg() const {
  std::string out;
  for (const Gap& gap : gaps_) {
    const double left = PlaceOf(gap.start) * 100;
    const double width = PlaceOf(gap.end) * 100 - left;
    AppendFormat(out,
                 "<rect class=\"gap\" x=\"%.2f%%\" y=\"%.2f\" width=\"%.2f%%\" height=\"%.2f\"/>",
                 left, kTop, width, kHeight - kTop);
    if (width < 100 * kGapWithText) continue;
    AppendFormat(out,
                 "<text x=\"%.2f%%\" y=\"%.2f\" text-anchor=\"middle\" class=\"in-gap\">not "
                 "measured</text>",
                 left + width / 2, kTop + kHeight / 2);
  }
  return out + "\n";
}

std::string IdleChart::TimesSvg() const {
  const bool is_by_month = until_ - since_ > hours(70 * 24);
  const bool is_by_day = until_ - since_ > kMostTicks * hours(24);
  std::string out, last_day;
  for (const WallTime time :
       is_by_month ? TicksByMonth(since_, until_) : TicksByTime(since_, until_)) {
    const double place = PlaceOf(time);
    const double x = 100 * place;
    const std::string text = UtcText(time);
    const char* anchor = place < 0.04 ? "start" : place > 0.96 ? "end" : "middle";
    const auto label = [&](double y, const std::string& words) {
      AppendFormat(out, "<text x=\"%.2f%%\" y=\"%.2f\" text-anchor=\"%s\">%s</text>", x, y, anchor,
                   words.c_str());
    };
    AppendFormat(out, "<line class=\"tick\" x1=\"%.2f%%\" y1=\"%.2f\" x2=\"%.2f%%\" y2=\"%.2f\"/>",
                 x, kHeight, x, kHeight + 5);
    if (is_by_month) {
      label(kHeight + 19, MonthText(text) + (" " + text.substr(0, 4)));
      continue;
    }
    label(kHeight + 19, is_by_day ? DayText(text) : text.substr(11, 5));
    if (!is_by_day && DayText(text) != last_day) label(kHeight + 35, DayText(text));
    last_day = DayText(text);
  }
  return out + "\n";
}

std::string IdleChart::Axis() const {
  const double most = Most();
  const EnergyScale scale(most);
  const double top_units = std::max(most / scale.joules(), kLeastOfAxis);
  const double step = NiceStep(top_units);
  const int lines = static_cast<int>(std::ceil(top_units / step));
  const double top = lines * step;
  const int decimals = DecimalsOf(step);
  std::string numbers;
  for (int line = 0; line <= lines; ++line) {
    AppendFormat(numbers, "<text x=\"46\" y=\"%.2f\" text-anchor=\"end\">%.*f</text>",
                 HeightOf(line, lines) + 4, decimals, line * step);
  }
  return "<svg class=\"numbers\" width=\"52\" height=\"262\" aria-hidden=\"true\">" + numbers +
         "</svg>\n"
         "<svg class=\"plot\" width=\"100%\" height=\"262\" role=\"img\" "
         "aria-labelledby=\"over-time over-time-words\">\n"
         "<title id=\"over-time\">Energy over time in " +
         scale.unit() + " per " + bar_name_ + "</title>\n<desc id=\"over-time-words\">" +
         EscapeHtml(Description()) + "</desc>\n" +
         Format(
             "<svg width=\"100%%\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
             "preserveAspectRatio=\"none\">\n",
             kHeight, kWidth, kHeight) +
         GridSvg(lines) + BarsSvg(top * scale.joules()) + "</svg>\n" + GapsSvg() + TimesSvg() +
         "</svg>\n";
}

std::string IdleChart::Description() const {
  const auto highest = std::max_element(bars_.begin(), bars_.end(),
                                        [](const Bar& a, const Bar& b) { return a.sum < b.sum; });
  std::string text = Counted(bars_.size(), "bar") + ", one for each " + bar_name_ + ", from " +
                     UtcText(since_) + " to " + UtcText(until_) + " UTC. The highest is " +
                     EnergyText(highest->sum) + " at " + UtcText(highest->start) + ".";
  milliseconds missing{0};
  for (const Gap& gap : gaps_) missing += gap.end - gap.start;
  if (missing.count() > 0) text += " Of " + FormatDuration(missing) + " in all nothing is known.";
  return text + " The same numbers stand in the table below.";
}

std::string IdleChart::Legend() const {
  std::string out = "<ul class=\"legend\">";
  for (const Part& part : parts_) {
    const bool is_service = part.color[0] == 'i' && part.color != "i6";
    out += "<li><span class=\"box " + part.color + "\"></span><bdi>" +
           EscapeHtml(Shortened(part.name, kMostOfName)) + "</bdi>" +
           (is_service ? " <small>idle</small>" : "") + "</li>";
  }
  if (!gaps_.empty()) out += "<li><span class=\"box gap\"></span>not measured</li>";
  return out + "</ul>\n";
}

std::string IdleChart::Figure() const {
  const EnergyScale scale(Most());
  return "<figure>\n<figcaption>" + scale.unit() + " per " + bar_name_ +
         ", times in UTC</figcaption>\n<div class=\"chart\">\n" + Axis() + "</div>\n" + Legend() +
         "</figure>\n";
}

std::string IdleChart::Table() const {
  const EnergyScale scale(Most());
  std::string out = "<table class=\"over-time\">\n<caption>" + scale.unit() + " per " + bar_name_ +
                    ", times in UTC</caption>\n<thead><tr><th scope=\"col\">From</th>"
                    "<th scope=\"col\">All</th>";
  for (const Part& part : parts_) {
    out +=
        "<th scope=\"col\"><bdi>" + EscapeHtml(Shortened(part.name, kMostOfName)) + "</bdi></th>";
  }
  out += "</tr></thead>\n<tbody>\n";
  size_t gap = 0;
  const std::string columns = std::to_string(parts_.size() + 1);
  const auto add_gaps_before = [&](WallTime time) {
    for (; gap < gaps_.size() && gaps_[gap].start < time; ++gap) {
      out += "<tr><th scope=\"row\">" + UtcText(gaps_[gap].start) +
             "</th><td class=\"unknown\" "
             "colspan=\"" +
             columns + "\">not measured until " + UtcText(gaps_[gap].end) + "</td></tr>\n";
    }
  };
  for (const Bar& bar : bars_) {
    add_gaps_before(bar.start);
    out += "<tr><th scope=\"row\">" + UtcText(bar.start) + "</th><td>" + scale.Number(bar.sum) +
           "</td>";
    for (const double joules : bar.joules) out += "<td>" + scale.Number(joules) + "</td>";
    out += "</tr>\n";
  }
  add_gaps_before(until_);
  return out + "</tbody>\n</table>\n";
}

}  // namespace idlewatt
