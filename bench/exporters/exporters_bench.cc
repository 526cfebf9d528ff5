// What a scrape and the answer most asked for cost, from a snapshot of N series.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/slot.h"
#include "base/text.h"
#include "collector/metrics.h"
#include "exporters/http_server.h"
#include "exporters/json_views.h"
#include "exporters/prometheus_exporter.h"
#include "tests/support/http_client.h"
#include "tests/support/snapshot_maker.h"

namespace idlewatt {
namespace {

// Two ticks of N/5 services with five series each.
std::shared_ptr<const Snapshot> MakeSnapshot(int64_t series) {
  SnapshotMaker maker;
  std::shared_ptr<const Snapshot> snapshot;
  for (int tick = 0; tick < 2; ++tick) {
    for (int64_t i = 0; i < series / 5; ++i) {
      const std::string name = "service-" + std::to_string(i);
      const double value = static_cast<double>(i * 100 + tick) * 1.001;
      maker.Add(metrics::kServiceCpuSeconds, {name, "discovered", "user"}, value)
          .Add(metrics::kServiceCpuSeconds, {name, "discovered", "system"}, value / 3)
          .Add(metrics::kServiceMemoryBytes, {name, "discovered"}, value * 4096)
          .Add(metrics::kServiceProcesses, {name, "discovered"}, 3)
          .Add(metrics::kServiceThreads, {name, "discovered"}, 12);
    }
    snapshot = std::make_shared<const Snapshot>(maker.Tick());
  }
  return snapshot;
}

void BM_RenderMetrics(benchmark::State& state) {
  Slot<Snapshot> slot;
  slot.Publish(MakeSnapshot(state.range(0)));
  const SnapshotCollectable collectable(slot);
  int64_t bytes = 0;
  for (auto _ : state) bytes += static_cast<int64_t>(RenderMetrics(collectable).size());
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(bytes);
}
BENCHMARK(BM_RenderMetrics)->ArgName("series")->Arg(300)->Arg(2000)->Unit(benchmark::kMicrosecond);

// A scrape over loopback, connection included; its percentiles are the counters.
void BM_ScrapeOverHttp(benchmark::State& state) {
  Slot<Snapshot> slot;
  slot.Publish(MakeSnapshot(state.range(0)));
  HttpServer::Endpoints endpoints;
  endpoints["/metrics"].get = [&slot](const HttpRequest&) {
    return HttpResponse{200, "text/plain", RenderMetrics(SnapshotCollectable(slot))};
  };
  HttpServer::Options options;
  options.listen = "127.0.0.1:0";
  const auto server = HttpServer::Start(options, std::move(endpoints));
  const std::string address = server ? (*server)->address() : "";
  const auto port = ParseNumber<uint16_t>(address.substr(address.rfind(':') + 1)).value_or(0);
  std::vector<double> milliseconds;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    const auto response = client::HttpGet(port, "/metrics");
    if (!response || response->status != 200) state.SkipWithError("the scrape failed");
    milliseconds.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto at = [&](double share) {
    return milliseconds[static_cast<size_t>(share * static_cast<double>(milliseconds.size() - 1))];
  };
  state.counters["p50_ms"] = at(0.5);
  state.counters["p99_ms"] = at(0.99);
}
BENCHMARK(BM_ScrapeOverHttp)->ArgName("series")->Arg(2000)->Unit(benchmark::kMicrosecond);

void BM_ServicesJson(benchmark::State& state) {
  const auto snapshot = MakeSnapshot(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(ServicesJson(*snapshot, {}).dump());
}
BENCHMARK(BM_ServicesJson)->ArgName("series")->Arg(300)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace idlewatt
