// Output: never in the way of the service, never more than it may take.
#include <gmock/gmock.h>

#include "tests/supervisor/supervisor_fixture.h"

namespace idlewatt {
namespace {

class SupervisorOutputTest : public SupervisorFixture {
 protected:
  [[nodiscard]] bool WaitEnd(std::string_view name) const {
    return Wait(
        name,
        [](const ServiceStatus& s) { return s.state == ServiceState::kExited && !s.has_processes; },
        60s);
  }
  static int64_t ResidentBytes() {
    int64_t total = 0;
    int64_t resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
  }
};

TEST_F(SupervisorOutputTest, FloodIsDrainedInBoundedMemoryAndDisk) {
  ServiceSpec flood = Shell("flood", "head -c 200000000 /dev/zero | tr '\\0' 'x' | fold -w 99");
  flood.log.max_size = 1 << 20;
  flood.log.max_backups = 2;
  Create({flood, Shell("quiet", "echo up; exec sleep 1000")});
  const int64_t before = ResidentBytes();
  ASSERT_TRUE(supervisor->Start("flood"));
  StartUp("quiet");  // answered in the middle of the flood
  ASSERT_TRUE(WaitEnd("flood"));
  EXPECT_GT(Get("flood").log_bytes, 200'000'000);
  EXPECT_EQ(Get("flood").log_dropped_bytes, 0);
  EXPECT_LT(ResidentBytes() - before, 64 << 20);
  int64_t on_disk = 0;
  for (const auto& file : std::filesystem::directory_iterator(tree.PathOf("log"))) {
    on_disk += static_cast<int64_t>(file.file_size());
  }
  EXPECT_LE(on_disk, (3 << 20) + 100);
}

TEST_F(SupervisorOutputTest, VanishedLogFolderIsCountedAndTheServiceRunsOn) {
  Create({Shell("a", "read line </dev/null; head -c 1000000 /dev/zero; echo done")});
  tree.Remove("log");
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitEnd("a"));
  EXPECT_EQ(Get("a").log_dropped_bytes, 1'000'005);
  EXPECT_EQ(Get("a").log_bytes, 0);
  tree.MakeDir("log");
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(Wait("a", [](const ServiceStatus& s) { return s.log_bytes == 1'000'005; }));
}

TEST_F(SupervisorOutputTest, BinaryWithoutNewlineAtTheEndIsKept) {
  Create({Shell("a", "printf 'line\\n\\377\\000\\001tail'")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitEnd("a"));
  EXPECT_EQ(tree.Read("log/a.log"), std::string("line\n\377\000\001tail", 12));
  EXPECT_THAT(Get("a").last_output,
              testing::ElementsAre("line", std::string("\xEF\xBF\xBD\0\1tail", 9)));
}

TEST_F(SupervisorOutputTest, LastLinesAreFewAndBounded) {
  Create({Shell("a", "seq 1 100; head -c 1000000 /dev/zero | tr '\\0' 'y'; echo; seq 1 3")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitEnd("a"));
  const std::vector<std::string> lines = Get("a").last_output;
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_LE(lines[0].size(), 4096U);
  EXPECT_EQ(lines[3], "3");
}

TEST_F(SupervisorOutputTest, ServiceThatClosesItsOutputRunsOn) {
  Create({Shell("a", "echo up; exec sleep 1000 >/dev/null 2>&1")});
  StartUp("a");
  EXPECT_EQ(Get("a").state, ServiceState::kReady);
  StopAndWait("a");
}

}  // namespace
}  // namespace idlewatt
