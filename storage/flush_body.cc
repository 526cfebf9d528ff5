#include "storage/flush_body.h"

#include <zstd.h>

#include <cassert>
#include <span>

#include "storage/column_codec.h"

namespace idlewatt {
namespace {

constexpr char kVersion = 1;
constexpr size_t kMaxContentBytes = size_t{8} << 20;
constexpr size_t kMaxDecodedFrames = 1024;
constexpr int kLevel = 3;
// 128 KiB: a larger window gains nothing at the size of one flush and costs memory for good.
constexpr int kWindowLog = 17;

Error Damaged(std::string_view what) { return {ErrorCode::kParse, "body", 0, std::string(what)}; }

}  // namespace

void detail::ZstdDeleter::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }
void detail::ZstdDeleter::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

FlushEncoder::FlushEncoder() : context_(ZSTD_createCCtx()) {
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_windowLog, kWindowLog);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

Result<std::string> FlushEncoder::Encode(const FlushTable& table) {
  const size_t frames = table.times_ms.size();
  assert(frames > 0 && table.values.size() == frames * table.series_ids.size());
  directory_.clear();
  columns_.clear();
  content_.clear();
  int64_t previous_id = 0;
  for (size_t i = 0; i < table.series_ids.size(); ++i) {
    const size_t start = columns_.size();
    EncodeColumn(std::span(table.values).subspan(i * frames, frames), columns_);
    PutVarint(static_cast<uint64_t>(table.series_ids[i] - previous_id), directory_);
    PutVarint(columns_.size() - start, directory_);
    previous_id = table.series_ids[i];
  }
  PutVarint(frames, content_);
  PutVarint(ZigZag(table.times_ms.front()), content_);
  for (size_t i = 1; i < frames; ++i) {
    PutVarint(static_cast<uint64_t>(table.times_ms[i] - table.times_ms[i - 1]), content_);
  }
  PutVarint(directory_.size(), content_);
  content_ += directory_;
  content_ += columns_;

  std::string body(1 + ZSTD_compressBound(content_.size()), kVersion);
  const size_t size = ZSTD_compress2(context_.get(), body.data() + 1, body.size() - 1,
                                     content_.data(), content_.size());
  if (ZSTD_isError(size) != 0) {
    return Error{ErrorCode::kInternal, "zstd", 0, ZSTD_getErrorName(size)};
  }
  body.resize(1 + size);
  return body;
}

FlushDecoder::FlushDecoder() : context_(ZSTD_createDCtx()) {}

Result<void> FlushDecoder::Open(std::string_view body) {
  directory_ = columns_ = ByteReader({});
  series_id_ = 0;
  RETURN_IF_ERROR(Decompress(body));
  columns_ = ByteReader(content_);
  RETURN_IF_ERROR(TakeTimes());
  const auto length = columns_.Varint();
  const auto directory = length ? columns_.Bytes(*length) : std::nullopt;
  if (!directory) return Damaged("directory cut short");
  directory_ = ByteReader(*directory);
  return {};
}

Result<void> FlushDecoder::Decompress(std::string_view body) {
  if (body.empty()) return Damaged("empty");
  if (body.front() != kVersion) return Damaged("unknown version");
  body.remove_prefix(1);
  const unsigned long long size = ZSTD_getFrameContentSize(body.data(), body.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN) {
    return Damaged("not a zstd frame with its size");
  }
  if (size > kMaxContentBytes) return Damaged("content larger than 8 MiB");
  content_.resize(size);
  const size_t got = ZSTD_decompressDCtx(context_.get(), content_.data(), content_.size(),
                                         body.data(), body.size());
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
