#include <algorithm>
#include <bit>
#include <map>
#include <tuple>
#include <vector>

#include "storage/openmetrics_reader.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

using namespace idlewatt;

class Kept final : public OpenMetricsSink {
 public:
  using Sample = std::tuple<size_t, int64_t, uint64_t>;

  void OnFamily(const MetricFamily& family) override { FUZZ_CHECK(!family.name.empty()); }
  size_t OnSeries(const SeriesName& name, MetricKind, const std::string& unit) override {
    FUZZ_CHECK(!name.metric.empty());
    FUZZ_CHECK(unit.empty() || name.metric.find(unit) != std::string::npos);
    for (size_t i = 1; i < name.labels.size(); ++i) {
      FUZZ_CHECK(name.labels[i - 1].first < name.labels[i].first);
    }
    const auto [entry, added] = handles.try_emplace(name, names.size());
    if (added) names.push_back(name);
    return entry->second;
  }
  Result<void> OnSample(size_t series, int64_t time_ms, double value) override {
    FUZZ_CHECK(series < names.size());
    samples.emplace_back(series, time_ms, std::bit_cast<uint64_t>(value));
    return {};
  }

  std::map<SeriesName, size_t> handles;
  std::vector<SeriesName> names;
  std::vector<Sample> samples;
};

OpenMetricsReader::Report ReadInBlocks(std::string_view text, size_t size, Kept& kept) {
  OpenMetricsReader reader(kept);
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) {
    FUZZ_CHECK(reader.Read(text.substr(0, size)).ok());
  }
  reader.Finish();
  return reader.report();
}

}  // namespace

// How the text is cut, a byte; then the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzInput input(data, size);
  const size_t block = size_t{input.Byte()} + 1;
  const std::string_view text = input.Rest();
  Kept whole, pieces;
  const OpenMetricsReader::Report report = ReadInBlocks(text, text.size() + 1, whole);
  FUZZ_CHECK(report.samples == whole.samples.size());
  FUZZ_CHECK(report.samples + report.refused <= report.lines);
  FUZZ_CHECK(report.refusals.size() ==
             std::min<uint64_t>(report.refused, OpenMetricsReader::kMostReasons));
  for (const auto& refusal : report.refusals) {
    FUZZ_CHECK(refusal.line > 0 && refusal.line <= report.lines && !refusal.reason.empty());
  }
  const OpenMetricsReader::Report again = ReadInBlocks(text, block, pieces);
  FUZZ_CHECK(again.lines == report.lines && again.refused == report.refused);
  FUZZ_CHECK(again.has_end == report.has_end);
  FUZZ_CHECK(pieces.names == whole.names && pieces.samples == whole.samples);
  return 0;
}
