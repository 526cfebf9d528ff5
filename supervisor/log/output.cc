#include "supervisor/log/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace idlewatt {

Output::Output(LogFile log, std::shared_ptr<LogTail> tail)
    : log_(std::move(log)), tail_(std::move(tail)) {
  tail_->Append(log_.ReadEnd(LogTail::kDefaultCapacity));
  BeginRun();
}

Output::Drained Output::Drain(int pipe, const std::function<void(std::string_view)>& on_data) {
  std::array<char, size_t{256} << 10> buffer;
  for (size_t taken = 0; taken < kTurnBytes;) {
    const ssize_t count = ::read(pipe, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Drained::kEmpty;
    if (count <= 0) return Drained::kEnd;
    const std::string_view data(buffer.data(), static_cast<size_t>(count));
    log_.Append(data);
    tail_->Append(data);
    if (on_data) on_data(data);
    taken += data.size();
  }
  return Drained::kMore;
}

std::vector<std::string> Output::LastLines() const {
  const uint64_t end = tail_->end();
  return tail_->LastLines(kLastLines,
                          std::max(run_begin_, end - std::min<uint64_t>(end, kLastBytes)));
}

}  // namespace idlewatt
