#include "analysis/alerts.h"

#include <gmock/gmock.h>

#include "tests/analysis/analysis_machine.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// The state of the alert of a service, by what people see; inactive when they see none.
AlertState StateOf(const AnalysisMachine& machine, std::string_view service,
                   std::string_view severity = "critical") {
  for (const AlertStatus& status : machine.Alerts()) {
    if (status.service == service && status.severity == severity) return status.state;
  }
  return AlertState::kInactive;
}

std::optional<double> Published(const AnalysisMachine& machine, std::string_view service,
                                std::string_view severity = "critical") {
  return machine.Get(metrics::kAlertState, {"IdleServiceCpu", service, severity});
}

// A burner with a port that nobody uses, idle for the first time at the last tick.
void RunUntilIdle(AnalysisMachine& machine, const std::string& service, double cpu,
                  const std::string& kind = "supervised") {
  machine.Run(service, cpu, kind);
  machine.Port(service);
  machine.Tick();
  machine.TickFor(seconds(60));
}

TEST(AlertEngineTest, GoesFromInactiveOverPendingFiringAndResolvedToGone) {
  AnalysisMachine machine;
  machine.Run("a", 0.4);
  machine.Port("a");
  machine.Tick();
  machine.TickFor(seconds(55));
  EXPECT_TRUE(machine.Alerts().empty());
  EXPECT_EQ(Published(machine, "a"), 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  EXPECT_EQ(Published(machine, "a"), 1);
  machine.Tick(milliseconds(29'999));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  machine.Tick(milliseconds(1));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  EXPECT_EQ(Published(machine, "a"), 2);
  machine.Port("a", 1);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  EXPECT_EQ(Published(machine, "a"), 0);
  for (int i = 0; i < 14; ++i) {
    machine.Port("a", 1);
    machine.Tick(minutes(1));
  }
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  machine.Port("a", 1);
  machine.Tick(minutes(1));
  EXPECT_TRUE(machine.Alerts().empty());
  EXPECT_EQ(Published(machine, "a"), 0);
}

TEST(AlertEngineTest, OneGoodTickBeginsPendingAnew) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(25));
  machine.Run("a", 0.01);
  machine.Tick(seconds(1));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kInactive);
  machine.Run("a", 0.4);
  machine.TickFor(seconds(30));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
}

TEST(AlertEngineTest, HoldIsMeasuredOnTheBootClock) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.clock.SetWall(machine.clock.Now().wall + hours(10));
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  machine.clock.SetWall(machine.clock.Now().wall - hours(30));
  machine.TickFor(seconds(25));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  EXPECT_EQ(machine.Alerts()[0].since, machine.clock.Now().wall);
}

TEST(AlertEngineTest, HoldOfZeroFiresAtOnce) {
  AlertRule rule = UsualRule("IdleServiceCpu");
  rule.hold = milliseconds(0);
  AnalysisMachine machine({.alerts = {rule}});
  RunUntilIdle(machine, "a", 0.4);
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
}

TEST(AlertEngineTest, SeveritiesHaveTheirOwnLimits) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "some", 0.1);
  RunUntilIdle(machine, "at-limit", 0.05);
  RunUntilIdle(machine, "much", 0.21);
  machine.TickFor(seconds(30));
  EXPECT_EQ(StateOf(machine, "some", "warning"), AlertState::kFiring);
  EXPECT_EQ(StateOf(machine, "some", "critical"), AlertState::kInactive);
  EXPECT_EQ(StateOf(machine, "much", "warning"), AlertState::kFiring);
  EXPECT_EQ(StateOf(machine, "much", "critical"), AlertState::kFiring);
  machine.Run("much", 0.1);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "much", "warning"), AlertState::kFiring);
  EXPECT_EQ(StateOf(machine, "much", "critical"), AlertState::kResolved);
}

TEST(AlertEngineTest, RuleNamesItsServicesByPattern) {
  AlertRule rule = UsualRule("IdleServiceCpu");
  rule.services = {"llama-*", "ollama"};
  AnalysisMachine machine({.alerts = {rule}});
  for (const char* name : {"llama-8b", "ollama", "ollama-2", "postgres"}) {
    machine.Run(name, 0.4);
    machine.Port(name);
  }
  machine.Tick();
  machine.TickFor(seconds(90));
  EXPECT_EQ(StateOf(machine, "llama-8b"), AlertState::kFiring);
  EXPECT_EQ(StateOf(machine, "ollama"), AlertState::kFiring);
  EXPECT_EQ(Published(machine, "ollama-2"), std::nullopt);
  EXPECT_EQ(Published(machine, "postgres"), std::nullopt);
}

TEST(AlertEngineTest, LastRuleOfANameCounts) {
  AlertRule all = UsualRule("IdleServiceCpu");
  AlertRule lenient = all;
  lenient.critical = 80;
  lenient.services = {"batch"};
  AnalysisMachine machine({.alerts = {all, lenient}});
  machine.Run("batch", 0.4);
  machine.Port("batch");
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(30));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  EXPECT_EQ(StateOf(machine, "batch"), AlertState::kInactive);
}

TEST(AlertEngineTest, DiscoveredServicesAreShownOnlyWhileTheyMatter) {
  AnalysisMachine machine;
  machine.Run("found", 0.4, "discovered");
  machine.Port("found");
  machine.Tick();
  EXPECT_EQ(Published(machine, "found"), std::nullopt);
  machine.TickFor(seconds(60));
  EXPECT_EQ(Published(machine, "found"), 1);
  machine.TickFor(seconds(30));
  EXPECT_EQ(Published(machine, "found"), 2);
  machine.Port("found", 1);
  machine.Tick(seconds(5));
  EXPECT_EQ(Published(machine, "found"), 0);
  for (int i = 0; i < 15; ++i) {
    machine.Port("found", 1);
    machine.Tick(minutes(1));
  }
  EXPECT_EQ(Published(machine, "found"), std::nullopt);
}

TEST(AlertEngineTest, ServiceThatVanishesWhileFiringIsResolvedAndForgotten) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(30));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  machine.Vanish("a");
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  machine.TickFor(minutes(15) - seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  machine.Tick(seconds(5));
  EXPECT_TRUE(machine.Alerts().empty());
  EXPECT_EQ(Published(machine, "a"), std::nullopt);
}

TEST(AlertEngineTest, ServiceThatStopsWhileFiringIsResolved) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(30));
  machine.SetProcesses("a", 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
}

TEST(AlertEngineTest, ServiceThatVanishesWhilePendingLeavesNothing) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  machine.Vanish("a");
  machine.Tick(seconds(5));
  EXPECT_TRUE(machine.Alerts().empty());
  EXPECT_EQ(Published(machine, "a"), std::nullopt);
}

TEST(AlertEngineTest, ResolvedAlertThatHoldsAgainIsPendingAgain) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(30));
  machine.Run("a", 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  machine.Run("a", 0.4);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kPending);
  machine.TickFor(seconds(30));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
}

TEST(AlertEngineTest, StatusesAreSortedNewestFirstWhateverTheWallClockDoes) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "first", 0.1);
  machine.TickFor(seconds(60));
  machine.clock.SetWall(machine.clock.Now().wall - hours(5));
  RunUntilIdle(machine, "second", 0.1);
  ASSERT_EQ(machine.Alerts().size(), 2u);
  EXPECT_EQ(machine.Alerts()[0].service, "second");
  EXPECT_EQ(machine.Alerts()[1].service, "first");
}

TEST(AlertEngineTest, TextsHoldTheNumbers) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "burner", 0.4);
  machine.TickFor(seconds(35));
  for (const AlertStatus& status : machine.Alerts()) {
    EXPECT_EQ(status.alert, "IdleServiceCpu");
    EXPECT_NEAR(status.value, 40, 1e-6);
    EXPECT_EQ(status.threshold, status.severity == "critical" ? 20 : 5);
    EXPECT_EQ(status.unit, "percent");
    EXPECT_EQ(status.summary, std::string("burner uses 40.0 % of a CPU (limit ") +
                                  (status.severity == "critical" ? "20" : "5") +
                                  " %) though nobody has used it for 1m 35s");
    EXPECT_THAT(status.advice, HasSubstr("busy loop"));
    EXPECT_THAT(status.advice, HasSubstr("burner"));
  }
  EXPECT_EQ(machine.Alerts().size(), 2u);
}

TEST(AlertEngineTest, BusyServiceThatIsUsedIsNoFinding) {
  AnalysisMachine machine;
  machine.Run("worker", 3);
  machine.Tick();
  machine.TickFor(minutes(5));
  EXPECT_TRUE(machine.Alerts().empty());
}

TEST(AlertEngineTest, StatesAndBuiltinsHaveNames) {
  EXPECT_EQ(AlertStateName(AlertState::kInactive), "inactive");
  EXPECT_EQ(AlertStateName(AlertState::kPending), "pending");
  EXPECT_EQ(AlertStateName(AlertState::kFiring), "firing");
  EXPECT_EQ(AlertStateName(AlertState::kResolved), "resolved");
  EXPECT_THAT(AlertBuiltins(), testing::Contains(DefaultAlertRules()[0].builtin));
}

}  // namespace
}  // namespace idlewatt
