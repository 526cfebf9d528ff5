// A standard output that takes nothing, as that of `> /dev/full`.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

namespace idlewatt {

// What `command` gives, such as an exit code, while standard output is full; what it left unwritten
// is thrown away.
template <typename Command>
int WithFullOutput(Command command) {
  std::fflush(stdout);
  const int kept = ::dup(STDOUT_FILENO);
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  EXPECT_TRUE(kept >= 0 && full >= 0);
  ::dup2(full, STDOUT_FILENO);
  const int code = command();
  std::fflush(stdout);
  ::dup2(kept, STDOUT_FILENO);
  ::close(full);
  ::close(kept);
  std::clearerr(stdout);
  return code;
}

}  // namespace idlewatt
