#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

// The line again, with 0 in the fields that nobody reads.
std::string Print(const PidStat& s) {
  const auto text = [](auto number) { return std::to_string(number) + " "; };
  return text(s.pid) + "(" + s.comm + ") " + s.state + " " + text(s.parent) + "0 " +
         text(s.session) + "0 0 " + text(s.flags) + "0 0 0 0 " + text(s.user) + text(s.system) +
         text(s.children_user) + text(s.children_system) + "0 0 " + text(s.threads) + "0 " +
         text(s.start) + "0 " + text(s.rss_pages) + "0\n";
}

bool IsSame(const PidStat& a, const PidStat& b) {
  return a.pid == b.pid && a.comm == b.comm && a.state == b.state && a.parent == b.parent &&
         a.session == b.session && a.flags == b.flags && a.user == b.user && a.system == b.system &&
         a.children_user == b.children_user && a.children_system == b.children_system &&
         a.threads == b.threads && a.start == b.start && a.rss_pages == b.rss_pages;
}

}  // namespace
}  // namespace idlewatt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  PidStat stat;
  if (!ParsePidStat(input.Rest(), stat)) return 0;
  FUZZ_CHECK(stat.pid > 0 && stat.parent >= 0 && stat.threads >= 0);
  FUZZ_CHECK(stat.comm.size() <= size);
  FUZZ_CHECK(stat.children_user <= INT64_MAX && stat.children_system <= INT64_MAX);
  // As bytes it must still be a number.
  FUZZ_CHECK(stat.rss_pages >= -(INT64_MAX / 65536) && stat.rss_pages <= INT64_MAX / 65536);
  PidStat again;
  FUZZ_CHECK(ParsePidStat(Print(stat), again).ok());
  FUZZ_CHECK(IsSame(stat, again));
  return 0;
}
