#pragma once

#include <dirent.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>

#include "base/text.h"
#include "supervisor/event_loop.h"

namespace idlewatt {

using namespace std::chrono_literals;

// A real event loop in the thread of the test. Nothing sleeps: the loop runs until what is waited
// for is there, with a deadline. No test may leave a descriptor behind.
class LoopFixture : public ::testing::Test {
 protected:
  static constexpr auto kLong = 20s;  // "at once", on a slow machine under a sanitizer

  LoopFixture() : loop_(std::move(*EventLoop::Create(clock))), descriptors(Descriptors()) {}
  // A fixture's members end after this, so a test's objects are to be local to it.
  void TearDown() override { EXPECT_EQ(Descriptors(), descriptors); }

  // Turns the loop until `done`, which is asked after each turn.
  [[nodiscard]] bool RunUntil(const std::function<bool()>& done,
                              std::chrono::nanoseconds timeout = kLong) {
    std::stop_source stop;
    bool is_done = done();
    if (is_done) return true;
    EventLoop::Timer deadline(loop());
    deadline.SetAfter(timeout, [&] { stop.request_stop(); });
    loop().Run(
        stop.get_token(), [] {},
        [&] {
          is_done = done();
          if (is_done) stop.request_stop();
        });
    return is_done;
  }
  // For what must not happen: turns the loop for so long.
  void RunFor(std::chrono::nanoseconds time) {
    EXPECT_FALSE(RunUntil([] { return false; }, time));
  }

  EventLoop& loop() { return *loop_; }

  static std::set<int> Descriptors() {
    std::set<int> numbers;
    DIR* const folder = ::opendir("/proc/self/fd");
    while (const dirent* entry = ::readdir(folder)) {
      const auto number = ParseNumber<int>(entry->d_name);
      if (number && *number != ::dirfd(folder)) numbers.insert(*number);
    }
    ::closedir(folder);
    return numbers;
  }

  const RealClock clock;

 private:
  const std::unique_ptr<EventLoop> loop_;

 protected:
  std::set<int> descriptors;  // that are open when the test begins
};

}  // namespace idlewatt
