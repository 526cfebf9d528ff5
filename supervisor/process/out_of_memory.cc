#include "supervisor/process/out_of_memory.h"

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr std::string_view kKey = "oom_kill";

}  // namespace

OutOfMemoryWatch::OutOfMemoryWatch(const FileRoot& proc, const FileRoot& sys)
    : proc_(proc), sys_(sys) {
  Look();
}

void OutOfMemoryWatch::Look() { explained_ = Count(); }

bool OutOfMemoryWatch::StruckSinceLastLook(const ServiceCgroup* run) {
  if (run != nullptr) {
    if (const auto kills = run->OutOfMemoryKills()) return *kills > 0;
  }
  const std::optional<int64_t> count = Count();
  if (!count || !explained_ || *count <= *explained_) return false;
  // The kernel counts before it kills. Two runs may have been killed before we see the first end.
  ++*explained_;
  return true;
}

std::optional<int64_t> OutOfMemoryWatch::Count() const {
  if (const auto own = ServiceCgroup::FindOwn(proc_, sys_)) {
    if (const auto text = sys_.Read(*own + "/memory.events")) return NumberOfKey(*text, kKey);
  }
  const Result<std::string> text = proc_.Read("vmstat");
  return text ? NumberOfKey(*text, kKey) : std::nullopt;
}

}  // namespace idlewatt
