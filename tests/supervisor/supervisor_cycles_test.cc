// What services leave behind, however often and in whatever way they end: nothing.
#include <gmock/gmock.h>

#include "supervisor/process/service_cgroup.h"
#include "tests/supervisor/supervisor_fixture.h"

namespace idlewatt {
namespace {

class SupervisorCyclesTest : public SupervisorFixture {
 protected:
  // What our descriptors mean, of those in our folder: logs and FIFOs.
  std::vector<std::string> OpenFiles() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ended;
      const std::string target = std::filesystem::read_symlink(entry.path(), ended).string();
      if (target.starts_with(DataDir())) files.push_back(target);
    }
    return files;
  }
  std::vector<std::string> Fifos() const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(tree.PathOf("fifo"))) {
      files.push_back(entry.path().filename().string());
    }
    return files;
  }
  // The cgroups of services whose names begin so; others may be of tests that run beside this one.
  static std::vector<std::string> Cgroups(const std::string& prefix) {
    std::vector<std::string> folders;
    const FileRoot proc = std::move(*FileRoot::Open("/proc"));
    const FileRoot sys = std::move(*FileRoot::Open("/sys"));
    const Result<std::string> own = ServiceCgroup::FindOwn(proc, sys);
    if (!own) return folders;
    for (const auto& entry : std::filesystem::directory_iterator(sys.PathOf(*own))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("idlewatt-" + prefix)) folders.push_back(name);
    }
    return folders;
  }
  void ExpectNothingIsOpen() const {
    EXPECT_THAT(OpenFiles(), testing::IsEmpty());
    EXPECT_THAT(Fifos(), testing::IsEmpty());
  }
  [[nodiscard]] bool WaitGone(std::string_view name, ServiceState state) const {
    return Wait(
        name, [&](const ServiceStatus& s) { return s.state == state && !s.has_processes; }, 100s);
  }
  static double ResidentMib() {
    int64_t total = 0;
    int64_t resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / 1048576;
  }
  // How often the loop thread went to sleep so far, and its CPU time.
  static std::pair<int64_t, std::chrono::nanoseconds> LoopUse() {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name;
      std::getline(std::ifstream(task.path() / "comm"), name);
      if (name != "idlewatt-super") continue;
      int64_t wake_ups = 0;
      std::ifstream status(task.path() / "status");
      for (std::string word; status >> word;) {
        if (word == "voluntary_ctxt_switches:") status >> wake_ups;
      }
      int64_t nanoseconds = 0;
      std::ifstream(task.path() / "schedstat") >> nanoseconds;
      return {wake_ups, std::chrono::nanoseconds(nanoseconds)};
    }
    ADD_FAILURE() << "no thread of the loop";
    return {};
  }
  // Nothing is due: the loop must sleep all the time.
  void ExpectTheLoopSleeps() const {
    const auto idle = [&](std::chrono::nanoseconds time) {
      (void)supervisor->WaitFor([](const auto&) { return false; }, time);
    };
    idle(100ms);  // what was put off is told
    const auto [wake_ups, cpu] = LoopUse();
    idle(500ms);
    const auto [wake_ups_after, cpu_after] = LoopUse();
    EXPECT_LE(wake_ups_after - wake_ups, 2);
    EXPECT_LT(cpu_after - cpu, 10ms);
  }
};

TEST_F(SupervisorCyclesTest, EveryWayOutClosesLogAndFifo) {
  const std::string own = "ways" + std::to_string(::getpid());
  ServiceSpec missing = Shell(own + "-missing", "");
  missing.command = {"/no/such/program"};
  ServiceSpec folder = Shell(own + "-folder", "true");
  folder.working_dir = "/no/such/folder";
  const std::string stopped = own + "-stopped";
  const std::string killed = own + "-killed";
  const std::string crashes = own + "-crashes";
  const std::string ends = own + "-ends";
  Create({missing, folder, Shell(stopped, "echo up; exec sleep 1000"),
          Shell(killed, "echo up; exec sleep 1000"), Shell(crashes, "echo why; kill -SEGV $$"),
          Shell(ends, "echo done")});
  const size_t before = OpenDescriptors();

  for (const std::string& name : {missing.name, folder.name, crashes}) {
    ASSERT_TRUE(supervisor->Start(name));
    ASSERT_TRUE(WaitGone(name, ServiceState::kFailed));
    ExpectNothingIsOpen();
  }
  ASSERT_TRUE(supervisor->Start(ends));
  ASSERT_TRUE(WaitGone(ends, ServiceState::kExited));
  ExpectNothingIsOpen();

  StartUp(stopped);
  EXPECT_THAT(OpenFiles(), testing::SizeIs(2)) << "its log and its FIFO";
  EXPECT_THAT(Fifos(), testing::SizeIs(1));
  StopAndWait(stopped);
  ExpectNothingIsOpen();

  StartUp(killed);
  ASSERT_EQ(::kill(Get(killed).pid.value_or(-1), SIGKILL), 0);
  ASSERT_TRUE(WaitGone(killed, ServiceState::kFailed));
  ExpectNothingIsOpen();
  EXPECT_EQ(OpenDescriptors(), before);

  StartUp(stopped);
  supervisor.reset();
  ExpectNothingIsOpen();
  EXPECT_THAT(Cgroups(own), testing::IsEmpty());
}

TEST_F(SupervisorCyclesTest, CyclesLeaveNothingBehind) {
  const std::string name = "cycles" + std::to_string(::getpid());
  Create({Shell(name, "exec sleep 1000")});
  const auto cycle = [&](int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_TRUE(supervisor->Start(name));
      ASSERT_TRUE(WaitState(name, ServiceState::kReady));
      StopAndWait(name);
    }
  };
  cycle(50);  // what is kept from the first ones is no growth
  const size_t descriptors = OpenDescriptors();
  const double resident = ResidentMib();
  cycle(300);
  EXPECT_EQ(OpenDescriptors(), descriptors);
  EXPECT_LT(ResidentMib(), resident + 4);
  EXPECT_EQ(Children(), "") << "not even a zombie";
  EXPECT_THAT(Cgroups(name), testing::IsEmpty());
  EXPECT_THAT(Fifos(), testing::IsEmpty());
  ExpectTheLoopSleeps();
}

TEST_F(SupervisorCyclesTest, ThousandRestartsLeaveNothingBehind) {
  const std::string name = "restarts" + std::to_string(::getpid());
  ServiceSpec spec = Shell(name, "");
  spec.command = {"/bin/true"};
  spec.restart = RestartMode::kAlways;
  spec.backoff.initial = spec.backoff.max = 1ms;
  spec.start_limit.burst = 1000;
  spec.start_limit.interval = 1h;
  Create({spec});
  const size_t descriptors = OpenDescriptors();
  ASSERT_TRUE(supervisor->Start(name));
  ASSERT_TRUE(WaitGone(name, ServiceState::kFailed)) << Get(name).restart_attempts;
  EXPECT_THAT(Get(name).restarts, testing::ElementsAre(testing::Pair("exit", 1000)));
  EXPECT_EQ(OpenDescriptors(), descriptors);
  EXPECT_EQ(Children(), "");
  EXPECT_THAT(Cgroups(name), testing::IsEmpty());
  ExpectNothingIsOpen();
  ExpectTheLoopSleeps();
}

TEST_F(SupervisorCyclesTest, ThousandRotationsLeaveNothingBehind) {
  ServiceSpec spec = Shell("a", "yes 'a line of a log' | head -c 66000000; exec sleep 1000");
  spec.log.max_size = 64 << 10;
  spec.log.max_backups = 2;
  Create({spec});
  const size_t descriptors = OpenDescriptors();
  ASSERT_TRUE(supervisor->Start("a"));
  ASSERT_TRUE(Wait(
      "a", [](const ServiceStatus& s) { return s.log_bytes == 66'000'000; }, 60s));
  EXPECT_EQ(Get("a").log_dropped_bytes, 0);
  ExpectTheLoopSleeps();
  StopAndWait("a");
  EXPECT_EQ(OpenDescriptors(), descriptors);
  ExpectNothingIsOpen();
  const auto files = std::filesystem::directory_iterator(tree.PathOf("log"));
  EXPECT_EQ(std::distance(begin(files), end(files)), 3);
}

}  // namespace
}  // namespace idlewatt
