// Output: never in the way of the service, never more than it may take.
#include <gmock/gmock.h>

#include <thread>

#include "tests/supervisor/supervisor_fixture.h"
#include "tests/support/tmpfs.h"

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

// How long `script` takes without anybody but cat to read what it writes.
std::chrono::nanoseconds TimeIntoCat(const std::string& script) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(std::system(("{ " + script + "; } | cat >/dev/null").c_str()), 0);
  return std::chrono::steady_clock::now() - begin;
}

TEST_F(SupervisorOutputTest, SlowFollowerMissesBytesAndTheServiceDoesNotWait) {
  constexpr uint64_t kBytes = 100U << 20;
  const std::string script = "dd if=/dev/zero bs=64k count=1600 2>/dev/null";
  const auto into_cat = TimeIntoCat(script);
  Create({Shell("a", script)});
  const std::shared_ptr<const LogTail> log = supervisor->Log("a");
  const int64_t before = ResidentBytes();
  uint64_t position = 0;
  uint64_t read = 0;
  uint64_t dropped = 0;
  const auto follow = [&] {
    const LogTail::Piece piece = log->WaitAndRead(position, 1024, 20s);
    position = piece.next;
    read += piece.text.size();
    dropped += piece.dropped;
  };

  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(supervisor->Start("a"));
  for (bool ended = false; !ended;) {  // one piece for each time that the status tells of output
    const int64_t known = Get("a").log_bytes;
    ASSERT_TRUE(Wait("a", [&](const ServiceStatus& s) {
      ended = s.state == ServiceState::kExited && !s.has_processes;
      return ended || s.log_bytes != known;
    }));
    if (!ended) follow();
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  while (position < log->end()) follow();
  RecordProperty("milliseconds_into_cat", static_cast<int>(into_cat / 1ms));
  RecordProperty("milliseconds", static_cast<int>(took / 1ms));
  EXPECT_LT(took, 10 * into_cat + 2s);
  EXPECT_EQ(Get("a").log_bytes, static_cast<int64_t>(kBytes));
  EXPECT_EQ(read + dropped, kBytes);
  EXPECT_GT(dropped, kBytes / 2);
  EXPECT_LT(ResidentBytes() - before, 64 << 20);
}

TEST_F(SupervisorOutputTest, DeletedLogIsMadeAnew) {
  ASSERT_EQ(::mkfifo(tree.PathOf("go").c_str(), 0600), 0);
  ServiceSpec spec = Shell("a", "echo up; read line <go; echo again; exec sleep 1000");
  spec.working_dir = tree.path();
  Create({spec});
  StartUp("a");
  tree.Remove("log/a.log");
  std::ofstream(tree.PathOf("go")) << "\n";
  ASSERT_TRUE(WaitLine("a", "again"));
  EXPECT_EQ(tree.Read("log/a.log"), "again\n");
}

TEST_F(SupervisorOutputTest, FullDiskIsCountedAndTheServiceRunsOn) {
  tree.MakeDir("log");
  const auto disk = Tmpfs::Mount(tree.PathOf("log"), "256k");
  if (!disk) GTEST_SKIP() << "no file system may be mounted here";
  Create({Shell("a", "head -c 1000000 /dev/zero; echo done")});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitEnd("a"));
  const ServiceStatus status = Get("a");
  EXPECT_GT(status.log_bytes, 0);
  EXPECT_LE(status.log_bytes, 256 << 10);
  EXPECT_EQ(status.log_bytes + status.log_dropped_bytes, 1'000'005);
  supervisor.reset();
}

TEST_F(SupervisorOutputTest, LineOfAMegabyteStaysWhole) {
  ServiceSpec spec = Shell("a", "echo first; head -c 1000000 /dev/zero | tr '\\0' x");
  spec.log.compress = false;
  Create({spec});
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(WaitEnd("a"));
  EXPECT_EQ(tree.Read("log/a.log"), "first\n" + std::string(1'000'000, 'x'));
}

TEST_F(SupervisorOutputTest, ServiceThatClosesItsOutputRunsOn) {
  Create({Shell("a", "echo up; exec sleep 1000 >/dev/null 2>&1")});
  StartUp("a");
  EXPECT_EQ(Get("a").state, ServiceState::kReady);
  StopAndWait("a");
}

}  // namespace
}  // namespace idlewatt
