// What the tests of logs share.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <zlib.h>

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "supervisor/log/log_compressor.h"
#include "supervisor/spec/service_spec.h"

namespace idlewatt {

inline ServiceSpec::Log LogLimits(int64_t max_size, int max_backups) {
  return {.max_size = max_size, .max_backups = max_backups};
}

inline std::unique_ptr<LogCompressor> MakeCompressor() {
  auto compressor = LogCompressor::Create();
  if (!compressor) ADD_FAILURE() << compressor.error().ToString();
  return std::move(*compressor);
}

// Delivers what the compressor has done until `done` is true; a failure after 30 seconds without.
inline void DeliverUntil(LogCompressor& compressor, const std::function<bool()>& done) {
  while (!done()) {
    pollfd readable{.fd = compressor.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&readable, 1, 30'000), 1) << "the compressor has nothing to deliver";
    compressor.Deliver();
  }
}

// The text in a gzip file, or in one that is not compressed; "damaged" for half a gzip file.
inline std::string ReadMaybeGzip(const std::string& path) {
  const gzFile file = ::gzopen(path.c_str(), "rb");
  if (file == nullptr) return "missing";
  std::string text;
  std::array<char, 65536> buffer{};
  int count = 0;
  while ((count = ::gzread(file, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  return ::gzclose(file) == Z_OK && count == 0 ? text : "damaged";
}

inline bool IsGzip(const std::string& path) {
  const gzFile file = ::gzopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  const bool plain = ::gzdirect(file) != 0;
  ::gzclose(file);
  return !plain;
}

inline std::set<std::string> FilesIn(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    names.insert(file.path().filename().string());
  }
  return names;
}

}  // namespace idlewatt
