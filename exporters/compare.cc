#include "exporters/compare.h"

#include <algorithm>
#include <array>
#include <limits>
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

// Of a longer window a sample is longer, so that an answer stays small.
constexpr int64_t kMostSamples = 45'000;

// What is compared: the average of a gauge, or what counters grew for each second that was watched.
struct Quantity {
  std::string name;
  std::string unit;
  std::string selector;  // its series are summed
  bool of_counters = false;
  std::string joules{};  // what a row of energy is made from; empty: it has none
};

// The machine or a service.
struct Subject {
  std::string service;  // empty: the machine
  std::string seconds;  // counts for how long it was watched
  std::vector<Quantity> quantities;
};

// By the begin of the step.
using Values = std::map<int64_t, double>;

// A quantity in one window: samples in the order of time, and for how many seconds each stands.
struct Measured {
  std::vector<double> samples;
  std::vector<double> seconds;
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

Subject Machine() {
  return {"",
          std::string(metrics::kHostActivitySeconds.name),
          {{"power", "W", std::string(metrics::kHostPowerWatts.name), false,
            std::string(metrics::kHostEnergyJoules.name)},
           {"CPU", "CPUs", SelectorOf(metrics::kHostCpuSeconds, R"(mode!~"idle|iowait")"), true}}};
}

Subject Service(const std::string& service) {
  const std::string matcher = ServiceMatcher(service);
  return {service,
          SelectorOf(metrics::kServiceActivitySeconds, matcher),
          {{"power", "W", SelectorOf(metrics::kServicePowerWatts, matcher), false,
            SelectorOf(metrics::kServiceEnergyJoules, matcher)},
           {"CPU", "CPUs", SelectorOf(metrics::kServiceCpuSeconds, matcher), true},
           {"memory", "bytes", SelectorOf(metrics::kServiceMemoryBytes, matcher)}}};
}

milliseconds LengthOf(const TimeSpan& span) { return span.until - span.since; }

// Some hundred to some thousand steps.
milliseconds UsualStep(milliseconds length) {
  if (length >= hours(24 * 90)) return hours(24);
  if (length >= hours(24 * 3)) return hours(1);
  if (length >= hours(1)) return minutes(1);
  return length >= minutes(10) ? seconds(10) : seconds(1);
}

// One for both windows, or what comes and goes within a step would look like a change: that which
// is usual for the shorter, unless the longer one has too many of it.
milliseconds StepFor(const CompareRequest& request) {
  const auto [shorter, longer] = std::minmax({LengthOf(request.before), LengthOf(request.after)});
  constexpr std::array<milliseconds, 4> kSteps{seconds(1), seconds(10), minutes(1), hours(1)};
  for (const milliseconds step : kSteps) {
    if (step >= UsualStep(shorter) && longer / step <= kMostSamples) return step;
  }
  return hours(24);
}

double Sum(const Values& values) {
  return std::accumulate(values.begin(), values.end(), 0.0,
                         [](double sum, const auto& value) { return sum + value.second; });
}

// Only time in which the machine or the service was watched counts, and each sample by how much of
// its step that was: a PC that is off at night is not taken to be on.
Measured MeasuredOf(const Quantity& quantity, const Values& values, const Values& watched) {
  Measured measured;
  for (const auto& [time_ms, value] : values) {
    const auto step = watched.find(time_ms);
    if (step == watched.end() || step->second <= 0) continue;
    measured.samples.push_back(quantity.of_counters ? value / step->second : value);
    measured.seconds.push_back(step->second);
  }
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
  return EstimateMean(measured.samples, measured.seconds);
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
Json WattHours(const Values& joules) {
  return joules.empty() ? Json(nullptr) : Json(Sum(joules) / kSecondsPerHour);
}

// Gathers the rows of an answer and what all of them say of the windows.
class CompareRun {
 public:
  CompareRun(const CompareRequest& request, milliseconds step, const RangeSource& range)
      : request_(request), step_(step), range_(range) {}

  Result<void> Add(const Subject& subject);
  // Some of what was read are roll-ups.
  bool rolled_up() const { return rolled_up_; }
  Json Answer() const {
    return {{"before", WindowJson(request_.before, before_seconds_)},
            {"after", WindowJson(request_.after, after_seconds_)},
            {"service", request_.service.empty() ? Json(nullptr) : Json(request_.service)},
            {"note", Note()},
            {"damaged_rows", damaged_rows_},
            {"rows", rows_}};
  }

 private:
  // The sum of what a selector means; of counters, what they grew.
  Result<Values> Read(const std::string& selector, const TimeSpan& span, bool of_counters);
  Result<Measured> Read(const Quantity& quantity, const TimeSpan& span, const Values& watched);
  Result<void> Add(const std::string& service, const Quantity& quantity, const Values& before,
                   const Values& after);
  Json WindowJson(const TimeSpan& span, double watched) const {
    const double length = ToSeconds(LengthOf(span));
    return {{"since", FormatWallTime(span.since)},
            {"until", FormatWallTime(span.until)},
            {"seconds", length},
            {"step_seconds", ToSeconds(step_)},
            {"measured", std::min(1.0, watched / length)}};
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
  const milliseconds step_;
  const RangeSource& range_;
  Json rows_ = Json::array();
  double before_seconds_ = 0, after_seconds_ = 0;  // for which the machine was watched
  size_t damaged_rows_ = 0;
  bool rolled_up_ = false;
  bool service_seen_ = false;
};

Result<Values> CompareRun::Read(const std::string& selector, const TimeSpan& span,
                                bool of_counters) {
  ASSIGN_OR_RETURN(const Selector parsed, Selector::Parse(selector));
  RangeWindow window{span.since, span.until - milliseconds(1), step_};
  window.function = of_counters ? RangeFunction::kIncrease : RangeFunction::kAverage;
  window.max_points = std::numeric_limits<size_t>::max();  // the number of steps is limited
  ASSIGN_OR_RETURN(const RangeAnswer answer, range_(parsed, window));
  damaged_rows_ = std::max(damaged_rows_, answer.damaged_rows);
  rolled_up_ = rolled_up_ || answer.rolled_up;
  Values sums;
  for (const SeriesPoints& series : answer.series) {
    for (const Point& point : series.points) sums[point.time_ms] += point.value;
  }
  return sums;
}

Result<Measured> CompareRun::Read(const Quantity& quantity, const TimeSpan& span,
                                  const Values& watched) {
  ASSIGN_OR_RETURN(const Values values, Read(quantity.selector, span, quantity.of_counters));
  return MeasuredOf(quantity, values, watched);
}

Result<void> CompareRun::Add(const Subject& subject) {
  ASSIGN_OR_RETURN(const Values before, Read(subject.seconds, request_.before, true));
  ASSIGN_OR_RETURN(const Values after, Read(subject.seconds, request_.after, true));
  if (subject.service.empty()) {
    before_seconds_ = Sum(before);
    after_seconds_ = Sum(after);
  }
  for (const Quantity& quantity : subject.quantities) {
    RETURN_IF_ERROR(Add(subject.service, quantity, before, after));
  }
  return {};
}

Result<void> CompareRun::Add(const std::string& service, const Quantity& quantity,
                             const Values& before, const Values& after) {
  ASSIGN_OR_RETURN(const Measured measured_before, Read(quantity, request_.before, before));
  ASSIGN_OR_RETURN(const Measured measured_after, Read(quantity, request_.after, after));
  const Estimate a = EstimateOf(measured_before);
  const Estimate b = EstimateOf(measured_after);
  if (!service.empty() && (a || b)) service_seen_ = true;
  rows_.push_back(RowJson(service, quantity.name, quantity.unit, a, b));
  if (quantity.joules.empty()) return {};
  ASSIGN_OR_RETURN(const Values joules_before, Read(quantity.joules, request_.before, true));
  ASSIGN_OR_RETURN(const Values joules_after, Read(quantity.joules, request_.after, true));
  Json energy =
      RowJson(service, "energy", "Wh/day", Scaled(a, kHoursPerDay), Scaled(b, kHoursPerDay));
  energy["watt_hours"] = {{"before", WattHours(joules_before)}, {"after", WattHours(joules_after)}};
  rows_.push_back(std::move(energy));
  return {};
}

Result<CompareRun> RunWith(milliseconds step, const CompareRequest& request,
                           const RangeSource& range) {
  CompareRun run(request, step, range);
  RETURN_IF_ERROR(run.Add(Machine()));
  if (!request.service.empty()) RETURN_IF_ERROR(run.Add(Service(request.service)));
  return run;
}

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
  Result<TimeSpan> past = PastPart(name, span, now);
  if (past.ok()) return past;
  return Error{ErrorCode::kInvalid, name, 0, InQuotes(text) + " " + past.error().text};
}

Result<Json> CompareJson(const CompareRequest& request, const RangeSource& range) {
  const milliseconds step = StepFor(request);
  ASSIGN_OR_RETURN(const CompareRun run, RunWith(step, request, range));
  if (!run.rolled_up() || step >= hours(1)) return run.Answer();
  // Where roll-ups stand in for what was deleted, all samples are as long as those.
  ASSIGN_OR_RETURN(const CompareRun by_hour, RunWith(hours(1), request, range));
  return by_hour.Answer();
}

HttpResponse AnswerCompare(const ApiSources& sources, const HttpRequest& request) {
  const Result<CompareRequest> asked = RequestOf(request, sources.clock.Now().wall);
  if (!asked) return BadRequest(asked.error());
  const Result<Json> answer = CompareJson(*asked, sources.range);
  return answer ? JsonResponse(*answer) : Refused(answer.error());
}

}  // namespace idlewatt
