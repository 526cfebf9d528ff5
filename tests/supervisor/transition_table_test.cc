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

TEST(TransitionTableTest, EveryEventOfAReachedStateHasOneRowOrIsRefused) {
  for (const ServiceState state : Reached()) {
    for (size_t i = 0; i < kServiceEventCount; ++i) {
      const auto event = static_cast<ServiceEvent>(i);
      const auto rows = std::ranges::count_if(Transitions(), [&](const Transition& row) {
        return row.state == state && row.event == event;
      });
      const auto refused = std::ranges::count_if(Refusals(), [&](const RefusedEvents& refusal) {
        return refusal.state == state && refusal.Has(event);
      });
      EXPECT_EQ(rows + refused, 1) << ServiceStateName(state) << ", " << ServiceEventName(event);
    }
  }
}

TEST(TransitionTableTest, UnreachedStatesAreThoseThatAreListed) {
  std::set<ServiceState> all;
  for (size_t i = 0; i < kServiceStateCount; ++i) all.insert(static_cast<ServiceState>(i));
  for (const ServiceState state : Reached()) all.erase(state);
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(UnreachedStates()));
}

TEST(TransitionTableTest, ActionThatGivesAnEventFindsItInTheNextState) {
  for (const Transition& row : Transitions()) {
    const auto handles = [&](ServiceEvent event) {
      return FindTransition(row.next, event) != nullptr;
    };
    if (row.action == ServiceAction::kSpawn) {
      EXPECT_TRUE(handles(ServiceEvent::kExecSucceeded)) << ServiceStateName(row.next);
      EXPECT_TRUE(handles(ServiceEvent::kExecFailed)) << ServiceStateName(row.next);
    } else if (row.action != ServiceAction::kNone) {
      EXPECT_TRUE(handles(ServiceEvent::kAllGone)) << ServiceStateName(row.next);
    }
    if (row.action == ServiceAction::kStop) {
      EXPECT_TRUE(handles(ServiceEvent::kDeadline)) << ServiceStateName(row.next);
    }
  }
}

TEST(TransitionTableTest, OnlyAllGoneLeadsToASpawn) {
  for (const Transition& row : Transitions()) {
    if (row.action == ServiceAction::kSpawn) {
      EXPECT_EQ(row.event, ServiceEvent::kAllGone) << "a second instance could start";
    }
  }
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
