#include "supervisor/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/supervisor/loop_fixture.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;

class EventLoopTest : public LoopFixture {
 protected:
  // A descriptor that can be read.
  static UniqueFd Readable() { return UniqueFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

  EventLoop::Watch OnReadable(const UniqueFd& fd, std::function<void()> callback) {
    auto watch =
        loop().WatchFd(fd.get(), EPOLLIN, [call = std::move(callback)](uint32_t) { call(); });
    EXPECT_TRUE(watch);
    return std::move(*watch);
  }
};

TEST_F(EventLoopTest, WatchCallsAsLongAsItIsThere) {
  const UniqueFd fd = Readable();
  int calls = 0;
  EventLoop::Watch watch = OnReadable(fd, [&] { ++calls; });
  ASSERT_TRUE(RunUntil([&] { return calls == 3; }));
  EXPECT_TRUE(watch);
  watch.Reset();
  EXPECT_FALSE(watch);
  RunFor(5ms);
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, WatchTellsWhatCame) {
  const UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::optional<uint32_t> came;
  auto watch =
      loop().WatchFd(fd.get(), EPOLLIN | EPOLLOUT, [&](uint32_t events) { came = events; });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(RunUntil([&] { return came.has_value(); }));
  EXPECT_EQ(*came, static_cast<uint32_t>(EPOLLOUT));
}

TEST_F(EventLoopTest, EventOfAWatchThatEndedInTheSameTurnIsDropped) {
  const UniqueFd first = Readable();
  const UniqueFd second = Readable();
  int calls = 0;
  EventLoop::Watch a;
  EventLoop::Watch b;
  a = OnReadable(first, [&] {
    ++calls;
    b.Reset();
  });
  b = OnReadable(second, [&] {
    ++calls;
    a.Reset();
  });
  ASSERT_TRUE(RunUntil([&] { return calls > 0; }));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, EventOfAClosedDescriptorIsNotThatOfTheNextWithItsNumber) {
  UniqueFd first = Readable();
  UniqueFd second = Readable();
  EventLoop::Watch a;
  EventLoop::Watch b;
  EventLoop::Watch fresh;
  int stale = 0;
  UniqueFd reused;
  // Whichever comes first closes the other, and watches a new one that has its number.
  const auto replace = [&](UniqueFd& fd, EventLoop::Watch& watch) {
    const int number = fd.get();
    watch.Reset();
    fd.reset();
    reused.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    EXPECT_EQ(reused.get(), number);
    fresh = OnReadable(reused, [&] { ++stale; });
  };
  int turns = 0;
  a = OnReadable(first, [&] {
    a.Reset();
    replace(second, b);
  });
  b = OnReadable(second, [&] {
    b.Reset();
    replace(first, a);
  });
  ASSERT_TRUE(RunUntil([&] { return ++turns > 1; }));
  EXPECT_TRUE(fresh);
  EXPECT_EQ(stale, 0);
}

TEST_F(EventLoopTest, WatchMayEndInItsOwnCallback) {
  const UniqueFd fd = Readable();
  auto watch = std::make_unique<EventLoop::Watch>();
  std::string text = "kept by the callback until it returns";
  std::string seen;
  *watch = OnReadable(fd, [&watch, &seen, text] {
    watch.reset();
    seen = text;
  });
  ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
  EXPECT_EQ(seen, text);
}

TEST_F(EventLoopTest, WatchIsMovedAndReplaced) {
  const UniqueFd first = Readable();
  const UniqueFd second = Readable();
  std::vector<int> calls;
  EventLoop::Watch watch = OnReadable(first, [&] { calls.push_back(1); });
  EventLoop::Watch moved = std::move(watch);
  EXPECT_FALSE(watch);
  moved = OnReadable(second, [&] { calls.push_back(2); });
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 2; }));
  EXPECT_THAT(calls, ElementsAre(2, 2));
}

TEST_F(EventLoopTest, WhatIsNoDescriptorIsAnError) {
  EXPECT_FALSE(loop().WatchFd(-1, EPOLLIN, [](uint32_t) {}));
}

TEST_F(EventLoopTest, TimersCallInTheOrderOfTheirTimes) {
  std::vector<int> calls;
  EventLoop::Timer a(loop());
  EventLoop::Timer b(loop());
  EventLoop::Timer c(loop());
  const BootTime now = loop().Now();
  a.Set(now + 3ms, [&] { calls.push_back(3); });
  b.Set(now + 1ms, [&] { calls.push_back(1); });
  c.Set(now + 2ms, [&] { calls.push_back(2); });
  EXPECT_EQ(a.when(), now + 3ms);
  ASSERT_TRUE(RunUntil([&] { return calls.size() == 3; }));
  EXPECT_THAT(calls, ElementsAre(1, 2, 3));
  EXPECT_GE(loop().Now(), now + 3ms);
  EXPECT_EQ(a.when(), std::nullopt);
}

TEST_F(EventLoopTest, TimeInThePastIsDueAtOnce) {
  int calls = 0;
  EventLoop::Timer a(loop());
  EventLoop::Timer b(loop());
  a.Set(BootTime(), [&] { ++calls; });
  b.Set(loop().Now() - 1h, [&] { ++calls; });
  EXPECT_TRUE(RunUntil([&] { return calls == 2; }));
}

TEST_F(EventLoopTest, TimerSetAgainCallsOnlyTheLast) {
  std::vector<int> calls;
  EventLoop::Timer timer(loop());
  timer.SetAfter(1ms, [&] { calls.push_back(1); });
  timer.SetAfter(2ms, [&] { calls.push_back(2); });
  RunFor(10ms);
  EXPECT_THAT(calls, ElementsAre(2));
}

TEST_F(EventLoopTest, TimersOfOneTimeMayCancelEachOther) {
  const BootTime when = loop().Now() + 1ms;
  int calls = 0;
  EventLoop::Timer a(loop());
  EventLoop::Timer b(loop());
  EventLoop::Timer c(loop());
  a.Set(when, [&] {
    ++calls;
    b.Cancel();
    c.SetAfter(1h, [] {});
  });
  b.Set(when, [&] { ++calls; });
  c.Set(when, [&] { ++calls; });
  RunFor(10ms);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(c.when());
}

TEST_F(EventLoopTest, TimerMaySetItselfInItsCallback) {
  int calls = 0;
  EventLoop::Timer timer(loop());
  std::function<void()> again = [&] {
    if (++calls < 3) timer.Set(loop().Now(), again);
  };
  timer.SetAfter(1ms, again);
  RunFor(10ms);
  EXPECT_EQ(calls, 3);
}

TEST_F(EventLoopTest, TimerThatIsAlwaysDueDoesNotStarveDescriptors) {
  const UniqueFd fd = Readable();
  EventLoop::Timer timer(loop());
  std::function<void()> again = [&] { timer.Set(BootTime(), again); };
  again();
  int calls = 0;
  const EventLoop::Watch watch = OnReadable(fd, [&] { ++calls; });
  EXPECT_TRUE(RunUntil([&] { return calls > 1; }));
}

TEST_F(EventLoopTest, TimerMayEndInItsOwnCallback) {
  auto timer = std::make_unique<EventLoop::Timer>(loop());
  const std::string text = "kept by the callback until it returns";
  std::string seen;
  timer->SetAfter(1ms, [&timer, &seen, text] {
    timer.reset();
    seen = text;
  });
  ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
  EXPECT_EQ(seen, text);
}

TEST_F(EventLoopTest, TimerSetByACallbackToAnEarlierTimeIsNotLate) {
  EventLoop::Timer late(loop());
  EventLoop::Timer first(loop());
  EventLoop::Timer soon(loop());
  bool called = false;
  late.SetAfter(1h, [] {});
  first.SetAfter(1ms, [&] { soon.SetAfter(1ms, [&] { called = true; }); });
  EXPECT_TRUE(RunUntil([&] { return called; }));
}

TEST_F(EventLoopTest, SleepsBetweenEvents) {
  EventLoop::Timer timer(loop());
  bool called = false;
  timer.SetAfter(50ms, [&] { called = true; });
  int turns = 0;
  ASSERT_TRUE(RunUntil([&] {
    ++turns;
    return called;
  }));
  EXPECT_LE(turns, 4);  // before the first, a late timer may need one more, and the last
}

TEST_F(EventLoopTest, WakeFromAnotherThreadEndsTheWait) {
  std::stop_source stop;
  int wakes = 0;
  int turns = 0;
  std::jthread other([&] {
    for (int i = 0; i < 1000; ++i) loop().Wake();
    stop.request_stop();
    loop().Wake();
  });
  loop().Run(
      stop.get_token(), [&] { ++wakes; }, [&] { ++turns; });
  EXPECT_GE(turns, wakes);
  EXPECT_LE(wakes, 1001);
}

TEST_F(EventLoopTest, WakeBeforeRunIsNotLost) {
  loop().Wake();
  loop().Wake();
  std::stop_source stop;
  int wakes = 0;
  loop().Run(
      stop.get_token(),
      [&] {
        ++wakes;
        stop.request_stop();
      },
      [] {});
  EXPECT_EQ(wakes, 1);
}

TEST_F(EventLoopTest, StopThatWasRequestedBeforeRunEndsItAtOnce) {
  std::stop_source stop;
  stop.request_stop();
  bool turned = false;
  loop().Run(
      stop.get_token(), [] {}, [&] { turned = true; });
  EXPECT_FALSE(turned);
}

}  // namespace
}  // namespace idlewatt
