#include "collector/selector.h"

#include "tests/fuzz/fuzz_support.h"

namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

// A value of a label, a line; then a selector.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  const std::string value(input.Line());
  const Labels labels{{"domain", value}, {"source", "rapl"}};
  if (const auto selector = Selector::Parse(input.Rest())) {
    FUZZ_CHECK(!selector->metric().empty());
    FUZZ_CHECK(input.Rest().find(selector->metric()) != std::string_view::npos);
    selector->MatchesLabels(labels);
  }
  if (value.size() > 1000) return 0;
  // Any value can be asked for.
  const std::string text = "idlewatt_power_watts { domain = " + Quoted(value) + " , source!=\"\"}";
  const auto exact = Selector::Parse(text);
  FUZZ_CHECK(exact.ok() && exact->metric() == "idlewatt_power_watts");
  FUZZ_CHECK(exact->MatchesLabels(labels));
  const auto unlike = Selector::Parse("m{domain!=" + Quoted(value) + "}");
  FUZZ_CHECK(unlike.ok() && !unlike->MatchesLabels(labels));
  return 0;
}
