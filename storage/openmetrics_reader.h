#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/stored_series.h"

namespace idlewatt {

// Takes what an OpenMetricsReader reads.
class OpenMetricsSink {
 public:
  virtual ~OpenMetricsSink() = default;
  // Before the samples of the family, and again when the file says more of it later. A type, unit
  // or help that the file does not give is empty.
  virtual void OnFamily(const MetricFamily& family) = 0;
  // Gives the handle of the series for OnSample. Called again for one that was met before only when
  // its text differs (labels in another order).
  virtual size_t OnSeries(const SeriesName& name, MetricKind kind, const std::string& unit) = 0;
  // An error ends the reading.
  virtual Result<void> OnSample(size_t series, int64_t time_ms, double value) = 0;
};

// Reads OpenMetrics text 1.0 as a history: every sample needs its time, which is rounded to
// milliseconds; exemplars are passed over. A bad line is refused and the next one is read.
// Takes what Prometheus' own parser takes, and also blanks, empty lines and the end of a line
// where nothing can be misread by it; in a text of labels or help "\z" stands for both
// characters, as there. Refuses more than it does where a value would come out wrong: a label
// given twice, a time after the year 9999 (milliseconds in the place of seconds), a type that
// changes or comes after the samples, a last line that is cut off.
// Errors:  those of the sink alone.
// Threads: one.
// Owns:    what is told of families, up to 32 MiB of texts of series, and one line of at most 1
// MiB.
class OpenMetricsReader {
 public:
  static constexpr size_t kMostLineBytes = size_t{1} << 20;
  static constexpr size_t kMostReasons = 20;

  struct Refusal {
    uint64_t line = 0;   // from 1
    std::string reason;  // of the line: "has no timestamp, …"
  };
  struct Report {
    uint64_t lines = 0;
    uint64_t samples = 0;           // handed to the sink
    uint64_t refused = 0;           // lines
    std::vector<Refusal> refusals;  // the first kMostReasons
    bool has_end = false;           // "# EOF" was met
  };

  // `sink` must outlive this object.
  explicit OpenMetricsReader(OpenMetricsSink& sink) : sink_(sink) {}

  // The next piece of the text, cut anywhere.
  Result<void> Read(std::string_view block);
  // After the last piece.
  void Finish();
  const Report& report() const { return report_; }

 private:
  struct Family {
    MetricFamily told;
    bool has_samples = false;  // of exactly this name
    bool is_pending = false;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  template <typename T>
  using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  Result<void> TakeLine(std::string_view line);
  void KeepBeginning(std::string_view text);
  void Refuse(std::string reason);
  void TakeComment(std::string_view line);
  Result<void> TakeMetadata(std::string_view keyword, std::string_view rest);
  Result<void> TakeType(Family& family, std::string_view type);
  Result<void> TakeUnit(Family& family, std::string_view unit) const;
  Result<void> TakeHelp(Family& family, std::string_view help) const;
  bool HasSamples(const std::string& family) const;
  Result<void> TakeSample(std::string_view line);
  const size_t* FindKnown(std::string_view line, size_t& length);
  size_t AddSeries(std::string_view text, const SeriesName& name);
  const MetricFamily* FamilyOf(std::string_view sample, MetricKind& kind, bool& has_unit) const;
  void HandOverFamilies();

  OpenMetricsSink& sink_;
  Report report_;
  std::string beginning_;  // of a line that goes on in the next block
  bool is_too_long_ = false;
  ByText<Family> families_;       // by the name as it stands in the text
  std::vector<Family*> pending_;  // not handed over as they are now
  ByText<size_t> known_;          // handles by the text of a series, as it stands in a line
  const std::string* last_text_ = nullptr;  // a key of known_
  size_t last_handle_ = 0;
};

}  // namespace idlewatt
