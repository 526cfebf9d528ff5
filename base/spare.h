#pragma once

#include <cstddef>
#include <vector>

namespace idlewatt {

// Gives back the memory of a vector that was much larger once: after a flood of processes, say.
template <typename T>
void ReleaseSpare(std::vector<T>& vector) {
  constexpr size_t kFewElements = 1024;
  if (vector.capacity() > kFewElements && vector.capacity() / 4 > vector.size()) {
    vector.shrink_to_fit();
  }
}

}  // namespace idlewatt
