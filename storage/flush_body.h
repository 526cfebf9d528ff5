// One row of the table `frames` as bytes: "Body" in docs/storage-format.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/column_codec.h"
#include "storage/varint.h"

namespace idlewatt {

// Limits of one row; see docs/storage-format.md.
inline constexpr size_t kMaxRowFrames = 256;
inline constexpr size_t kMaxRowValues = 250'000;
inline constexpr int64_t kMaxRowSpanMs = 300'000;  // 5 minutes

// The values of some series over some frames.
struct FlushTable {
  std::vector<int64_t> times_ms;    // never falling; 1 to kMaxRowFrames
  std::vector<int64_t> series_ids;  // rows of the table `series`, positive, strictly ascending
  // Shape: series × frames, all frames of a series together; NaN where absent. Each series must
  // have at least one value.
  std::vector<double> values;
};

std::string EncodeFlush(const FlushTable& table);

// Reads bodies, hostile ones too. Columns are given one by one, so that those nobody asked for
// cost only a look at the directory.
// Errors:  kParse for a body that does not follow the format.
// Threads: one.
// Owns:    the content of the last body (at most 8 MiB).
class FlushDecoder {
 public:
  struct Column {
    int64_t series_id = 0;
    std::string_view bytes;  // for DecodeColumn; lives until the next Open
  };

  // Replaces what was read before. Keeps no reference to `body`.
  Result<void> Open(std::string_view body);
  const std::vector<int64_t>& times_ms() const { return times_ms_; }
  // The next column into `column`; false after the last one.
  Result<bool> Next(Column& column);

  // All of `body` at once: take(place, values) for each series whose number `find` gives a place
  // for, which is a pointer or an optional. The values are as many as times_ms(), NaN where there
  // is none. What was taken before an error is right.
  template <typename Find, typename Take>
  Result<void> Read(std::string_view body, Find find, Take take) {
    RETURN_IF_ERROR(Open(body));
    for (Column column;;) {
      ASSIGN_OR_RETURN(const bool more, Next(column));
      if (!more) return {};
      const auto place = find(column.series_id);
      if (!place) continue;
      RETURN_IF_ERROR(DecodeColumn(column.bytes, times_ms_.size(), values_));
      take(*place, values_);
    }
  }

 private:
  Result<void> TakeContent(std::string_view body);
  Result<void> Decompress(std::string_view frame);
  Result<void> TakeTimes();

  std::string content_;
  std::vector<int64_t> times_ms_;
  std::vector<double> values_;  // scratch
  ByteReader directory_{{}};
  ByteReader columns_{{}};
  int64_t series_id_ = 0;
};

}  // namespace idlewatt
