#pragma once

#include <zlib.h>

#include <cstdint>
#include <string_view>

namespace idlewatt {

inline constexpr size_t kChecksumBytes = 4;

// CRC-32 as in zlib and gzip.
inline uint32_t ChecksumOf(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace idlewatt
