#include "collector/sampling_loop.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/unique_fd.h"
#include "collector/metrics.h"

namespace idlewatt {
namespace {

using enum MetricKind;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr Metric kSuccess{"idlewatt_sampler_success",
                          kGauge,
                          "",
                          {{"sampler"}},
                          "1 if the last reading of a sampler succeeded"};
constexpr Metric kDuration = WithDecimals({"idlewatt_sampler_duration_seconds",
                                           kGauge,
                                           "seconds",
                                           {{"sampler"}},
                                           "How long the last reading of a sampler took"},
                                          5);
constexpr Metric kAge{"idlewatt_sampler_age_seconds",
                      kGauge,
                      "seconds",
                      {{"sampler"}},
                      "Time since the last reading of a sampler that succeeded"};
constexpr std::array<const Metric*, 4> kMetrics{&kSuccess, &kDuration, &kAge,
                                                &metrics::kSourceAvailable};

constexpr std::chrono::minutes kLongestBackOff{15};
constexpr std::chrono::minutes kParseLogInterval{1};
constexpr std::chrono::seconds kHungAfter{10};

bool BacksOff(ErrorCode code) {
  return code == ErrorCode::kNoData || code == ErrorCode::kPermission || code == ErrorCode::kGone;
}

}  // namespace

const SamplerInfo& SamplingLoop::Info() {
  static constexpr SamplerInfo kInfo{"loop", "How the samplers fare", false, kMetrics};
  return kInfo;
}

SamplingLoop::SamplingLoop(Options options, std::vector<ScheduledSampler> samplers,
                           SeriesRegistry& registry, const Clock& clock, FrameSink& sink)
    : options_(options), registry_(registry), clock_(clock), sink_(sink) {
  for (ScheduledSampler& scheduled : samplers) {
    Entry entry;
    entry.info = &scheduled.sampler->info();
    entry.period = std::max(scheduled.period, options_.interval);
    if (entry.info->can_hang) {
      entry.lane = std::make_unique<Lane>(std::move(scheduled.sampler), registry);
    } else {
      entry.sampler = std::move(scheduled.sampler);
    }
    entries_.push_back(std::move(entry));
  }
}

SamplingLoop::~SamplingLoop() { StopLanes(); }

bool SamplingLoop::StopLanes() {
  bool all_ended = true;
  for (Entry& entry : entries_) {
    if (entry.lane && !entry.lane->Stop(options_.stop_patience)) {
      spdlog::warn("sampler {} hangs in its driver and is left behind", entry.info->name);
      all_ended = false;
    }
  }
  return all_ended;
}

void SamplingLoop::Run(const std::stop_token& stop) {
  const UniqueFd timer(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
  const UniqueFd wake(::eventfd(0, EFD_CLOEXEC));
  const std::stop_callback on_stop(stop, [&wake] { ::eventfd_write(wake.get(), 1); });
  const auto to_timespec = [](nanoseconds t) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(t);
    return timespec{seconds.count(), static_cast<long>((t - seconds).count())};
  };
  itimerspec spec{to_timespec(options_.interval),
                  to_timespec(clock_.Now().boot.time_since_epoch() + options_.interval)};
  ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
  while (!stop.stop_requested()) {
    Tick();
    std::array<pollfd, 2> fds{{{timer.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
    }
    uint64_t expirations = 0;
    if ((fds[0].revents & POLLIN) != 0 &&
        ::read(timer.get(), &expirations, sizeof expirations) == sizeof expirations) {
      missed_ticks_ += expirations - 1;
    }
  }
}

void SamplingLoop::Tick() {
  Frame frame;
  frame.begin = clock_.Now();
  std::vector<Entry*> lanes;
  for (Entry& entry : entries_) {
    if (entry.lane && Begin(entry, frame.begin) != Due::kNo) lanes.push_back(&entry);
  }
  for (Entry& entry : entries_) {
    if (entry.sampler && Begin(entry, frame.begin) == Due::kYes) RunHere(entry, frame.begin, frame);
  }
  const auto patience_ends = SteadyClock::now() + options_.lane_patience;
  for (Entry* entry : lanes) {
    const nanoseconds left = patience_ends - SteadyClock::now();
    CollectLane(*entry, frame.begin, std::max(left, nanoseconds(0)), frame);
  }
  frame.end = clock_.Now().boot;
  AddOwnMetrics(frame);
  sink_.OnFrame(std::move(frame));
}

SamplingLoop::Due SamplingLoop::Begin(Entry& entry, TimePoint now) {
  if (entry.waiting) return Due::kWaiting;
  // Deadlines of samplers are multiples of ticks; a tick may be a little early.
  if (now.boot + options_.interval / 2 < entry.next_due) return Due::kNo;
  entry.next_due = now.boot + entry.period;
  if (entry.lane) {
    entry.waiting = entry.lane->Request(now);
    entry.requested = now.boot;
  }
  return Due::kYes;
}

void SamplingLoop::RunHere(Entry& entry, TimePoint now, Frame& frame) {
  Readings readings(registry_);
  const auto begin = SteadyClock::now();
  const Result<void> result = entry.sampler->Read(now, readings);
  Finish(entry, now, result, std::move(readings), SteadyClock::now() - begin, frame);
}

void SamplingLoop::CollectLane(Entry& entry, TimePoint now, nanoseconds patience, Frame& frame) {
  std::optional<Lane::Outcome> outcome = entry.lane->Take(patience);
  if (outcome) {
    entry.waiting = entry.hung = false;
    Finish(entry, now, outcome->result, std::move(outcome->readings), outcome->duration, frame);
    return;
  }
  if (now.boot - entry.requested >= kHungAfter && !entry.hung) {
    entry.hung = true;
    Error error{ErrorCode::kTransient, std::string(entry.info->name), 0,
                "has not answered for " + std::to_string(kHungAfter.count()) + " s"};
    NoteFailure(entry, now, error);
    entry.succeeded = false;
    entry.sources = {{std::string(entry.info->name), std::string(entry.info->help), error,
                      "the kernel log (dmesg) may name the driver that does not answer"}};
  }
  SamplerRun run{entry.info, SamplerRun::Outcome::kPending};
  run.period = entry.period;
  frame.runs.push_back(std::move(run));
}

void SamplingLoop::Finish(Entry& entry, TimePoint now, const Result<void>& result,
                          Readings readings, nanoseconds duration, Frame& frame) {
  SamplerRun run{entry.info, SamplerRun::Outcome::kOk, duration, entry.period,
                 frame.samples.size()};
  entry.succeeded = result.ok();
  entry.duration = duration;
  entry.sources = std::move(readings.sources);
  if (result) {
    run.count = readings.samples.size();
    frame.samples.insert(frame.samples.end(), readings.samples.begin(), readings.samples.end());
    if (readings.processes) frame.processes = std::move(readings.processes);
    entry.read = entry.lane ? entry.requested : now.boot;
    run.late = now.boot - *entry.read;
    entry.refusals = 0;
    if (entry.failing) spdlog::info("sampler {} reads again", entry.info->name);
    entry.failing.reset();
  } else {
    run.outcome = SamplerRun::Outcome::kFailed;
    run.error = result.error();
    if (entry.sources.empty()) {
      entry.sources = {{std::string(entry.info->name), std::string(entry.info->help),
                        result.error(), RemedyFor(result.error())}};
    }
    NoteFailure(entry, now, result.error());
  }
  frame.runs.push_back(std::move(run));
}

void SamplingLoop::NoteFailure(Entry& entry, TimePoint now, const Error& error) {
  if (BacksOff(error.code)) {
    nanoseconds wait = entry.period;
    for (int i = ++entry.refusals; i > 0 && wait < kLongestBackOff; --i) wait *= 2;
    entry.next_due = now.boot + std::min<nanoseconds>(wait, kLongestBackOff);
  }
  const bool is_news = !entry.failing || entry.failing->code != error.code;
  const bool is_ours = error.code == ErrorCode::kParse || error.code == ErrorCode::kInternal;
  if (error.code == ErrorCode::kNoData && is_news) {
    spdlog::info("sampler {}: {}", entry.info->name, error.ToString());
  } else if (is_news || (is_ours && now.boot - entry.last_parse_log >= kParseLogInterval)) {
    spdlog::warn("sampler {}: {}", entry.info->name, error.ToString());
    entry.last_parse_log = now.boot;
  }
  entry.failing = error;
}

void SamplingLoop::AddOwnMetrics(Frame& frame) {
  Readings readings(registry_);
  for (const Entry& entry : entries_) {
    if (entry.succeeded) {
      readings.Add(kSuccess, {entry.info->name}, *entry.succeeded ? 1 : 0);
      readings.Add(kDuration, {entry.info->name}, ToSeconds(entry.duration));
    }
    std::optional<nanoseconds> age;
    if (entry.read) {
      age = frame.begin.boot - *entry.read;
      readings.Add(kAge, {entry.info->name}, ToSeconds(*age));
    }
    for (const SourceStatus& source : entry.sources) {
      const std::string_view reason = source.error ? ErrorCodeName(source.error->code) : "";
      readings.Add(metrics::kSourceAvailable, {source.source, reason}, source.error ? 0 : 1);
      frame.sources.push_back(source);
      frame.sources.back().sampler = entry.info->name;
      frame.sources.back().cost = entry.duration;
      frame.sources.back().period = entry.period;
      frame.sources.back().age = age;
    }
  }
  SamplerRun run{&Info(),           SamplerRun::Outcome::kOk, {},
                 options_.interval, frame.samples.size(),     readings.samples.size()};
  frame.samples.insert(frame.samples.end(), readings.samples.begin(), readings.samples.end());
  frame.runs.push_back(std::move(run));
}

}  // namespace idlewatt
