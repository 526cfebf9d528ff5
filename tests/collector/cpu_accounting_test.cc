#include "collector/process/cpu_accounting.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

constexpr int32_t kSelf = 500;

// Times in ticks of 10 ms.
class CpuAccountingTest : public ::testing::Test {
 protected:
  // One scan, five seconds after the last. Gives the CPU seconds of all processes together.
  double Scan(const std::vector<FakeProcess>& processes, const std::vector<EndedRoot>& ended = {}) {
    now += std::chrono::seconds(5);
    std::vector<PidStat> scan;
    for (const FakeProcess& p : processes) scan.push_back(StatOf(p));
    outcome = accounting.Account(now, scan, ended);
    double sum = 0;
    for (const auto& usage : outcome.processes) sum += usage.used.Total();
    return std::round(sum * 1e6) / 1e6;  // differences of doubles
  }
  double Used(size_t index) const { return outcome.processes.at(index).used.Total(); }

  CpuAccounting accounting{{kSelf, 2, 100}};
  CpuAccounting::Outcome outcome;
  BootTime now{std::chrono::seconds(1000)};
};

TEST_F(CpuAccountingTest, AProcessUsesWhatItsCounterGrows) {
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 300, .system = 100}}), 4);
  EXPECT_TRUE(outcome.processes[0].first_seen);
  Scan({{.pid = 10, .user = 350, .system = 125}});
  EXPECT_DOUBLE_EQ(outcome.processes[0].used.user, 0.5);
  EXPECT_DOUBLE_EQ(outcome.processes[0].used.system, 0.25);
  EXPECT_FALSE(outcome.processes[0].first_seen);
}

TEST_F(CpuAccountingTest, ChildrenThatCameAndWentAreCountedThroughTheirParent) {
  Scan({{.pid = 10, .user = 1}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 2, .children_user = 400}}), 4.01);
}

TEST_F(CpuAccountingTest, AChildThatWasSeenIsNotCountedTwice) {
  Scan({{.pid = 10}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10}, {.pid = 11, .parent = 10, .user = 200}}), 2);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 250}}), 0.5);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 250}}), 0);
}

TEST_F(CpuAccountingTest, AZombieIsNotCountedTwiceEither) {
  Scan({{.pid = 10}});
  Scan({{.pid = 10}, {.pid = 11, .parent = 10, .user = 200}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10}, {.pid = 11, .parent = 10, .user = 230, .state = 'Z'}}), 0.3);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 230}}), 0);
}

TEST_F(CpuAccountingTest, AChainOfGrandchildrenThatIsGoneInOneScanIsCountedOnce) {
  Scan({{.pid = 10},
        {.pid = 11, .parent = 10, .user = 100},
        {.pid = 12, .parent = 11, .user = 200},
        {.pid = 13, .parent = 12, .user = 300, .children_user = 40}});
  // All of 640, and 60 more after the last scan.
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 700}}), 0.6);
}

TEST_F(CpuAccountingTest, AChildReapedDuringTheScanIsNotCountedTwice) {
  Scan({{.pid = 10}, {.pid = 11, .parent = 10, .user = 500}});
  // The parent was read before it waited for the child, which then was no longer there to read.
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10}}), 0);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 520}}), 0.2);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = 620}}), 1);
}

TEST_F(CpuAccountingTest, AParentThatCollectsNothingHidesNothingLater) {
  // With SIGCHLD ignored the kernel throws the times of children away.
  Scan({{.pid = 10}, {.pid = 11, .parent = 10, .user = 500}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 10}}), 0.1);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 20}}), 0.1);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 20, .children_user = 100}}), 1);
}

TEST_F(CpuAccountingTest, InitAndThisDaemonInheritStrangersChildren) {
  Scan({{.pid = 1, .children_user = 9000}, {.pid = kSelf, .parent = 9, .children_user = 9000}});
  EXPECT_DOUBLE_EQ(Used(0), 0);
  EXPECT_DOUBLE_EQ(Used(1), 0);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 1, .user = 1, .children_user = 9300},
                         {.pid = kSelf, .parent = 9, .user = 2, .children_user = 9300}}),
                   0.03);
}

TEST_F(CpuAccountingTest, AnOrphanThatEndsBelowInitIsNotCountedAgain) {
  Scan({{.pid = 1}, {.pid = 10}, {.pid = 11, .parent = 10, .user = 300}});
  Scan({{.pid = 1}, {.pid = 11, .parent = 1, .user = 300}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 1, .children_user = 310}}), 0);
}

TEST_F(CpuAccountingTest, AUsedPidWithAnotherStartIsAnotherProcess) {
  Scan({{.pid = 10, .user = 1000, .start = 100}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 50, .start = 200}}), 0.5);
  EXPECT_TRUE(outcome.processes[0].first_seen);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 60, .start = 200}}), 0.1);
}

TEST_F(CpuAccountingTest, TheOldOwnerOfAPidIsCreditedToItsParent) {
  Scan({{.pid = 9}, {.pid = 10, .parent = 9, .user = 300, .start = 100}});
  EXPECT_DOUBLE_EQ(
      Scan({{.pid = 9, .children_user = 310}, {.pid = 10, .parent = 9, .user = 5, .start = 200}}),
      0.15);
}

TEST_F(CpuAccountingTest, ACounterThatFallsGivesNothing) {
  Scan({{.pid = 10, .user = 1000, .children_user = 50}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 990, .children_user = 40}}), 0);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 1000, .children_user = 40}}), 0.1);
}

TEST_F(CpuAccountingTest, NonsenseIsDroppedAtTheFirstScanToo) {
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .children_user = INT64_MAX}, {.pid = 11, .user = 100}}), 1);
  EXPECT_EQ(accounting.nonsense(), 1U);
  // A negative number of nanoseconds, divided as the kernel does.
  EXPECT_DOUBLE_EQ(Scan({{.pid = 12, .children_system = 1'844'674'407'370}}), 0);
}

TEST_F(CpuAccountingTest, NoProcessUsesMoreThanTheMachineHas) {
  Scan({{.pid = 10}, {.pid = 11}});
  Scan({{.pid = 10, .user = 100}, {.pid = 11, .user = 1'000'000}});
  EXPECT_DOUBLE_EQ(Used(0), 1);
  EXPECT_DOUBLE_EQ(Used(1), 0);
  EXPECT_EQ(accounting.nonsense(), 1U);
  EXPECT_DOUBLE_EQ(Scan({{.pid = 11, .user = 1'000'050}}), 0.5);  // and it goes on from there
}

TEST_F(CpuAccountingTest, LongUptimesAreNoNonsenseAtTheFirstScan) {
  EXPECT_DOUBLE_EQ(Scan({{.pid = 10, .user = 100'000'000, .children_user = 900'000'000}}), 1e7);
}

TEST_F(CpuAccountingTest, AnEndedRootGivesWhatNothingHadCounted) {
  Scan({{.pid = kSelf}, {.pid = 600, .parent = kSelf, .user = 100, .system = 50}});
  const EndedRoot ended{"web", 600, 1.7, 0.6};
  Scan({{.pid = kSelf}}, {ended});
  ASSERT_EQ(outcome.ended.size(), 1U);
  EXPECT_NEAR(outcome.ended[0].user, 0.7, 1e-9);
  EXPECT_NEAR(outcome.ended[0].system, 0.1, 1e-9);
}

TEST_F(CpuAccountingTest, TheDescendantsOfAnEndedRootAreCountedOnce) {
  Scan({{.pid = kSelf},
        {.pid = 600, .parent = kSelf, .user = 100, .children_user = 30},
        {.pid = 601, .parent = 600, .user = 200}});
  Scan({{.pid = kSelf}}, {{"web", 600, 3.5, 0}});  // 1 + 0.3 + 2, and 0.2 since
  EXPECT_NEAR(outcome.ended[0].Total(), 0.2, 1e-9);
}

TEST_F(CpuAccountingTest, ARootReapedAfterTheListWasTakenIsSettledNextTime) {
  Scan({{.pid = kSelf}, {.pid = 600, .parent = kSelf, .user = 100}});
  Scan({{.pid = kSelf}});
  Scan({{.pid = kSelf}}, {{"web", 600, 1.2, 0}});
  EXPECT_NEAR(outcome.ended[0].Total(), 0.2, 1e-9);
}

TEST_F(CpuAccountingTest, ARootThatLivedAndDiedBetweenScansIsCountedWhole) {
  Scan({{.pid = kSelf}});
  Scan({{.pid = kSelf}}, {{"job", 700, 2.5, 0.5}, {"mad", 701, 1e12, 0}});
  EXPECT_DOUBLE_EQ(outcome.ended[0].Total(), 3);
  EXPECT_DOUBLE_EQ(outcome.ended[1].Total(), 0);
}

TEST_F(CpuAccountingTest, ACycleOfParentsEnds) {
  Scan({{.pid = 10, .parent = 11, .user = 100}, {.pid = 11, .parent = 10, .user = 100}});
  EXPECT_DOUBLE_EQ(Scan({{.pid = 12}}), 0);
}

}  // namespace
}  // namespace idlewatt
