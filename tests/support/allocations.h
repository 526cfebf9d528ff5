// Counts the allocations of a program. For one source file of a program: it replaces operator new.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace idlewatt {

// Of this process so far, in all threads.
inline std::atomic<int64_t> allocations = 0;

}  // namespace idlewatt

void* operator new(size_t size) {
  ++idlewatt::allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  ++idlewatt::allocations;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }
