#include "analysis/alerts.h"

#include <gmock/gmock.h>

#include "tests/analysis/alert_support.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

// The state of IdleServiceCpu of a service.
AlertState StateOf(const AnalysisMachine& machine, std::string_view service,
                   std::string_view severity = "critical") {
  return StateOfAlert(machine, "IdleServiceCpu", service, severity);
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

TEST(AlertEngineTest, AFiringAlertIsOverOnlyATenthOnTheGoodSide) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  machine.TickFor(seconds(30));
  machine.Run("a", 0.1875);  // below 20 %, not below 18 %
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  EXPECT_EQ(AlertOf(machine, "IdleServiceCpu", "a", "critical")->value, 18.75);
  machine.Run("a", 0.175);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
}

TEST(AlertEngineTest, BetweenTheTwoLimitsNothingBecomesPending) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.1875);
  machine.TickFor(minutes(2));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kInactive);
}

TEST(AlertEngineTest, RulesOfTheMachineAreAlwaysPublishedWithoutAService) {
  AnalysisMachine machine;
  machine.Tick();
  for (const char* alert : {"IdlePower", "ThermalPressure", "SensorLost", "IdleBaseline"}) {
    EXPECT_EQ(machine.Get(metrics::kAlertState, {alert, "", "warning"}), 0) << alert;
  }
  EXPECT_EQ(machine.snapshot().Family(metrics::kAlertState).size(), 7U)
      << "SensorLost has one severity";
}

TEST(AlertEngineTest, AnAlertOfAServiceThatLeftDuringALongSleepIsOver) {
  AnalysisMachine machine;
  RunUntilIdle(machine, "a", 0.4);
  RunUntilIdle(machine, "b", 0.4);
  machine.TickFor(minutes(2));
  ASSERT_EQ(StateOf(machine, "a"), AlertState::kFiring);
  machine.Vanish("a");
  machine.sockets.Remove(metrics::kServiceConnectionsSeen, {"a"});
  for (const char* way : {"in", "out"}) {
    machine.sockets.Remove(metrics::kServiceNetworkBytes, {"a", way});
  }
  machine.Suspend(hours(3));
  machine.Tick();
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kResolved);
  RunUnused(machine, "Z", 0.4);  // takes the number of "a"
  RunUnused(machine, "a", 0.4);
  machine.Tick(seconds(5));
  EXPECT_EQ(StateOf(machine, "a"), AlertState::kInactive);
  machine.TickFor(minutes(16));
  EXPECT_EQ(StateOf(machine, "b"), AlertState::kFiring);
  EXPECT_EQ(AlertOf(machine, "IdleServiceCpu", "a", "critical")->state, AlertState::kFiring);
}

constexpr Metric kRoom{"room_celsius", MetricKind::kGauge, "celsius", {{"room"}}, ""};
constexpr Metric kQueue{"queue_length", MetricKind::kGauge, "", {{"service", "queue"}}, ""};
constexpr Metric kErrors{"errors_total", MetricKind::kCounter, "", {{"service"}}, ""};

AlertRule MetricRule(std::string_view metric, double warning) {
  AlertRule rule{.name = "own"};
  rule.metric = *Selector::Parse(metric);
  rule.warning = warning;
  rule.hold = milliseconds(0);
  rule.advice = "look at it";
  return rule;
}

AlertState OwnState(const AnalysisMachine& machine, std::string_view service = "") {
  return StateOfAlert(machine, "own", service, "warning");
}

TEST(MetricAlertTest, AGaugeIsLookedAtByItsValue) {
  AnalysisMachine machine({.alerts = {MetricRule("room_celsius{room=\"lab\"}", 30)}});
  machine.other.Set(kRoom, {"lab"}, 30);
  machine.other.Set(kRoom, {"attic"}, 60);
  machine.Tick();
  EXPECT_EQ(OwnState(machine), AlertState::kInactive);
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "", "warning"}), 0);
  machine.other.Set(kRoom, {"lab"}, 30.5);
  machine.Tick(seconds(5));
  const AlertStatus alert = *AlertOf(machine, "own");
  EXPECT_EQ(alert.state, AlertState::kFiring);
  EXPECT_EQ(alert.summary, "room_celsius{room=\"lab\"} is 30.5, above the limit of 30");
  EXPECT_EQ(alert.advice, "look at it");
  EXPECT_EQ(alert.builtin, "");
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "", "warning"}), 2);
}

TEST(MetricAlertTest, ACounterIsLookedAtByItsGrowthPerSecond) {
  AnalysisMachine machine({.alerts = {MetricRule("errors_total", 2)}});
  machine.other.Set(kErrors, {""}, 5000);
  machine.Tick();
  EXPECT_EQ(OwnState(machine), AlertState::kInactive) << "its past is no growth";
  machine.other.Add(kErrors, {""}, 10);
  machine.Tick(seconds(5));
  EXPECT_EQ(OwnState(machine), AlertState::kInactive);
  machine.other.Add(kErrors, {""}, 12.5);
  machine.Tick(seconds(5));
  EXPECT_EQ(AlertOf(machine, "own")->summary,
            "errors_total{service=\"\"} is 2.5 a second, above the limit of 2");
}

TEST(MetricAlertTest, ACounterThatBeganAnewChangesNothing) {
  AnalysisMachine machine({.alerts = {MetricRule("errors_total", 2)}});
  for (int i = 0; i < 3; ++i) {
    machine.other.Add(kErrors, {""}, 50);
    machine.Tick(seconds(5));
  }
  ASSERT_EQ(OwnState(machine), AlertState::kFiring);
  machine.other.Set(kErrors, {""}, 0);
  machine.Tick(seconds(5));
  EXPECT_EQ(OwnState(machine), AlertState::kFiring);
  machine.Tick(seconds(5));
  EXPECT_EQ(OwnState(machine), AlertState::kResolved);
}

TEST(MetricAlertTest, BelowHasItsHysteresisAbove) {
  AlertRule rule = MetricRule("room_celsius", 10);
  rule.below = true;
  AnalysisMachine machine({.alerts = {rule}});
  const auto state_at = [&](double celsius) {
    machine.other.Set(kRoom, {"lab"}, celsius);
    machine.Tick(seconds(5));
    return OwnState(machine);
  };
  EXPECT_EQ(state_at(10), AlertState::kInactive);
  EXPECT_EQ(state_at(9.5), AlertState::kFiring);
  EXPECT_EQ(AlertOf(machine, "own")->summary,
            "room_celsius{room=\"lab\"} is 9.5, below the limit of 10");
  EXPECT_EQ(state_at(10.5), AlertState::kFiring);
  EXPECT_EQ(state_at(11), AlertState::kResolved);
}

TEST(MetricAlertTest, ALimitBelowZeroHasItsHysteresisOnTheGoodSide) {
  AlertRule rule = MetricRule("room_celsius", -10);
  rule.below = true;
  AnalysisMachine machine({.alerts = {rule}});
  const auto state_at = [&](double celsius) {
    machine.other.Set(kRoom, {"lab"}, celsius);
    machine.Tick(seconds(5));
    return OwnState(machine);
  };
  EXPECT_EQ(state_at(-10.5), AlertState::kFiring);
  EXPECT_EQ(state_at(-9.5), AlertState::kFiring);
  EXPECT_EQ(state_at(-9), AlertState::kResolved);
}

TEST(MetricAlertTest, TheWorstOfSeveralSeriesCounts) {
  AnalysisMachine machine({.alerts = {MetricRule("room_celsius", 30)}});
  machine.other.Set(kRoom, {"attic"}, 31);
  machine.other.Set(kRoom, {"cellar"}, 12);
  machine.other.Set(kRoom, {"lab"}, 45);
  machine.Tick();
  EXPECT_EQ(AlertOf(machine, "own")->value, 45);
  EXPECT_THAT(AlertOf(machine, "own")->summary, HasSubstr("lab"));
}

TEST(MetricAlertTest, BelowTheLeastOfSeveralSeriesCounts) {
  AlertRule rule = MetricRule("room_celsius", 20);
  rule.below = true;
  AnalysisMachine machine({.alerts = {rule}});
  machine.other.Set(kRoom, {"attic"}, 31);
  machine.other.Set(kRoom, {"cellar"}, 12);
  machine.other.Set(kRoom, {"lab"}, 19);
  machine.Tick();
  EXPECT_EQ(AlertOf(machine, "own")->value, 12);
}

TEST(MetricAlertTest, EachServiceThatSeriesNameHasItsOwnAlert) {
  AnalysisMachine machine({.alerts = {MetricRule("queue_length", 3)}});
  machine.Run("a", 0.1);
  machine.Run("b", 0.1);
  machine.Run("c", 0.1);
  machine.other.Set(kQueue, {"a", "in"}, 2);
  machine.other.Set(kQueue, {"a", "out"}, 9);
  machine.other.Set(kQueue, {"b", "in"}, 1);
  machine.Tick();
  EXPECT_EQ(AlertOf(machine, "own", "a")->value, 9);
  EXPECT_EQ(OwnState(machine, "b"), AlertState::kInactive);
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "a", "warning"}), 2);
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "b", "warning"}), 0);
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "c", "warning"}), std::nullopt);
  EXPECT_EQ(machine.Get(metrics::kAlertState, {"own", "", "warning"}), std::nullopt);
}

TEST(MetricAlertTest, SeriesOfNoKnownServiceAreTheMachines) {
  AnalysisMachine machine({.alerts = {MetricRule("queue_length", 3)}});
  machine.other.Set(kQueue, {"stranger", "in"}, 4);
  machine.Tick();
  EXPECT_EQ(OwnState(machine), AlertState::kFiring);
  EXPECT_EQ(OwnState(machine, "stranger"), AlertState::kInactive);
}

TEST(MetricAlertTest, ServicesNamesWhoseSeriesCount) {
  AlertRule rule = MetricRule("queue_length", 3);
  rule.services = {"a*"};
  AnalysisMachine machine({.alerts = {rule}});
  machine.Run("a1", 0.1);
  machine.Run("b", 0.1);
  for (const char* service : {"a1", "b", "stranger"}) {
    machine.other.Set(kQueue, {service, "in"}, 4);
  }
  machine.Tick();
  EXPECT_EQ(OwnState(machine, "a1"), AlertState::kFiring);
  EXPECT_EQ(machine.Alerts().size(), 1U);
}

TEST(MetricAlertTest, SeriesThatVanishEndTheirAlert) {
  AnalysisMachine machine({.alerts = {MetricRule("room_celsius", 30)}});
  machine.Tick();
  machine.TickFor(minutes(5));
  machine.other.Set(kRoom, {"lab"}, 40);
  machine.Tick(seconds(5));
  ASSERT_EQ(OwnState(machine), AlertState::kFiring);
  machine.other.Remove(kRoom, {"lab"});
  machine.Tick(seconds(5));
  EXPECT_EQ(OwnState(machine), AlertState::kResolved);
}

// Alerts of an earlier run of the daemon.
class RememberedAlertTest : public testing::Test {
 protected:
  RememberedAlertTest() {
    past_.services["a"] = {now() - minutes(20), now() - seconds(10)};
    Remember("IdleServiceCpu", "a", 40);
  }

  WallTime now() const { return machine_.clock.Now().wall; }
  void Remember(const std::string& alert, const std::string& service, double value) {
    past_.firing.push_back({alert, service, "critical", AlertState::kFiring, now() - minutes(15),
                            value, 20, "percent", "what was said", "what to do"});
  }
  void Start() { machine_.analyzer().Remember(past_); }
  std::optional<AlertStatus> Alert(std::string_view alert = "IdleServiceCpu",
                                   std::string_view service = "a") const {
    return AlertOf(machine_, alert, service, "critical");
  }
  AlertState State() const { return Alert() ? Alert()->state : AlertState::kInactive; }

  AnalysisMachine machine_;
  AnalysisPast past_;
};

TEST_F(RememberedAlertTest, GoesOnFiring) {
  const WallTime since = past_.firing[0].since;
  Start();
  RunUnused(machine_, "a", 0.3);
  machine_.Tick();
  ASSERT_TRUE(Alert());
  EXPECT_EQ(Alert()->state, AlertState::kFiring);
  EXPECT_EQ(Alert()->since, since);
  EXPECT_EQ(Alert()->value, 40) << "CPU time is known from the second tick on";
  EXPECT_EQ(Alert()->summary, "what was said");
  EXPECT_EQ(Alert()->advice, "what to do");
  EXPECT_EQ(Published(machine_, "a"), 2);
  machine_.Tick(seconds(5));
  EXPECT_EQ(Alert()->state, AlertState::kFiring);
  EXPECT_EQ(Alert()->since, since);
  EXPECT_NEAR(Alert()->value, 30, 1e-6);
  EXPECT_THAT(Alert()->summary, HasSubstr("30.0 %"));
}

TEST_F(RememberedAlertTest, IsOverWhenItsConditionDoesNotHold) {
  Start();
  RunUnused(machine_, "a", 0.05);
  machine_.Tick();
  EXPECT_EQ(State(), AlertState::kFiring);
  machine_.Tick(seconds(5));
  EXPECT_EQ(State(), AlertState::kResolved);
  EXPECT_EQ(Alert()->since, now());
}

TEST_F(RememberedAlertTest, IsOverWhenTheServiceWasUsed) {
  past_.services.clear();
  Start();
  RunUnused(machine_, "a", 0.3);
  machine_.Tick();
  EXPECT_EQ(State(), AlertState::kResolved);
}

TEST_F(RememberedAlertTest, OfAServiceThatDoesNotComeBackIsOverAfterFiveMinutes) {
  Start();
  machine_.Tick();
  machine_.TickFor(minutes(5) - seconds(5));
  EXPECT_EQ(State(), AlertState::kFiring);
  EXPECT_EQ(Published(machine_, "a"), std::nullopt);
  machine_.Tick(seconds(5));
  EXPECT_EQ(State(), AlertState::kResolved);
  EXPECT_EQ(Alert()->since, now());
  machine_.TickFor(minutes(15) - seconds(5));
  EXPECT_EQ(State(), AlertState::kResolved);
  machine_.Tick(seconds(5));
  EXPECT_EQ(State(), AlertState::kInactive);
}

TEST_F(RememberedAlertTest, IsNotRaisedAgainByAServiceThatComesBackLate) {
  past_.firing.clear();
  Remember("MemoryGrowth", "a", 700);
  Start();
  machine_.Tick();
  machine_.TickFor(minutes(6));
  ASSERT_EQ(Alert("MemoryGrowth")->state, AlertState::kResolved);
  machine_.Run("a", 0.1);
  machine_.Tick(seconds(5));
  EXPECT_FALSE(Alert("MemoryGrowth"));
}

TEST_F(RememberedAlertTest, OfARuleThatIsNoMoreIsOverAfterFiveMinutes) {
  past_.firing.clear();
  Remember("of-old", "a", 3);
  Remember("SensorLost", "", 1);  // which has no critical
  Start();
  RunUnused(machine_, "a");
  machine_.Tick();
  machine_.TickFor(minutes(5) - seconds(5));
  EXPECT_EQ(Alert("of-old")->state, AlertState::kFiring);
  EXPECT_EQ(Alert("SensorLost", "")->state, AlertState::kFiring);
  machine_.Tick(seconds(5));
  EXPECT_EQ(Alert("of-old")->state, AlertState::kResolved);
  EXPECT_EQ(Alert("SensorLost", "")->state, AlertState::kResolved);
}

TEST_F(RememberedAlertTest, OfTheMachineWaitsForItsSlowSources) {
  past_.firing.clear();
  Remember("ThermalPressure", "", 2);
  Start();
  machine_.Tick();
  ASSERT_TRUE(Alert("ThermalPressure", ""));
  EXPECT_EQ(Alert("ThermalPressure", "")->state, AlertState::kFiring);
  machine_.hwmon.Set(metrics::kCoolingState, {"0", "Processor"}, 8);
  machine_.hwmon.Set(metrics::kCoolingMaxState, {"0", "Processor"}, 10);
  machine_.Tick(seconds(5));
  EXPECT_EQ(Alert("ThermalPressure", "")->state, AlertState::kFiring);
  EXPECT_THAT(Alert("ThermalPressure", "")->summary, HasSubstr("serious"));
}

TEST_F(RememberedAlertTest, WhoseSourceDoesNotComeIsOverAfterFiveMinutes) {
  past_.firing.clear();
  Remember("ThermalPressure", "", 2);
  Start();
  machine_.Tick();
  machine_.TickFor(minutes(5) - seconds(5));
  EXPECT_EQ(Alert("ThermalPressure", "")->state, AlertState::kFiring);
  machine_.Tick(seconds(5));
  EXPECT_EQ(Alert("ThermalPressure", "")->state, AlertState::kResolved);
}

TEST_F(RememberedAlertTest, OfAServiceThatCrashesGoesOnFiring) {
  past_.firing.clear();
  Remember("CrashLoop", "a", 6);
  past_.restarts["a"] = std::vector<WallTime>(6, now() - minutes(5));
  Start();
  machine_.Run("a", 0.1);
  machine_.other.Set(metrics::kServiceRestarts, {"a", "crash"}, 6);
  machine_.Tick();
  EXPECT_EQ(Alert("CrashLoop")->state, AlertState::kFiring);
  machine_.TickFor(minutes(5));
  EXPECT_EQ(Alert("CrashLoop")->state, AlertState::kResolved);
}

TEST_F(RememberedAlertTest, OfAMetricGoesOnFiring) {
  AlertRule rule = MetricRule("room_celsius", 30);
  std::swap(rule.warning, rule.critical);
  AnalysisMachine machine({.alerts = {rule}});
  past_.firing.clear();
  Remember("own", "", 35);
  machine.analyzer().Remember(past_);
  machine.Tick();
  EXPECT_EQ(AlertOf(machine, "own", "", "critical")->state, AlertState::kFiring);
  machine.other.Set(kRoom, {"lab"}, 33);
  machine.Tick(seconds(5));
  EXPECT_EQ(AlertOf(machine, "own", "", "critical")->since, past_.firing[0].since);
  EXPECT_EQ(AlertOf(machine, "own", "", "critical")->value, 33);
}

TEST_F(RememberedAlertTest, StandsAmongTheOthersByItsAge) {
  past_.firing[0].service = "gone";
  Start();
  RunUntilIdle(machine_, "new", 0.1);
  ASSERT_EQ(machine_.Alerts().size(), 2U);
  EXPECT_EQ(machine_.Alerts()[0].service, "new");
  machine_.TickFor(minutes(5));
  EXPECT_EQ(machine_.Alerts()[0].service, "gone") << "it was resolved just now";
}

}  // namespace
}  // namespace idlewatt
