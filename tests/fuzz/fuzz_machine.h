// A /sys or /proc that the input of a fuzz target writes, and what must hold for every reading of
// it.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/text.h"
#include "collector/sampler.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {

// Writes a tree line by line, and stops where a reading is asked for:
//   class/thermal/thermal_zone0/temp: 27800     a file and its text ("\n" is a newline)
//   class/hwmon/hwmon0/device -> ../../pci0     a link
//   rm class/thermal/thermal_zone0              gone
//   --                                          read now
class FuzzMachine {
 public:
  explicit FuzzMachine(FuzzInput input) : input_(input) {}

  // Writes up to the next reading; false when the input is at its end.
  bool Next() {
    if (input_.empty()) return false;
    for (int lines = 0; lines < kMaxLines && !input_.empty(); ++lines) {
      const std::string_view line = input_.Line();
      if (line == "--") break;
      Obey(line);
    }
    return true;
  }
  FileRoot Root() const { return tree_.Root(); }

 private:
  static constexpr int kMaxLines = 200;
  static constexpr size_t kMaxDepth = 8;

  void Obey(std::string_view line) {
    if (line.starts_with("rm ")) {
      const auto path = SafePath(line.substr(3));
      std::error_code ignored;
      if (path) std::filesystem::remove_all(tree_.PathOf(*path), ignored);
    } else if (const size_t arrow = line.find(" -> "); arrow != std::string_view::npos) {
      const auto path = SafePath(line.substr(0, arrow));
      const auto target = SafePath(line.substr(arrow + 4));
      if (path && target && MakeFolderOf(*path)) {
        std::error_code ignored;
        std::filesystem::create_symlink(*target, tree_.PathOf(*path), ignored);
      }
    } else if (const size_t colon = line.find(": "); colon != std::string_view::npos) {
      const auto path = SafePath(line.substr(0, colon));
      if (path && MakeFolderOf(*path)) WriteFile(*path, line.substr(colon + 2));
    }
  }
  // A path that stays inside the tree.
  static std::optional<std::string> SafePath(std::string_view path) {
    std::string safe;
    size_t depth = 0;
    for (const std::string_view part : Split(path, '/')) {
      if (part.empty() || part == "." || part == "..") continue;
      if (part.size() > 100 || part.find('\0') != std::string_view::npos) return std::nullopt;
      if (++depth > kMaxDepth) return std::nullopt;
      safe += (safe.empty() ? "" : "/") + std::string(part);
    }
    return safe.empty() ? std::nullopt : std::optional(safe);
  }
  bool MakeFolderOf(const std::string& path) {
    std::error_code failed;
    std::filesystem::create_directories(std::filesystem::path(tree_.PathOf(path)).parent_path(),
                                        failed);
    return !failed;
  }
  void WriteFile(const std::string& path, std::string_view content) {
    std::string text;
    for (size_t i = 0; i < content.size(); ++i) {
      const bool newline = content.substr(i, 2) == "\\n";
      text += newline ? '\n' : content[i];
      if (newline) ++i;
    }
    std::ofstream(tree_.PathOf(path), std::ios::binary) << text;
  }

  FakeTree tree_;
  FuzzInput input_;
};

// Reads a sampler every five seconds and looks at what it gives.
class FuzzReader {
 public:
  explicit FuzzReader(Sampler& sampler) : sampler_(sampler) {}

  void Read() {
    clock_.Advance(std::chrono::seconds(5));
    Readings readings(registry_);
    const Result<void> result = sampler_.Read(clock_.Now(), readings);
    CheckSources(readings);
    // Silence is never an answer: what a sampler reads or cannot read has a row or is an error.
    FUZZ_CHECK(!result.ok() || !readings.sources.empty() || may_be_silent);
    // The loop throws away what was appended before an error.
    if (!result.ok()) return;
    std::set<SeriesId> seen;
    for (const Sample& sample : readings.samples) {
      FUZZ_CHECK(seen.insert(sample.series).second);
      CheckSample(*registry_.Find(sample.series), sample);
    }
  }
  // Values of the last reading are no larger than this.
  double largest = 1e19;
  // A machine whose only chip sleeps, or has no channel, gives nothing to tell of.
  bool may_be_silent = false;

 private:
  static bool IsText(std::string_view text) { return ToValidUtf8(text) == text; }

  static void CheckSources(const Readings& readings) {
    for (const SourceStatus& row : readings.sources) {
      FUZZ_CHECK(!row.source.empty());
      FUZZ_CHECK(IsText(row.source) && IsText(row.gives));
    }
  }
  void CheckSample(const Series& series, const Sample& sample) {
    FUZZ_CHECK(std::isfinite(sample.value));
    FUZZ_CHECK(std::fabs(sample.value) <= largest);
    for (const std::string& label : series.labels) FUZZ_CHECK(IsText(label));
    if (series.metric->kind != MetricKind::kCounter) return;
    FUZZ_CHECK(sample.value >= 0);
  }

  Sampler& sampler_;
  ManualClock clock_;
  SeriesRegistry registry_;
};

}  // namespace idlewatt
