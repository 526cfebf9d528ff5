#include "collector/gpu/drm_fdinfo.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr double kMostBytes = 1125899906842624;  // 1 PiB: no GPU has more
constexpr uint32_t kMostEngines = 1024;          // in one class
constexpr size_t kMostNames = 64;                // engine classes or regions of one client

// The drivers say the same in three words, the first of which there is counts.
constexpr std::array<std::string_view, 3> kMemoryKeys{"resident-", "memory-", "total-"};

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A number and the word behind it.
struct Quantity {
  std::optional<uint64_t> number;
  std::string_view unit;
};
Quantity ParseQuantity(std::string_view value) {
  const size_t end = std::min(value.find_first_of(" \t"), value.size());
  return {ParseNumber<uint64_t>(value.substr(0, end)), Trim(value.substr(end))};
}

std::optional<uint64_t> ParseCount(std::string_view value, std::string_view unit) {
  const Quantity quantity = ParseQuantity(value);
  return quantity.unit == unit ? quantity.number : std::nullopt;
}

std::optional<double> ParseBytes(std::string_view value) {
  const Quantity quantity = ParseQuantity(value);
  double scale = 1;
  if (quantity.unit == "KiB") {
    scale = 1024;
  } else if (quantity.unit == "MiB") {
    scale = 1024 * 1024;
  } else if (!quantity.unit.empty()) {
    return std::nullopt;
  }
  if (!quantity.number) return std::nullopt;
  const double bytes = static_cast<double>(*quantity.number) * scale;
  return bytes <= kMostBytes ? std::optional(bytes) : std::nullopt;
}

class Parser {
 public:
  void Line(std::string_view line) {
    if (!TakePrefix(line, "drm-")) return;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view key = line.substr(0, colon);
    const std::string_view value = Trim(line.substr(colon + 1));
    if (key == "driver") {
      info_.driver = value;
    } else if (key == "pdev") {
      info_.pdev = value;
    } else if (key == "client-id") {
      client_id_ = ParseNumber<uint64_t>(value);
    } else if (!EngineKey(key, value)) {
      MemoryKey(key, value);
    }
  }

  std::optional<DrmFdinfo> Take() {
    if (info_.driver.empty() || !client_id_) return std::nullopt;
    info_.client_id = *client_id_;
    for (const auto& regions : memory_) {
      // What a better word has told of a region stays.
      info_.memory_bytes.insert(regions.begin(), regions.end());
    }
    return std::move(info_);
  }

 private:
  bool EngineKey(std::string_view key, std::string_view value) {
    // The longer prefixes first: they begin as the shorter ones do.
    if (TakePrefix(key, "engine-capacity-")) {
      const auto count = ParseCount(value, "");
      DrmEngine* engine = Engine(key);
      if (engine != nullptr && count && *count > 0 && *count <= kMostEngines) {
        engine->capacity = static_cast<uint32_t>(*count);
      }
      return true;
    }
    if (TakePrefix(key, "engine-")) return Set(key, &DrmEngine::busy_ns, ParseCount(value, "ns"));
    if (TakePrefix(key, "total-cycles-")) {
      return Set(key, &DrmEngine::total_cycles, ParseCount(value, ""));
    }
    if (TakePrefix(key, "cycles-")) return Set(key, &DrmEngine::cycles, ParseCount(value, ""));
    return false;
  }

  bool Set(std::string_view name, std::optional<uint64_t> DrmEngine::*field,
           std::optional<uint64_t> count) {
    DrmEngine* engine = count ? Engine(name) : nullptr;
    if (engine != nullptr) engine->*field = count;
    return true;
  }

  DrmEngine* Engine(std::string_view name) {
    const auto known = info_.engines.find(name);
    if (known != info_.engines.end()) return &known->second;
    if (name.empty() || info_.engines.size() >= kMostNames) return nullptr;
    return &info_.engines[std::string(name)];
  }

  void MemoryKey(std::string_view key, std::string_view value) {
    for (size_t i = 0; i < kMemoryKeys.size(); ++i) {
      std::string_view region = key;
      if (!TakePrefix(region, kMemoryKeys[i]) || region.empty()) continue;
      const std::optional<double> bytes = ParseBytes(value);
      if (bytes && memory_[i].size() < kMostNames) {
        memory_[i].insert_or_assign(std::string(region), *bytes);
      }
      return;
    }
  }

  DrmFdinfo info_;
  std::optional<uint64_t> client_id_;
  std::array<std::map<std::string, double, std::less<>>, kMemoryKeys.size()> memory_;
};

// amdgpu and xe: vram, vram0; i915: local0, stolen-local0. The others (gtt, cpu, system, stolen)
// are the machine's own memory.
bool IsOwnRegion(std::string_view region) {
  return region.starts_with("vram") || region.starts_with("local") ||
         region.starts_with("stolen-local");
}

}  // namespace

double DrmFdinfo::OwnMemoryBytes() const {
  double sum = 0;
  for (const auto& [region, bytes] : memory_bytes) {
    if (IsOwnRegion(region)) sum += bytes;
  }
  return sum;
}

std::optional<DrmFdinfo> ParseDrmFdinfo(std::string_view text) {
  Parser parser;
  for (const std::string_view line : Split(text, '\n')) parser.Line(line);
  return parser.Take();
}

}  // namespace idlewatt
