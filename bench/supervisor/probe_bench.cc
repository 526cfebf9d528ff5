#include <benchmark/benchmark.h>

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "bench/supervisor/bench_server.h"
#include "supervisor/probe/log_matcher.h"
#include "supervisor/probe/probe.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {
namespace {

// What a service writes while it loads, in writes of 4 KiB; nothing of it matches.
void FeedLog(benchmark::State& state, const std::vector<std::string>& patterns) {
  constexpr std::string_view kLine =
      "llama_model_loader: - kv  12: llama.attention.head_count_kv u32 = 8, tensor "
      "blk.3.attn_q.weight [4096 x 4096] on CUDA0 ok\n";
  std::string write;
  while (write.size() < 4096) write += kLine;
  Result<LogMatcher> matcher = LogMatcher::Create(patterns);
  if (!matcher) return state.SkipWithError(matcher.error().ToString().c_str());
  for (auto _ : state) benchmark::DoNotOptimize(matcher->Feed(write));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(write.size()));
}

void BM_LogMatcher_UsualPatterns(benchmark::State& state) { FeedLog(state, UsualReadyPatterns()); }
BENCHMARK(BM_LogMatcher_UsualPatterns);

void BM_LogMatcher_Expression(benchmark::State& state) {
  FeedLog(state, {"(http|server) (listening|started) on .*:[0-9]+"});
}
BENCHMARK(BM_LogMatcher_Expression);

// The worst there is: an expression that needs the square of a line without end.
void BM_LogMatcher_HardestLine(benchmark::State& state) {
  Result<LogMatcher> matcher = LogMatcher::Create({"[0-9]+ ready"});
  const std::string write(size_t{256} << 10, '7');
  for (auto _ : state) benchmark::DoNotOptimize(matcher->Feed(write));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(write.size()));
}
BENCHMARK(BM_LogMatcher_HardestLine);

// One question from first to last, the loop's turns included.
void Ask(benchmark::State& state, const ProbeTarget& target, bool wants_good) {
  const RealClock clock;
  const std::unique_ptr<EventLoop> loop = std::move(*EventLoop::Create(clock));
  for (auto _ : state) {
    std::stop_source stop;
    const Probe probe(*loop, target, std::chrono::seconds(2), [&](const Answer& answer) {
      if (answer.good != wants_good) state.SkipWithError(answer.text.c_str());
      stop.request_stop();
    });
    loop->Run(
        stop.get_token(), [] {}, [] {});
  }
}

void BM_Probe_Http(benchmark::State& state) {
  const BenchServer server;
  Ask(state, *HttpTarget("/health", server.port()), true);
}
BENCHMARK(BM_Probe_Http);

void BM_Probe_Tcp(benchmark::State& state) {
  const BenchServer server;
  Ask(state, TcpTarget(server.port()), true);
}
BENCHMARK(BM_Probe_Tcp);

// As long as a service does not listen yet: IPv4 and IPv6 are refused.
void BM_Probe_Refused(benchmark::State& state) {
  uint16_t port = 0;
  {
    const BenchServer server;
    port = server.port();
  }
  Ask(state, TcpTarget(port), false);
}
BENCHMARK(BM_Probe_Refused);

}  // namespace
}  // namespace idlewatt
