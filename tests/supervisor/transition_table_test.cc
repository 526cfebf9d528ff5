#include "supervisor/transition_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

namespace idlewatt {
namespace {

std::set<ServiceState> Reached() {
  std::set<ServiceState> reached = {ServiceState::kStopped};
  for (size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (const Transition& row : Transitions()) {
      if (reached.contains(row.state)) reached.insert(row.next);
    }
  }
  return reached;
}

TEST(TransitionTableTest, StateAndEventHaveOneRowAtMost) {
  std::set<std::pair<ServiceState, ServiceEvent>> rows;
  for (const Transition& row : Transitions()) {
    EXPECT_TRUE(rows.emplace(row.state, row.event).second)
        << ServiceStateName(row.state) << ", " << ServiceEventName(row.event);
  }
}

TEST(TransitionTableTest, EveryStateCanBeReached) {
  EXPECT_EQ(Reached().size(), kServiceStateCount);
}

TEST(TransitionTableTest, RequestsAreTakenInEveryState) {
  for (size_t i = 0; i < kServiceStateCount; ++i) {
    const auto state = static_cast<ServiceState>(i);
    for (const ServiceEvent request :
         {ServiceEvent::kStartRequested, ServiceEvent::kRestartRequested,
          ServiceEvent::kStopRequested, ServiceEvent::kKillRequested}) {
      EXPECT_NE(FindTransition(state, request), nullptr)
          << ServiceStateName(state) << ", " << ServiceEventName(request);
    }
  }
}

std::vector<ServiceEvent> EventsOf(ServiceAction action) {
  using enum ServiceEvent;
  switch (action) {
    case ServiceAction::kNone:
      return {};
    case ServiceAction::kAwaitGone:
    case ServiceAction::kStop:
    case ServiceAction::kKill:
      return {kRootEnded, kAllGone};
    case ServiceAction::kAwaitDependencies:
      return {kDependenciesMet, kDependencyFailed};
    case ServiceAction::kSpawn:
      return {kBecameReady, kFellBack, kEndedDone, kEndedRetry, kEndedFailed};
    case ServiceAction::kWatchHealth:
      return {kBecameUnwell, kEndedDone, kEndedRetry, kEndedFailed};
    case ServiceAction::kRetryLater:
      return {kRetryDue, kRootEnded, kAllGone};
  }
  return {};
}

TEST(TransitionTableTest, WhatAnActionGivesFindsItsRowInTheNextState) {
  for (const Transition& row : Transitions()) {
    for (const ServiceEvent event : EventsOf(row.action)) {
      EXPECT_NE(FindTransition(row.next, event), nullptr)
          << ServiceStateName(row.state) << ", " << ServiceEventName(row.event) << ": "
          << ServiceEventName(event) << " in " << ServiceStateName(row.next);
    }
  }
}

TEST(TransitionTableTest, OnlyPendingLeadsToASpawn) {
  for (const Transition& row : Transitions()) {
    if (row.action == ServiceAction::kSpawn) {
      EXPECT_EQ(row.state, ServiceState::kPending) << "a second instance could start";
      EXPECT_EQ(row.event, ServiceEvent::kDependenciesMet);
    }
  }
}

TEST(TransitionTableTest, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kServiceEventCount; ++i) {
    names.insert(ServiceEventName(static_cast<ServiceEvent>(i)));
  }
  EXPECT_EQ(names.size(), kServiceEventCount);
  EXPECT_FALSE(names.contains(""));
}

// IDLEWATT_UPDATE_DOCS=1 rewrites the page.
TEST(TransitionTableTest, PageShowsThisTable) {
  const std::string path = IDLEWATT_SOURCE_DIR "/docs/supervision.md";
  std::ifstream file(path);
  std::string page(std::istreambuf_iterator<char>(file), {});
  const std::string begin = "<!-- transitions: drawn by the program -->\n";
  const size_t from = page.find(begin) + begin.size();
  const size_t to = page.find("<!-- end of transitions -->\n");
  ASSERT_LE(from, to);
  ASSERT_NE(to, std::string::npos);
  if (std::getenv("IDLEWATT_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << page.substr(0, from) << RenderTransitions() << page.substr(to);
    return;
  }
  EXPECT_EQ(page.substr(from, to - from), RenderTransitions())
      << "stale: run this test with IDLEWATT_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace idlewatt
