#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

namespace idlewatt {

// Appends to `text` what printf would print, however long. Allocates only when `text` must grow.
template <typename... Args>
void Say(std::string& text, const char* format, Args... args) {
  std::array<char, 256> buffer{};
  const auto length =
      static_cast<size_t>(std::snprintf(buffer.data(), buffer.size(), format, args...));
  if (length < buffer.size()) {
    text.append(buffer.data(), length);
    return;
  }
  const size_t begin = text.size();
  text.resize(begin + length + 1);  // with the NUL that snprintf writes
  std::snprintf(text.data() + begin, length + 1, format, args...);
  text.pop_back();
}

}  // namespace idlewatt
