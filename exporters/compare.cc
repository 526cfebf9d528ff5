#include "exporters/compare.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "analysis/comparison.h"
#include "analysis/metrics.h"
#include "base/duration.h"
#include "base/text.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr double kHoursPerDay = 24;
constexpr double kSecondsPerHour = 3600;

// What is compared, of the machine or of a service.
struct Quantity {
  std::string name;
  std::string unit;
  std::string selector;  // its series are summed
  RangeFunction function = RangeFunction::kUsual;
  bool is_power = false;  // has a row of energy too
};

// A quantity in one window.
struct Measured {
  std::vector<double> samples;  // of equal weight, by time
  double seconds = 0;           // of the window, for which they stand
  milliseconds step{0};
  size_t damaged_rows = 0;
};

std::string SelectorOf(const Metric& metric, const std::string& matchers) {
  return std::string(metric.name) + "{" + matchers + "}";
}

std::string ServiceMatcher(const std::string& service) {
  std::string out = "service=\"";
  for (const char c : service) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + "\"";
}

std::vector<Quantity> QuantitiesOfMachine() {
  return {{"power", "W", std::string(metrics::kHostPowerWatts.name), RangeFunction::kUsual, true},
          {"CPU", "CPUs", SelectorOf(metrics::kHostCpuSeconds, R"(mode!~"idle|iowait")"),
           RangeFunction::kRate}};
}

std::vector<Quantity> QuantitiesOfService(const std::string& service) {
  const std::string matcher = ServiceMatcher(service);
  return {
      {"power", "W", SelectorOf(metrics::kServicePowerWatts, matcher), RangeFunction::kUsual, true},
      {"CPU", "CPUs", SelectorOf(metrics::kServiceCpuSeconds, matcher), RangeFunction::kRate},
      {"memory", "bytes", SelectorOf(metrics::kServiceMemoryBytes, matcher)}};
}

// Some hundred to some thousand steps, so that an answer stays small.
milliseconds StepFor(milliseconds length) {
  if (length >= hours(24 * 90)) return hours(24);
  if (length >= hours(24 * 3)) return hours(1);
  if (length >= hours(1)) return minutes(1);
  return length >= minutes(10) ? seconds(10) : seconds(1);
}

milliseconds LengthOf(const TimeSpan& span) { return span.until - span.since; }

// For how long samples at these times stand, each for the usual distance from one to the next: a
// measurement may come less often than once a step, and where there is none, time does not count.
milliseconds TimeCovered(const std::map<int64_t, double>& samples, milliseconds step,
                         milliseconds length) {
  std::vector<int64_t> gaps;
  for (auto it = samples.begin(); it != samples.end() && std::next(it) != samples.end(); ++it) {
    gaps.push_back(std::next(it)->first - it->first);
  }
  int64_t usual = step.count();
  if (!gaps.empty()) {
    const auto middle = gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2);
    std::nth_element(gaps.begin(), middle, gaps.end());
    const int64_t most = 2 * *middle;
    const auto end =
        std::partition(gaps.begin(), gaps.end(), [most](int64_t gap) { return gap <= most; });
    usual = std::accumulate(gaps.begin(), end, int64_t{0}) / (end - gaps.begin());
  }
  return std::min(length, milliseconds(usual * static_cast<int64_t>(samples.size())));
}

Result<RangeAnswer> PointsOf(const Quantity& quantity, const TimeSpan& span, milliseconds step,
                             const RangeSource& range) {
  ASSIGN_OR_RETURN(const Selector selector, Selector::Parse(quantity.selector));
  RangeWindow window{span.since, span.until - milliseconds(1), step};
  window.function = quantity.function;
  return range(selector, window);
}

Result<Measured> Measure(const Quantity& quantity, const TimeSpan& span, const RangeSource& range) {
  Measured measured;
  measured.step = StepFor(LengthOf(span));
  ASSIGN_OR_RETURN(RangeAnswer answer, PointsOf(quantity, span, measured.step, range));
  // Where roll-ups stand in for what was deleted, an hour must not weigh as little as a minute.
  if (answer.rolled_up && measured.step < hours(1)) {
    measured.step = hours(1);
    ASSIGN_OR_RETURN(answer, PointsOf(quantity, span, measured.step, range));
  }
  measured.damaged_rows = answer.damaged_rows;
  std::map<int64_t, double> sums;  // by time
  for (const SeriesPoints& series : answer.series) {
    for (const Point& point : series.points) sums[point.time_ms] += point.value;
  }
  for (const auto& [time_ms, value] : sums) measured.samples.push_back(value);
  measured.seconds = ToSeconds(TimeCovered(sums, measured.step, LengthOf(span)));
  return measured;
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kLess:
      return "less";
    case Verdict::kMore:
      return "more";
    case Verdict::kNoDifferenceShown:
      return "no difference shown";
    case Verdict::kTooLittleData:
      return "too little data";
  }
  return "too little data";
}

using Estimate = std::optional<MeanEstimate>;

Estimate EstimateOf(const Measured& measured) {
  if (measured.samples.empty()) return std::nullopt;
  return EstimateMean(measured.samples);
}

// The same of a quantity that is `factor` times as large.
Estimate Scaled(Estimate estimate, double factor) {
  if (!estimate) return estimate;
  estimate->mean *= factor;
  estimate->variance *= factor * factor;
  return estimate;
}

Json NumberOrNull(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

Json MeanOrNull(const Estimate& estimate) {
  return estimate ? Json(estimate->mean) : Json(nullptr);
}

Json RowJson(const std::string& service, const std::string& quantity, const std::string& unit,
             const Estimate& before, const Estimate& after) {
  Comparison comparison;
  const bool both = before && after;
  if (both) comparison = Compare(*before, *after);
  const auto& interval = comparison.interval;
  return {{"service", service.empty() ? Json(nullptr) : Json(service)},
          {"quantity", quantity},
          {"unit", unit},
          {"before", MeanOrNull(before)},
          {"after", MeanOrNull(after)},
          {"difference", both ? Json(comparison.difference) : Json(nullptr)},
          {"low", interval ? Json(interval->low) : Json(nullptr)},
          {"high", interval ? Json(interval->high) : Json(nullptr)},
          {"relative", NumberOrNull(comparison.relative)},
          {"verdict", VerdictName(comparison.verdict)},
          {"samples",
           {{"before", before ? before->samples : 0}, {"after", after ? after->samples : 0}}}};
}

// What was used in the window, as far as it was measured.
Json WattHours(const Estimate& watts, const Measured& measured) {
  return watts ? Json(watts->mean * measured.seconds / kSecondsPerHour) : Json(nullptr);
}

// Gathers the rows of an answer and what all of them say of the windows.
class CompareRun {
 public:
  CompareRun(const CompareRequest& request, const RangeSource& range)
      : request_(request), range_(range) {}

  Result<void> Add(const std::string& service, const std::vector<Quantity>& quantities) {
    for (const Quantity& quantity : quantities) RETURN_IF_ERROR(Add(service, quantity));
    return {};
  }
  Json Answer() const {
    return {{"before", before_.ToJson(request_.before)},
            {"after", after_.ToJson(request_.after)},
            {"service", request_.service.empty() ? Json(nullptr) : Json(request_.service)},
            {"note", Note()},
            {"damaged_rows", std::max(before_.damaged_rows, after_.damaged_rows)},
            {"rows", rows_}};
  }

 private:
  // Of all quantities that were read of a window, the best of each.
  struct Window {
    void See(const Measured& measured) {
      seconds = std::max(seconds, measured.seconds);
      step = std::max(step, measured.step);
      damaged_rows = std::max(damaged_rows, measured.damaged_rows);
    }
    Json ToJson(const TimeSpan& span) const {
      const double length = ToSeconds(LengthOf(span));
      return {{"since", FormatWallTime(span.since)},
              {"until", FormatWallTime(span.until)},
              {"seconds", length},
              {"step_seconds", ToSeconds(step)},
              {"measured", seconds / length}};
    }
    double seconds = 0;
    milliseconds step{0};
    size_t damaged_rows = 0;
  };

  Result<void> Add(const std::string& service, const Quantity& quantity) {
    ASSIGN_OR_RETURN(const Measured before, Measure(quantity, request_.before, range_));
    ASSIGN_OR_RETURN(const Measured after, Measure(quantity, request_.after, range_));
    before_.See(before);
    after_.See(after);
    if (!service.empty() && !(before.samples.empty() && after.samples.empty())) {
      service_seen_ = true;
    }
    const Estimate a = EstimateOf(before);
    const Estimate b = EstimateOf(after);
    rows_.push_back(RowJson(service, quantity.name, quantity.unit, a, b));
    if (!quantity.is_power) return {};
    Json energy =
        RowJson(service, "energy", "Wh/day", Scaled(a, kHoursPerDay), Scaled(b, kHoursPerDay));
    energy["watt_hours"] = {{"before", WattHours(a, before)}, {"after", WattHours(b, after)}};
    rows_.push_back(std::move(energy));
    return {};
  }

  Json Note() const {
    std::string note;
    const auto add = [&note](const std::string& sentence) {
      note += (note.empty() ? "" : " ") + sentence;
    };
    const TimeSpan &before = request_.before, &after = request_.after;
    const milliseconds both =
        std::min(before.until, after.until) - std::max(before.since, after.since);
    if (both.count() > 0) {
      add("The windows overlap by " + FormatDuration(both) +
          ", which count in both and make the interval too narrow.");
    } else if (after.until <= before.since) {
      add("The window that is called \"after\" came first.");
    }
    if (!request_.service.empty() && !service_seen_) {
      add("Nothing was measured of a service " + InQuotes(request_.service) + " in these windows.");
    }
    return note.empty() ? Json(nullptr) : Json(note);
  }

  const CompareRequest& request_;
  const RangeSource& range_;
  Json rows_ = Json::array();
  Window before_, after_;
  bool service_seen_ = false;
};

Result<CompareRequest> RequestOf(const HttpRequest& http, WallTime now) {
  CompareRequest request;
  ASSIGN_OR_RETURN(request.before, ParseTimeSpan("before", http.Query("before").value_or(""), now));
  ASSIGN_OR_RETURN(request.after, ParseTimeSpan("after", http.Query("after").value_or(""), now));
  request.service = http.Query("service").value_or("");
  return request;
}

}  // namespace

Result<TimeSpan> ParseTimeSpan(const std::string& name, std::string_view text, WallTime now) {
  constexpr std::string_view kDots = "..";
  const size_t dots = text.find(kDots);
  if (dots == std::string_view::npos) {
    return Error{ErrorCode::kInvalid, name, 0,
                 InQuotes(text) + " is no window: write SINCE..UNTIL, as in \"48h..24h\""};
  }
  const auto time = [&](std::string_view part) -> Result<WallTime> {
    Result<WallTime> parsed = ParseTime(part, now);
    if (parsed.ok()) return parsed;
    return Error{ErrorCode::kInvalid, name, 0, parsed.error().ToString()};
  };
  TimeSpan span;
  ASSIGN_OR_RETURN(span.since, time(text.substr(0, dots)));
  ASSIGN_OR_RETURN(span.until, time(text.substr(dots + kDots.size())));
  if (span.until <= span.since) {
    return Error{ErrorCode::kInvalid, name, 0, InQuotes(text) + " ends before it begins"};
  }
  return span;
}

Result<Json> CompareJson(const CompareRequest& request, const RangeSource& range) {
  CompareRun run(request, range);
  RETURN_IF_ERROR(run.Add("", QuantitiesOfMachine()));
  if (!request.service.empty()) {
    RETURN_IF_ERROR(run.Add(request.service, QuantitiesOfService(request.service)));
  }
  return run.Answer();
}

HttpResponse AnswerCompare(const ApiSources& sources, const HttpRequest& request) {
  const Result<CompareRequest> asked = RequestOf(request, sources.clock.Now().wall);
  if (!asked) return BadRequest(asked.error());
  const Result<Json> answer = CompareJson(*asked, sources.range);
  return answer ? JsonResponse(*answer) : BadRequest(answer.error());
}

}  // namespace idlewatt
