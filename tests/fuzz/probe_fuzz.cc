#include <algorithm>

#include "supervisor/probe/probe.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

// What a server answers: more of it never changes what was known.
void CheckStatus(std::string_view text) {
  const HttpStatus whole = ParseHttpStatus(text);
  for (size_t size = 0; size <= std::min(text.size(), kHttpStatusBytes); ++size) {
    const HttpStatus part = ParseHttpStatus(text.substr(0, size));
    if (part.state == HttpStatus::State::kIncomplete) continue;
    FUZZ_CHECK(part.state == whole.state && part.code == whole.code);
  }
  if (text.size() >= kHttpStatusBytes) FUZZ_CHECK(whole.state != HttpStatus::State::kIncomplete);
  if (whole.state == HttpStatus::State::kKnown) FUZZ_CHECK(whole.code >= 0 && whole.code <= 999);
}

// What the configuration says: nothing of it ends the request line, or leaves this machine.
void CheckTarget(std::string_view http_get) {
  const auto target = HttpTarget(http_get, 8001);
  if (!target) return;
  const auto is_text = [](char c) { return c > ' ' && c < 0x7F; };
  FUZZ_CHECK(target->port != 0);
  FUZZ_CHECK(target->ipv4 || target->ipv6);
  FUZZ_CHECK(target->path.starts_with('/') && std::ranges::all_of(target->path, is_text));
  FUZZ_CHECK(target->host.starts_with("127.0.0.1") || target->host.starts_with("localhost") ||
             target->host.starts_with("[::1]"));
  FUZZ_CHECK(std::ranges::all_of(target->host, is_text));
}

}  // namespace
}  // namespace idlewatt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view text = FuzzInput(data, size).Rest();
  CheckStatus(text);
  CheckTarget(text);
  return 0;
}
