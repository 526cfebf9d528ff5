#include "app/live_lines.h"

#include <utility>

#include "app/tables.h"

namespace idlewatt {

LiveLines::LiveLines(std::vector<std::string> lines, size_t columns)
    : lines_(std::move(lines)), columns_(columns) {}

std::string LiveLines::Begin() const {
  std::string out;
  for (const std::string& line : lines_) out += Fitting(line) + "\n";
  return out;
}

std::string LiveLines::Set(size_t index, std::string text) {
  if (text == lines_[index]) return "";
  lines_[index] = std::move(text);
  const std::string up = std::to_string(lines_.size() - index);
  // Up, clear the line, write it, and back down to where the cursor was.
  return "\x1b[" + up + "A\r\x1b[2K" + Fitting(lines_[index]) + "\x1b[" + up + "B\r";
}

// The last column stays free: a letter there may begin a new line.
std::string LiveLines::Fitting(const std::string& text) const {
  return Shortened(text, columns_ - 1);
}

}  // namespace idlewatt
