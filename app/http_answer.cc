#include "app/http_answer.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/text.h"

namespace idlewatt {
namespace {

Error NoAnswer(const std::string& what) {
  return Error{ErrorCode::kParse, "", 0, "what answers there is no idlewatt (" + what + ")"};
}

bool IsSame(std::string_view text, std::string_view lower_case) {
  return std::equal(
      text.begin(), text.end(), lower_case.begin(), lower_case.end(),
      [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

}  // namespace

Result<void> HttpAnswer::Take(std::string_view bytes, std::string& body) {
  rest_ += bytes;
  if (place_ == Place::kHead) {
    RETURN_IF_ERROR(TakeHead());
  }
  for (;;) {
    if (place_ == Place::kBody || place_ == Place::kBodyToEnd || place_ == Place::kChunk) {
      TakeBody(body);
    }
    const bool is_line =
        place_ == Place::kChunkSize || place_ == Place::kChunkEnd || place_ == Place::kTrailer;
    const size_t end = is_line ? rest_.find("\r\n") : std::string::npos;
    if (end == std::string::npos) {
      if (is_line && rest_.size() > kMostHead) return NoAnswer("a line without an end");
      return {};
    }
    const std::string line = rest_.substr(0, end);
    rest_.erase(0, end + 2);
    RETURN_IF_ERROR(TakeChunkLine(line));
  }
}

Result<void> HttpAnswer::TakeHead() {
  while (place_ == Place::kHead) {
    const size_t end = rest_.find("\r\n\r\n");
    if (std::min(end, rest_.size()) > kMostHead) return NoAnswer("a head without an end");
    if (end == std::string::npos) return {};
    std::string_view head = std::string_view(rest_).substr(0, end);
    const std::string_view first = head.substr(0, std::min(head.find('\r'), head.size()));
    // "HTTP/1.1 200 OK"
    const bool is_http = first.starts_with("HTTP/1.") && first.size() >= 12;
    const auto status = is_http ? ParseNumber<int>(first.substr(9, 3)) : std::nullopt;
    if (!status || *status < 100 || *status > 599) return NoAnswer("no HTTP");
    status_ = *status;
    is_chunked_ = has_length_ = false;
    for (const std::string_view line : Split(head.substr(first.size()), '\n')) {
      RETURN_IF_ERROR(TakeHeader(Trim(line)));
    }
    rest_.erase(0, end + 4);
    if (status_ < 200) continue;
    place_ = is_chunked_ ? Place::kChunkSize : has_length_ ? Place::kBody : Place::kBodyToEnd;
  }
  return {};
}

Result<void> HttpAnswer::TakeHeader(std::string_view line) {
  const size_t colon = std::min(line.find(':'), line.size());
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = Trim(line.substr(std::min(colon + 1, line.size())));
  if (IsSame(name, "transfer-encoding")) {
    if (!IsSame(value, "chunked")) return NoAnswer("an encoding that nobody asked for");
    is_chunked_ = true;
  } else if (IsSame(name, "content-length")) {
    const auto length = ParseNumber<uint64_t>(value);
    if (!length) return NoAnswer("no length");
    left_ = *length;
    has_length_ = true;
  }
  return {};
}

Result<void> HttpAnswer::TakeChunkLine(std::string_view line) {
  if (place_ == Place::kTrailer) {
    if (line.empty()) place_ = Place::kEnd;
    return {};
  }
  if (place_ == Place::kChunkEnd) {
    if (!line.empty()) return NoAnswer("a chunk of another size");
    place_ = Place::kChunkSize;
    return {};
  }
  const std::string_view size = Trim(line.substr(0, std::min(line.find(';'), line.size())));
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), left_, 16);
  if (error != std::errc() || end != size.data() + size.size()) {
    return NoAnswer("a chunk without a size");
  }
  place_ = left_ == 0 ? Place::kTrailer : Place::kChunk;
  return {};
}

void HttpAnswer::TakeBody(std::string& body) {
  const size_t size = place_ == Place::kBodyToEnd
                          ? rest_.size()
                          : static_cast<size_t>(std::min<uint64_t>(left_, rest_.size()));
  body.append(rest_, 0, size);
  rest_.erase(0, size);
  if (place_ == Place::kBodyToEnd) return;
  left_ -= size;
  if (left_ == 0) place_ = place_ == Place::kBody ? Place::kEnd : Place::kChunkEnd;
}

}  // namespace idlewatt
