#include "app/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "app/terminal.h"
#include "base/text.h"

namespace idlewatt {
namespace {

constexpr auto kPeriod = std::chrono::milliseconds(200);
constexpr size_t kLeastBar = 10;
constexpr size_t kWidestBar = 40;

std::string RateText(uint64_t samples, std::chrono::duration<double> elapsed) {
  const double rate = elapsed.count() > 0 ? static_cast<double>(samples) / elapsed.count() : 0;
  if (rate >= 1e6) return Format("%.1f M/s", rate / 1e6);
  return rate >= 1e3 ? Format("%.1f k/s", rate / 1e3) : Format("%.0f /s", rate);
}

}  // namespace

std::string FormatBytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return Format(size < 100 && unit > 0 ? "%.1f " : "%.0f ", size) + std::string(kUnits[unit]);
}

std::string ProgressLine(std::optional<double> part, const std::string& where, uint64_t samples,
                         std::chrono::duration<double> elapsed, size_t columns) {
  const size_t room = columns > 0 ? columns - 1 : 0;  // the last column may begin a new line
  std::string line = where + "  " + Format("%.1f M samples", static_cast<double>(samples) / 1e6) +
                     "  " + RateText(samples, elapsed);
  if (part) {
    const double known = std::clamp(*part, 0.0, 1.0);
    line = Format("%3.0f %%  ", known * 100) + line;
    if (line.size() + kLeastBar + 3 <= room) {
      const size_t width = std::min(room - line.size() - 3, kWidestBar);
      const auto full = static_cast<size_t>(known * static_cast<double>(width));
      line = "[" + std::string(full, '#') + std::string(width - full, '.') + "] " + line;
    }
  }
  line.resize(std::min(line.size(), room));
  return line;
}

Progress::Progress()
    : on_terminal_(TerminalOf(STDERR_FILENO).has_value()),
      start_(std::chrono::steady_clock::now()),
      next_(start_ + kPeriod) {}

bool Progress::IsDue() const { return on_terminal_ && std::chrono::steady_clock::now() >= next_; }

void Progress::Show(std::optional<double> part, const std::string& where, uint64_t samples) {
  if (!on_terminal_) return;
  const Time now = std::chrono::steady_clock::now();
  next_ = now + kPeriod;
  std::string line = ProgressLine(part, where, samples, now - start_,
                                  TerminalOf(STDERR_FILENO).value_or(TerminalSize()).columns);
  const size_t width = line.size();
  if (width < width_) line.append(width_ - width, ' ');
  width_ = width;
  std::fprintf(stderr, "\r%s", line.c_str());
  std::fflush(stderr);
}

void Progress::Clear() {
  if (width_ > 0) std::fprintf(stderr, "\r%s\r", std::string(width_, ' ').c_str());
  width_ = 0;
}

}  // namespace idlewatt
