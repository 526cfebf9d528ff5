#include "supervisor/process/process_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::string_literals::operator""s;

const ServiceMarker kMarker{"a", "/data", "r1"};
const std::string kOurs = "X=1\0IDLEWATT_SERVICE=a\0IDLEWATT_DATA_DIR=/data\0IDLEWATT_RUN=r1\0"s;
const std::string kOther = "IDLEWATT_SERVICE=ab\0IDLEWATT_DATA_DIR=/data\0IDLEWATT_RUN=r1\0"s;
const std::string kOtherRun = "IDLEWATT_SERVICE=a\0IDLEWATT_DATA_DIR=/data\0IDLEWATT_RUN=r12\0"s;

class ProcessScanTest : public ::testing::Test {
 protected:
  void Add(pid_t pid, pid_t parent, pid_t session, char state = 'S', int threads = 1,
           std::string_view environment = {}) {
    const std::string folder = std::to_string(pid);
    tree.Write(folder + "/stat", folder + " (a) (b) " + state + " " + std::to_string(parent) + " " +
                                     std::to_string(session) + " " + std::to_string(session) +
                                     " 0 -1 0 0 0 0 0 0 0 0 0 20 0 " + std::to_string(threads) +
                                     " 0 777 0 0\n");
    tree.Write(folder + "/environ", environment);
  }
  std::vector<pid_t> Members(pid_t root, const KnownMembers& known = {}, bool adopted = false) {
    const FileRoot proc = tree.Root();
    std::vector<pid_t> pids;
    for (const ProcessInfo& p : ProcessScan(proc).MembersOf({root, 777, adopted, kMarker}, known))
      pids.push_back(p.pid);
    return pids;
  }

  FakeTree tree;
  const pid_t self = ::getpid();
};

TEST_F(ProcessScanTest, StatIsSplitBehindTheLastParenthesis) {
  const Result<ProcessInfo> p =
      ParseStat("12 (x) R 9 (y)) S 3 4 5 0 -1 0 0 0 0 0 0 0 0 0 20 0 7 0 99 0 0\n");
  ASSERT_TRUE(p) << p.error().ToString();
  EXPECT_EQ(p->pid, 12);
  EXPECT_EQ(p->parent, 3);
  EXPECT_EQ(p->group, 4);
  EXPECT_EQ(p->session, 5);
  EXPECT_EQ(p->threads, 7);
  EXPECT_EQ(p->start_ticks, 99U);
  EXPECT_FALSE(ParseStat("").ok());
  EXPECT_FALSE(ParseStat("1 (a) S 2").ok());
}

TEST_F(ProcessScanTest, SessionDescentAndMarkerMakeAMember) {
  Add(self, 1, 1);
  Add(self + 1, self, self + 1);                  // root
  Add(self + 2, self + 1, self + 1);              // its child
  Add(self + 3, self, self + 1);                  // an orphan of its session
  Add(self + 4, self + 2, self + 4);              // a descendant with a session of its own
  Add(self + 5, self, self + 5, 'S', 1, kOurs);   // a stray
  Add(self + 6, self, self + 6, 'S', 1, kOther);  // of a service with a longer name
  Add(self + 7, 1, self + 7, 'S', 1, kOurs);      // not ours
  Add(self + 10, self, self + 10, 'S', 1, kOtherRun);
  Add(self + 8, self + 1, self + 1, 'Z');                 // a zombie
  Add(self + 9, self + 1, self + 1, 'Z', /*threads=*/2);  // only its first thread has ended
  EXPECT_THAT(Members(self + 1),
              testing::UnorderedElementsAre(self + 2, self + 3, self + 4, self + 5, self + 9));
}

TEST_F(ProcessScanTest, KnownMemberStaysOneWithItsChildrenAndSession) {
  Add(self, 1, 1);
  Add(self + 2, self, self + 2);  // known
  Add(self + 3, self + 2, 1);     // its child
  Add(self + 4, self, self + 9);  // in the session of one that has ended
  Add(self + 5, self, self + 5);  // has the number of a known one
  Add(self + 6, self + 5, self + 5);
  const KnownMembers known = {{self + 2, 777}, {self + 9, 700}, {self + 5, 700}};
  EXPECT_THAT(Members(self + 1, known),
              testing::UnorderedElementsAre(self + 2, self + 3, self + 4));
}

TEST_F(ProcessScanTest, NumberOfARootThatWasReapedSaysNothing) {
  Add(self, 1, 1);
  Add(self + 2, 1, self + 1);                    // in the session of that number
  Add(self + 3, self, self + 3, 'S', 1, kOurs);  // a stray
  Add(self + 4, 1, self + 4, 'S', 1, kOurs);     // a stray that init got
  EXPECT_THAT(Members(self + 1), testing::UnorderedElementsAre(self + 3));
  EXPECT_THAT(Members(self + 1, {}, /*adopted=*/true),
              testing::UnorderedElementsAre(self + 3, self + 4));
}

TEST_F(ProcessScanTest, WhatAnEarlierDaemonLeftIsNoDescendantOfOurs) {
  Add(self, 1, 1, 'S', 1, kOurs);
  Add(self + 5, self, self + 5, 'S', 1, kOurs);
  Add(self + 6, 1, self + 6, 'S', 1, kOther);
  Add(self + 7, 1, self + 7, 'S', 1, kOurs);
  Add(self + 8, 1, self + 8, 'Z', 1, kOurs);
  const FileRoot proc = tree.Root();
  std::vector<std::pair<std::string, pid_t>> left;
  for (const ProcessScan::Left& one : ProcessScan(proc).FindLeft(kMarker.data_dir)) {
    left.emplace_back(one.service, one.process.pid);
  }
  EXPECT_THAT(left, testing::UnorderedElementsAre(testing::Pair("a", self + 7),
                                                  testing::Pair("ab", self + 6)));
}

TEST_F(ProcessScanTest, RingOfParentsIsNoDescent) {
  Add(self + 1, self + 2, 1);
  Add(self + 2, self + 1, 1);
  const FileRoot proc = tree.Root();
  EXPECT_FALSE(ProcessScan(proc).Descends(self + 1, self));
}

}  // namespace
}  // namespace idlewatt
