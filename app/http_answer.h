#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace idlewatt {

// Takes an HTTP/1.1 answer apart while it comes: a head, and a body with a length, in chunks, or up
// to the end of the connection. Interim answers (1xx), chunk extensions and trailers are skipped.
// Errors:  kParse for what is no such answer; nothing may be taken after one.
// Threads: one.
class HttpAnswer {
 public:
  // What the connection gave next. Appends what of it is body to `body`.
  Result<void> Take(std::string_view bytes, std::string& body);

  bool has_head() const { return place_ != Place::kHead; }
  int status() const { return status_; }  // 100 to 599, once there is a head
  bool is_whole() const { return place_ == Place::kEnd; }
  // The connection ended: was that the end of the answer?
  bool may_end_here() const { return is_whole() || place_ == Place::kBodyToEnd; }

  static constexpr size_t kMostHead = size_t{64} << 10;  // bytes, of all that is no body

 private:
  enum class Place { kHead, kBody, kBodyToEnd, kChunkSize, kChunk, kChunkEnd, kTrailer, kEnd };

  Result<void> TakeHead();
  Result<void> TakeHeader(std::string_view line);
  Result<void> TakeChunkLine(std::string_view line);
  void TakeBody(std::string& body);

  Place place_ = Place::kHead;
  int status_ = 0;
  bool is_chunked_ = false;
  bool has_length_ = false;
  uint64_t left_ = 0;  // of the body or of the chunk
  std::string rest_;   // came, and is not understood yet
};

}  // namespace idlewatt
