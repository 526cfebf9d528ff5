#include "supervisor/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/text.h"

namespace idlewatt {

void Output::Open(UniqueFd pipe) {
  pipe_ = std::move(pipe);
  tail_.clear();
}

void Output::Drain() {
  std::array<char, size_t{64} << 10> buffer;  // as large as a pipe: one read empties it
  for (size_t taken = 0; pipe_ && taken < kTurnBytes;) {
    const ssize_t count = ::read(pipe_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      pipe_.reset();
      return;
    }
    Take({buffer.data(), static_cast<size_t>(count)});
    taken += static_cast<size_t>(count);
  }
}

void Output::Close() {
  Drain();
  pipe_.reset();
  log_.Close();
}

void Output::Take(std::string_view data) {
  log_.Append(data);
  tail_ += data.substr(data.size() - std::min(data.size(), kTailBytes));
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::vector<std::string> Output::LastLines() const {
  std::vector<std::string_view> lines = Split(tail_, '\n');
  if (lines.size() > kTailLines) lines.erase(lines.begin(), lines.end() - kTailLines);
  std::vector<std::string> out;
  for (const std::string_view line : lines) out.push_back(ToValidUtf8(line));
  return out;
}

}  // namespace idlewatt
