#include "supervisor/process/out_of_memory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class OutOfMemoryTest : public ::testing::Test {
 protected:
  void CountOnMachine(int kills) {
    tree.Write("vmstat", "nr_free_pages 5\noom_kill_not 7\noom_kill " + std::to_string(kills) +
                             "\npgfault 9\n");
  }
  // Cgroup v2 alone, with this process in "/d".
  void CountInOwnCgroup(int kills) {
    tree.Write("self/cgroup", "0::/d\n");
    tree.Write("fs/cgroup/cgroup.controllers", "memory\n");
    tree.Write("fs/cgroup/d/memory.events", Events(kills));
  }
  ServiceCgroup MakeRun() {
    tree.Write("fs/cgroup/cgroup.controllers", "memory\n");
    tree.Write("fs/cgroup/d/idlewatt-a/cgroup.events", "populated 1\n");
    struct stat status {};
    EXPECT_EQ(::stat(tree.PathOf("fs/cgroup/d/idlewatt-a").c_str(), &status), 0);
    Result<ServiceCgroup> run = ServiceCgroup::Open(root, "/d/idlewatt-a", status.st_ino);
    EXPECT_TRUE(run) << run.error().ToString();
    return std::move(*run);
  }
  static std::string Events(int kills) {
    return "low 0\noom 9\noom_kill " + std::to_string(kills) + "\noom_group_kill 9\n";
  }

  FakeTree tree;
  FileRoot root = tree.Root();
};

TEST_F(OutOfMemoryTest, KillThatTheMachineCountedExplainsOneEnd) {
  CountOnMachine(3);
  OutOfMemoryWatch watch(root, root);
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr)) << "it was counted before";
  CountOnMachine(5);
  EXPECT_TRUE(watch.StruckSinceLastLook(nullptr));
  EXPECT_TRUE(watch.StruckSinceLastLook(nullptr));
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr));
}

TEST_F(OutOfMemoryTest, KillBeforeTheLastLookExplainsNothing) {
  CountOnMachine(3);
  OutOfMemoryWatch watch(root, root);
  CountOnMachine(4);
  watch.Look();
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr));
  CountOnMachine(5);
  EXPECT_TRUE(watch.StruckSinceLastLook(nullptr));
}

TEST_F(OutOfMemoryTest, OwnCgroupIsAskedBeforeTheMachine) {
  CountOnMachine(3);
  CountInOwnCgroup(0);
  OutOfMemoryWatch watch(root, root);
  CountOnMachine(4);
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr)) << "it was no process of ours";
  CountInOwnCgroup(1);
  EXPECT_TRUE(watch.StruckSinceLastLook(nullptr));
}

TEST_F(OutOfMemoryTest, CgroupOfTheRunKnows) {
  CountOnMachine(3);
  OutOfMemoryWatch watch(root, root);
  const ServiceCgroup run = MakeRun();
  CountOnMachine(4);
  tree.Write("fs/cgroup/d/idlewatt-a/memory.events", Events(0));
  EXPECT_FALSE(watch.StruckSinceLastLook(&run)) << "another was the victim";
  tree.Write("fs/cgroup/d/idlewatt-a/memory.events", Events(1));
  EXPECT_TRUE(watch.StruckSinceLastLook(&run));
}

TEST_F(OutOfMemoryTest, RunWhoseCgroupDoesNotCountIsTreatedAsOneWithout) {
  CountOnMachine(3);
  OutOfMemoryWatch watch(root, root);
  const ServiceCgroup run = MakeRun();
  EXPECT_FALSE(watch.StruckSinceLastLook(&run));
  CountOnMachine(4);
  EXPECT_TRUE(watch.StruckSinceLastLook(&run));
}

TEST_F(OutOfMemoryTest, WhereNothingCanBeReadNothingStruck) {
  OutOfMemoryWatch watch(root, root);
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr));
  CountOnMachine(3);
  EXPECT_FALSE(watch.StruckSinceLastLook(nullptr)) << "nobody knows since when";
}

}  // namespace
}  // namespace idlewatt
