// How a command ends, and what it says on stderr.
#pragma once

#include <cstdio>
#include <string>

#include "base/result.h"

namespace idlewatt {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;  // it could not be done

// Says the error in one sentence. Gives kExitFailed.
inline int Fail(const Error& error) {
  std::fprintf(stderr, "idlewatt: %s\n", error.ToString().c_str());
  return kExitFailed;
}

inline void Warn(const std::string& subject, const std::string& text) {
  std::fprintf(stderr, "idlewatt: warning: %s: %s\n", subject.c_str(), text.c_str());
}

}  // namespace idlewatt
