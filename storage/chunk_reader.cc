#include "storage/chunk_reader.h"

#include <algorithm>

#include "storage/calendar.h"
#include "storage/chunk_codec.h"

namespace idlewatt {
namespace {

// The hours of a day, for a second series that shares them.
constexpr size_t kMostKnownTimes = 26;

}  // namespace

Result<ChunkReader> ChunkReader::Create(Database& db) {
  ASSIGN_OR_RETURN(Statement chunks,
                   db.Prepare("SELECT id, times_id, body FROM chunks WHERE series_id = ?1"
                              " AND start_ms BETWEEN ?2 AND ?3 AND end_ms >= ?4"
                              " ORDER BY start_ms, id"));
  ASSIGN_OR_RETURN(Statement times, db.Prepare("SELECT body FROM chunk_times WHERE id = ?1"));
  ASSIGN_OR_RETURN(Statement next_start, db.Prepare("SELECT min(start_ms) FROM chunks"
                                                    " WHERE series_id = ?1 AND start_ms >= ?2"));
  return ChunkReader(std::move(chunks), std::move(times), std::move(next_start));
}

Result<std::optional<int64_t>> ChunkReader::NextStart(int64_t series_id, int64_t from_ms) {
  next_start_.Bind(1, series_id);
  next_start_.Bind(2, from_ms);
  ASSIGN_OR_RETURN(bool row, next_start_.Step());
  std::optional<int64_t> start;
  if (row && !next_start_.IsNull(0)) start = next_start_.Int(0);
  next_start_.Reset();
  return start;
}

void ChunkReader::Start(int64_t series_id, int64_t first_ms, int64_t last_ms) {
  chunks_.Reset();
  chunks_.Bind(1, series_id);
  chunks_.Bind(2, FloorTo(first_ms, kDayMs));  // a chunk does not reach over midnight
  chunks_.Bind(3, last_ms);
  chunks_.Bind(4, first_ms);
}

Result<bool> ChunkReader::Next(Chunk& chunk) {
  for (;;) {
    ASSIGN_OR_RETURN(bool row, chunks_.Step());
    if (!row) return false;
    ASSIGN_OR_RETURN(bool sound, Decode(chunk));
    if (sound) return true;
    ++damaged_rows_;
  }
}

// False for a row that is damaged.
Result<bool> ChunkReader::Decode(Chunk& chunk) {
  chunk.id = chunks_.Int(0);
  ASSIGN_OR_RETURN(const std::vector<int64_t>* times, TimesOf(chunks_.Int(1)));
  if (times == nullptr || !DecodeChunkValues(chunks_.Bytes(2), values_).ok()) return false;
  if (times->size() != values_.size()) return false;
  chunk.points.resize(times->size());
  for (size_t i = 0; i < times->size(); ++i) chunk.points[i] = {(*times)[i], values_[i]};
  return true;
}

// Null when they are damaged or missing.
Result<const std::vector<int64_t>*> ChunkReader::TimesOf(int64_t id) {
  const auto known = std::find_if(known_times_.begin(), known_times_.end(),
                                  [id](const Times& times) { return times.id == id; });
  if (known != known_times_.end()) {
    std::rotate(known, known + 1, known_times_.end());
    return &known_times_.back().times_ms;
  }
  times_.Bind(1, id);
  ASSIGN_OR_RETURN(bool row, times_.Step());
  Times times{id, {}};
  const bool sound = row && DecodeChunkTimes(times_.Bytes(0), times.times_ms).ok();
  times_.Reset();
  if (!sound) return nullptr;
  if (known_times_.size() >= kMostKnownTimes) known_times_.erase(known_times_.begin());
  known_times_.push_back(std::move(times));
  return &known_times_.back().times_ms;
}

}  // namespace idlewatt
