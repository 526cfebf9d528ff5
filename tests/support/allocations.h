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

// Not inlined: g++ 12 takes a free() that it sees for one of what another new gave.
[[gnu::noinline]] void* operator new(size_t size) {
  ++idlewatt::allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  ++idlewatt::allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t /*size*/) noexcept {
  std::free(memory);
}
