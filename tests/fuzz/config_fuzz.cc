#include "app/config.h"

#include <set>

#include "supervisor/spec/service_checks.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

constexpr auto kLongest = std::chrono::hours(24 * 365 * 200);

void CheckFindings(const ParsedConfig& parsed, std::string_view text) {
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  uint32_t previous = 0;
  for (const ConfigFinding& finding : parsed.findings) {
    FUZZ_CHECK(finding.line >= previous && finding.line <= lines);
    FUZZ_CHECK(!finding.text.empty());
    previous = finding.line;
  }
}

// What the daemon starts with when there is no error.
void CheckConfig(const Config& config) {
  using std::chrono::milliseconds;
  const CollectorOptions& collector = config.collector;
  FUZZ_CHECK(collector.interval >= milliseconds(100));
  FUZZ_CHECK(collector.interval <= std::chrono::minutes(1));
  for (const milliseconds period : {collector.thermal_interval, collector.power_interval}) {
    FUZZ_CHECK(period.count() == 0 || period >= collector.interval);
    FUZZ_CHECK(period <= kLongest);
  }
  FUZZ_CHECK(config.ring >= collector.interval && config.ring <= std::chrono::hours(24));
  FUZZ_CHECK(collector.discovered_top >= 0);
  std::set<std::string> names;
  for (const ServiceSpec& service : config.services) {
    FUZZ_CHECK(Validate(service).ok());
    FUZZ_CHECK(names.insert(service.name).second);
    FUZZ_CHECK(service.stop_timeout <= kLongest);
    FUZZ_CHECK(service.backoff.initial <= service.backoff.max);
    FUZZ_CHECK(service.backoff.jitter >= 0 && service.backoff.jitter <= 1);
    FUZZ_CHECK(!service.ready || service.ready->timeout.count() > 0);
    FUZZ_CHECK(service.log.max_size > 0 && service.memory.value_or(1) > 0);
    FUZZ_CHECK(!NeedsRestart(service, service));
  }
  FUZZ_CHECK(ValidateTogether(config.services).empty());
  for (const WatchedService& watched : collector.watched) {
    FUZZ_CHECK(!watched.name.empty());
    FUZZ_CHECK(names.insert(watched.name).second);
  }
  FUZZ_CHECK(names.count("other") == 0);
}

}  // namespace
}  // namespace idlewatt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view text = FuzzInput(data, size).Rest();
  const ParsedConfig parsed = ParseConfig(text);
  CheckFindings(parsed, text);
  if (parsed.ok()) CheckConfig(parsed.config);
  return 0;
}
