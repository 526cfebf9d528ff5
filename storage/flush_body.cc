#include "storage/flush_body.h"

#include <zstd.h>

#include <cassert>
#include <span>

#include "storage/checksum.h"

namespace idlewatt {
namespace {

constexpr char kVersion = 2;
constexpr char kCompressedVersion = 1;  // no longer written
constexpr size_t kMaxContentBytes = size_t{8} << 20;
constexpr size_t kMaxDecodedFrames = 1024;

Error Damaged(std::string_view what) { return {ErrorCode::kParse, "body", 0, std::string(what)}; }

}  // namespace

std::string EncodeFlush(const FlushTable& table) {
  const size_t frames = table.times_ms.size();
  assert(frames > 0 && table.values.size() == frames * table.series_ids.size());
  std::string directory, columns;
  int64_t previous_id = 0;
  for (size_t i = 0; i < table.series_ids.size(); ++i) {
    const size_t start = columns.size();
    EncodeColumn(std::span(table.values).subspan(i * frames, frames), columns);
    PutVarint(static_cast<uint64_t>(table.series_ids[i] - previous_id), directory);
    PutVarint(columns.size() - start, directory);
    previous_id = table.series_ids[i];
  }
  std::string content;
  PutVarint(frames, content);
  PutVarint(ZigZag(table.times_ms.front()), content);
  for (size_t i = 1; i < frames; ++i) {
    PutVarint(static_cast<uint64_t>(table.times_ms[i] - table.times_ms[i - 1]), content);
  }
  PutVarint(directory.size(), content);
  content += directory;
  content += columns;
  std::string body(1, kVersion);
  PutWord(ChecksumOf(content), kChecksumBytes, body);
  return body + content;
}

Result<void> FlushDecoder::Open(std::string_view body) {
  directory_ = columns_ = ByteReader({});
  series_id_ = 0;
  RETURN_IF_ERROR(TakeContent(body));
  columns_ = ByteReader(content_);
  RETURN_IF_ERROR(TakeTimes());
  const auto length = columns_.Varint();
  const auto directory = length ? columns_.Bytes(*length) : std::nullopt;
  if (!directory) return Damaged("directory cut short");
  directory_ = ByteReader(*directory);
  return {};
}

Result<void> FlushDecoder::TakeContent(std::string_view body) {
  if (body.empty()) return Damaged("empty");
  const char version = body.front();
  body.remove_prefix(1);
  if (version == kCompressedVersion) return Decompress(body);
  if (version != kVersion) return Damaged("unknown version");
  if (body.size() < kChecksumBytes) return Damaged("cut short");
  const std::string_view content = body.substr(kChecksumBytes);
  if (content.size() > kMaxContentBytes) return Damaged("content larger than 8 MiB");
  if (WordOf(body.substr(0, kChecksumBytes)) != ChecksumOf(content)) {
    return Damaged("wrong checksum");
  }
  content_ = content;
  return {};
}

Result<void> FlushDecoder::Decompress(std::string_view frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    return Damaged("not a zstd frame with its size");
  }
  if (size > kMaxContentBytes) return Damaged("content larger than 8 MiB");
  content_.resize(size);
  const size_t got = ZSTD_decompress(content_.data(), content_.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0) return Damaged(ZSTD_getErrorName(got));
  if (got != size) return Damaged("content shorter than stated");
  return {};
}

Result<void> FlushDecoder::TakeTimes() {
  times_ms_.clear();
  const auto frames = columns_.Varint();
  if (!frames || *frames == 0 || *frames > kMaxDecodedFrames) return Damaged("number of frames");
  const auto first = columns_.Varint();
  if (!first) return Damaged("times cut short");
  times_ms_.push_back(UnZigZag(*first));
  while (times_ms_.size() < *frames) {
    const auto step = columns_.Varint();
    if (!step) return Damaged("times cut short");
    int64_t time = 0;
    if (__builtin_add_overflow(times_ms_.back(), *step, &time)) return Damaged("time too large");
    times_ms_.push_back(time);
  }
  return {};
}

Result<bool> FlushDecoder::Next(Column& column) {
  if (directory_.empty()) {
    if (!columns_.empty()) return Damaged("bytes left over");
    return false;
  }
  const auto step = directory_.Varint();
  const auto length = step ? directory_.Varint() : std::nullopt;
  if (!length) return Damaged("directory cut short");
  if (*step == 0 || __builtin_add_overflow(series_id_, *step, &series_id_)) {
    return Damaged("series ids do not ascend");
  }
  const auto bytes = columns_.Bytes(*length);
  if (!bytes) return Damaged("column cut short");
  column = {series_id_, *bytes};
  return true;
}

}  // namespace idlewatt
