#include "collector/process/process_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class ProcessSamplerTest : public ::testing::Test {
 protected:
  void Start(ProcessSampler::Options options = {}) {
    sampler.emplace(roots, MakeProcBackend(roots.proc), std::move(options), &directory, board);
    driver.emplace(*sampler);
  }
  // After the first reading of the driver.
  void Tick() { driver->ReadAfter(seconds(5)); }
  void PutIo(int32_t pid, uint64_t read, uint64_t written) {
    proc.PutFile(pid, "io",
                 "rchar: 1\nread_bytes: " + std::to_string(read) +
                     "\nwrite_bytes: " + std::to_string(written) + "\n");
  }
  std::optional<double> Value(const std::string& metric, const std::string& service,
                              const std::string& kind, const std::string& more = "") const {
    const auto it = driver->values.find(metric + "{service=\"" + service + "\",kind=\"" + kind +
                                        "\"" + more + "}");
    return it == driver->values.end() ? std::nullopt : std::optional(it->second);
  }
  // CPU seconds of a service; -1 when it has no series.
  double Cpu(const std::string& service, const std::string& kind = "discovered") const {
    const char* metric = "idlewatt_service_cpu_seconds_total";
    const auto user = Value(metric, service, kind, ",mode=\"user\"");
    const auto system = Value(metric, service, kind, ",mode=\"system\"");
    return user && system ? *user + *system : -1;
  }
  std::optional<double> Processes(const std::string& service,
                                  const std::string& kind = "discovered") const {
    return Value("idlewatt_service_processes", service, kind);
  }
  std::optional<double> Read(const std::string& service) const {
    return Value("idlewatt_service_io_read_bytes_total", service, "supervised");
  }
  // Counters of this reading and of the one before.
  std::map<std::string, double> Counters() const {
    std::map<std::string, double> counters;
    for (const auto& [series, value] : driver->values) {
      if (series.find("_total{") != std::string::npos) counters[series] = value;
    }
    return counters;
  }

  FakeProc proc;
  FakeTree sys;
  MachineRoots roots{proc.Root(), sys.Root()};
  FakeDirectory directory;
  std::shared_ptr<GpuBoard> board = std::make_shared<GpuBoard>();
  std::optional<ProcessSampler> sampler;
  std::optional<SamplerDriver> driver;
  const int32_t self = static_cast<int32_t>(::getpid());
  const double hz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto Ticks(double cpu_seconds) const { return static_cast<uint64_t>(cpu_seconds * hz); }
};

TEST_F(ProcessSamplerTest, AFolderWithoutProcessesIsNoProc) {
  Start();
  driver->Read();
  EXPECT_EQ(driver->result.error().code, ErrorCode::kNoData);
}

TEST_F(ProcessSamplerTest, TheFirstReadingGivesNoCpuRatio) {
  proc.Put({.pid = 10, .comm = "a", .user = Ticks(3)});
  Start();
  driver->Read();
  ASSERT_EQ(driver->processes->size(), 1U);
  EXPECT_EQ(driver->processes->at(0).cpu_ratio, std::nullopt);
  EXPECT_DOUBLE_EQ(driver->processes->at(0).cpu_seconds, 3);
  EXPECT_DOUBLE_EQ(Cpu("a"), 3);
  proc.Put({.pid = 10, .comm = "a", .user = Ticks(8)});
  proc.Put({.pid = 11, .comm = "new", .user = Ticks(1)});
  Tick();
  EXPECT_DOUBLE_EQ(driver->processes->at(0).cpu_ratio.value_or(-1), 1);
  EXPECT_EQ(driver->processes->at(1).cpu_ratio, std::nullopt);
}

TEST_F(ProcessSamplerTest, ARowTellsWhoAProcessIs) {
  proc.Put({.pid = 10,
            .comm = "a (\xFF) b",
            .parent = 3,
            .start = 77,
            .rss_pages = 5,
            .threads = 4,
            .state = 'R'});
  Start();
  driver->Read();
  const ProcessRow& row = driver->processes->at(0);
  EXPECT_EQ(row.pid, 10);
  EXPECT_EQ(row.parent, 3);
  EXPECT_EQ(row.start_ticks, 77U);
  EXPECT_EQ(row.name, "a (\xEF\xBF\xBD) b");
  EXPECT_EQ(*row.service, "a (\xEF\xBF\xBD) b");
  EXPECT_EQ(row.state, 'R');
  EXPECT_EQ(row.memory_bytes, 5 * ::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(row.threads, 4);
}

TEST_F(ProcessSamplerTest, CountersDoNotFallWhenProcessesDie) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = self});
  proc.Put({.pid = 600, .parent = self, .user = Ticks(1)});
  proc.Put({.pid = 601, .parent = 600, .user = Ticks(2)});
  PutIo(600, 100, 0);
  PutIo(601, 1000, 0);
  Start();
  driver->Read();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 3);
  EXPECT_EQ(Read("web"), 1100);
  auto before = Counters();
  for (int32_t pid : {601, 600}) {
    proc.Kill(pid);
    Tick();
    for (const auto& [series, value] : before) EXPECT_GE(Counters()[series], value) << series;
    before = Counters();
  }
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 3);
  EXPECT_EQ(Processes("web", "supervised"), 0);
}

TEST_F(ProcessSamplerTest, AStoppedServiceKeepsItsCountersForDays) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = self});
  proc.Put({.pid = 600, .parent = self, .user = Ticks(7)});
  Start();
  driver->Read();
  proc.Kill(600);
  directory.roots.clear();
  for (int i = 0; i < 3; ++i) driver->ReadAfter(std::chrono::hours(24));
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 7);
  directory.roots = {{"web", 700, {}}};
  proc.Put({.pid = 700, .parent = self, .user = Ticks(1), .start = 900});
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 8);
}

TEST_F(ProcessSamplerTest, AnEndedRootIsCountedInItsService) {
  proc.Put({.pid = self});
  Start();
  driver->Read();
  directory.ended = {{"job", 700, 2, 1}};
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("job", "supervised"), 3);
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("job", "supervised"), 3);
}

TEST_F(ProcessSamplerTest, TheGrowthOfAllServicesIsWhatAllProcessesUsed) {
  ProcessSampler::Options options;
  options.discovered_top = 2;
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = self});
  proc.Put({.pid = 600, .parent = self});
  for (int i = 0; i < 6; ++i) proc.Put({.pid = 10 + i, .comm = "p" + std::to_string(i)});
  Start(options);
  driver->Read();
  auto before = Counters();
  std::vector<uint64_t> used(6);
  for (uint64_t round = 1; round <= 40; ++round) {
    // The busiest two change, so that services come out of "other" and go back.
    double expected = 0;
    for (uint64_t i = 0; i < 6; ++i) {
      const uint64_t grown = (round / 8 + i) % 6 * 30;
      used[i] += grown;
      expected += static_cast<double>(grown) / hz;
      proc.Put(
          {.pid = static_cast<int32_t>(10 + i), .comm = "p" + std::to_string(i), .user = used[i]});
    }
    proc.Put({.pid = 600, .parent = self, .user = round * 10});
    expected += 10 / hz;
    if (round > 20) proc.Put({.pid = 20, .comm = "late", .user = round * 20, .start = 200});
    if (round > 20) expected += (round == 21 ? 420 : 20) / hz;
    driver->ReadAfter(seconds(30));
    double growth = 0;  // as a reader sees it, who knows the first value of a series shows none
    for (const auto& [series, value] : Counters()) {
      if (before.contains(series)) growth += value - before[series];
    }
    EXPECT_NEAR(growth, expected, 1e-6) << round;
    before = Counters();
  }
}

TEST_F(ProcessSamplerTest, EveryProcessIsInOneServiceAndTheSumsAreWhole) {
  ProcessSampler::Options options;
  options.discovered_top = 1;
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = 600, .parent = self, .rss_pages = 100, .threads = 2});
  for (int i = 0; i < 5; ++i) {
    proc.Put({.pid = 10 + i, .comm = "p" + std::to_string(i), .rss_pages = i, .threads = 3});
  }
  Start(options);
  driver->Read();
  double processes = 0;
  double threads = 0;
  double memory = 0;
  for (const auto& [series, value] : driver->values) {
    if (series.starts_with("idlewatt_service_processes")) processes += value;
    if (series.starts_with("idlewatt_service_threads")) threads += value;
    if (series.starts_with("idlewatt_service_resident")) memory += value;
  }
  EXPECT_EQ(processes, 6);
  EXPECT_EQ(threads, 17);
  EXPECT_EQ(memory, 110 * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(Processes("other"), 4);
}

TEST_F(ProcessSamplerTest, TheBusiestServicesAreShown) {
  ProcessSampler::Options options;
  options.discovered_top = 2;
  const auto put = [&](double a, double b, double c) {
    proc.Put({.pid = 10, .comm = "a", .user = Ticks(a)});
    proc.Put({.pid = 11, .comm = "b", .user = Ticks(b)});
    proc.Put({.pid = 12, .comm = "c", .user = Ticks(c)});
  };
  put(0, 0, 0);
  Start(options);
  driver->Read();
  put(0, 50, 60);
  driver->ReadAfter(minutes(5));
  EXPECT_EQ(Processes("a"), std::nullopt);
  EXPECT_EQ(Processes("b"), 1);
  EXPECT_EQ(Processes("c"), 1);
  EXPECT_EQ(Processes("other"), 1);
}

TEST_F(ProcessSamplerTest, AServiceIsReplacedOnlyByOneThatIsClearlyBusier) {
  ProcessSampler::Options options;
  options.discovered_top = 1;
  double a = 0;
  double b = 0;
  const auto tick = [&](double a_more, double b_more) {
    a += a_more;
    b += b_more;
    proc.Put({.pid = 10, .comm = "a", .user = Ticks(a)});
    proc.Put({.pid = 11, .comm = "b", .user = Ticks(b)});
    driver->ReadAfter(minutes(10));
  };
  proc.Put({.pid = 10, .comm = "a"});
  proc.Put({.pid = 11, .comm = "b"});
  Start(options);
  driver->Read();
  tick(100, 10);
  EXPECT_EQ(Processes("a"), 1);
  tick(100, 110);  // busier, but not by a quarter
  EXPECT_EQ(Processes("a"), 1);
  tick(100, 140);
  EXPECT_EQ(Processes("b"), 1);
  EXPECT_EQ(Processes("a"), std::nullopt);
}

TEST_F(ProcessSamplerTest, ZombiesUseNoMemoryAndAreNoProcesses) {
  proc.Put({.pid = 10, .comm = "a"});
  proc.Put({.pid = 11, .comm = "a", .parent = 10, .rss_pages = 0, .threads = 1, .state = 'Z'});
  Start();
  driver->Read();
  EXPECT_EQ(Processes("a"), 1);
  EXPECT_EQ(Value("idlewatt_service_threads", "a", "discovered"), 1);
  EXPECT_EQ(driver->processes->size(), 2U);
}

TEST_F(ProcessSamplerTest, AProcessThatVanishesDuringTheScanIsLeftOut) {
  proc.Put({.pid = 10, .comm = "a"});
  proc.MakeDir("11");              // its stat is gone
  proc.Write("12/stat", "");       // gone between open and read
  proc.Write("13/stat", "13 (x");  // nonsense
  proc.MakeDir("14/stat");
  proc.MakeDir("sys");
  Start();
  driver->Read();
  EXPECT_TRUE(driver->result.ok());
  EXPECT_EQ(driver->processes->size(), 1U);
}

TEST_F(ProcessSamplerTest, IoAndDescriptorsAreReadOfMembersOnly) {
  directory.roots = {{"web", 600, {}}};
  for (const int32_t pid : {600, 700}) {
    proc.Put({.pid = pid, .comm = "p", .parent = self});
    PutIo(pid, 4096, 8192);
    for (const char* fd : {"0", "1", "2"}) {
      proc.Link(std::to_string(pid) + "/fd/" + fd, "/dev/null");
    }
  }
  Start();
  driver->Read();
  EXPECT_EQ(Read("web"), 4096);
  EXPECT_EQ(Value("idlewatt_service_io_written_bytes_total", "web", "supervised"), 8192);
  EXPECT_EQ(Value("idlewatt_service_open_fds", "web", "supervised"), 3);
  EXPECT_EQ(Value("idlewatt_service_io_read_bytes_total", "p", "discovered"), std::nullopt);
  EXPECT_EQ(Value("idlewatt_service_open_fds", "p", "discovered"), std::nullopt);
}

TEST_F(ProcessSamplerTest, WhatMayNotBeReadHasNoSeries) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = 600, .parent = self});
  Start();
  driver->Read();
  EXPECT_EQ(Read("web"), std::nullopt);
  EXPECT_EQ(Value("idlewatt_service_open_fds", "web", "supervised"), std::nullopt);
}

TEST_F(ProcessSamplerTest, DescriptorsAreCountedEveryThirtySeconds) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = 600, .parent = self});
  proc.Link("600/fd/0", "/dev/null");
  Start();
  driver->Read();
  proc.Link("600/fd/1", "/dev/null");
  Tick();
  EXPECT_EQ(Value("idlewatt_service_open_fds", "web", "supervised"), 1);
  driver->ReadAfter(seconds(25));
  EXPECT_EQ(Value("idlewatt_service_open_fds", "web", "supervised"), 2);
}

TEST_F(ProcessSamplerTest, TheIoOfAChainThatIsGoneIsCountedOnce) {
  directory.roots = {{"web", 600, {}}};
  const int32_t chain[] = {600, 601, 602};
  for (const int32_t pid : chain) {
    proc.Put({.pid = pid, .parent = pid == 600 ? self : pid - 1});
    PutIo(pid, 1000, 0);
  }
  Start();
  driver->Read();
  EXPECT_EQ(Read("web"), 3000);
  proc.Kill(601);
  proc.Kill(602);
  PutIo(600, 3500, 0);  // what both had read, and 500 more
  Tick();
  EXPECT_EQ(Read("web"), 3500);
}

TEST_F(ProcessSamplerTest, ACycleInTheIoOfTheGoneEnds) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = 600, .parent = self});
  proc.Put({.pid = 601, .parent = 602, .session = 600});
  proc.Put({.pid = 602, .parent = 601, .session = 600});
  for (const int32_t pid : {600, 601, 602}) PutIo(pid, 10, 0);
  Start();
  driver->Read();
  proc.Kill(601);
  proc.Kill(602);
  Tick();
  EXPECT_EQ(Read("web"), 30);
}

TEST_F(ProcessSamplerTest, ACgroupOfItsOwnTellsBetterThanTheParents) {
  directory.roots = {{"web", 600, {}}};
  const auto use = [&](int64_t user, int64_t system) {
    sys.Write("fs/cgroup/web/cpu.stat", "usage_usec " + std::to_string(user + system) +
                                            "\nuser_usec " + std::to_string(user) +
                                            "\nsystem_usec " + std::to_string(system) + "\n");
  };
  sys.Write("fs/cgroup/cgroup.controllers", "cpu\n");
  proc.Put({.pid = 600, .parent = self, .user = Ticks(1)});
  proc.PutFile(600, "cgroup", "0::/web\n");
  proc.Put({.pid = 700});
  use(100'000'000, 0);
  Start();
  driver->Read();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 1) << "what the cgroup used before is not told";
  use(102'000'000, 500'000);
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 3.5);
  proc.Put({.pid = 600, .parent = self, .user = Ticks(5)});
  use(0, 0);  // made anew
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 7.5) << "the processes tell while the cgroup can't";
  sys.Remove("fs/cgroup/web");
  proc.Put({.pid = 600, .parent = self, .user = Ticks(6)});
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 8.5);
}

TEST_F(ProcessSamplerTest, ServicesBelowTheDaemonsCgroupAreNotCountedToIt) {
  const auto use = [&](const std::string& cgroup, int user) {
    sys.Write("fs/cgroup/" + cgroup + "/cpu.stat",
              "user_usec " + std::to_string(user) + "000000\nsystem_usec 0\n");
  };
  directory.roots = {{"web", 600, {}, "/i.service/idlewatt-web"}};
  sys.Write("fs/cgroup/cgroup.controllers", "cpu\n");
  proc.Put({.pid = 500, .comm = "idlewatt"});
  proc.PutFile(500, "cgroup", "0::/i.service\n");
  proc.Put({.pid = 600, .parent = 500});
  proc.PutFile(600, "cgroup", "0::/i.service/idlewatt-web\n");
  use("i.service", 100);
  use("i.service/idlewatt-web", 90);
  Start();
  driver->Read();
  Tick();
  use("i.service", 108);
  use("i.service/idlewatt-web", 97);
  proc.Put({.pid = 500, .comm = "idlewatt", .user = Ticks(1)});
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 7);
  EXPECT_DOUBLE_EQ(Cpu("i.service"), 1);
}

TEST_F(ProcessSamplerTest, ACgroupThatIsSharedIsNobodysOwn) {
  directory.roots = {{"web", 600, {}}};
  sys.Write("fs/cgroup/cgroup.controllers", "cpu\n");
  proc.Put({.pid = 600, .parent = self});
  proc.PutFile(600, "cgroup", "0::/both\n");
  proc.Put({.pid = 700, .comm = "stranger"});
  proc.PutFile(700, "cgroup", "0::/both/below\n");
  sys.Write("fs/cgroup/both/cpu.stat", "user_usec 0\nsystem_usec 0\n");
  sys.Write("fs/cgroup/both/below/cpu.stat", "user_usec 0\nsystem_usec 0\n");
  Start();
  driver->Read();
  Tick();
  sys.Write("fs/cgroup/both/cpu.stat", "user_usec 5000000\nsystem_usec 0\n");
  sys.Write("fs/cgroup/both/below/cpu.stat", "user_usec 2000000\nsystem_usec 0\n");
  Tick();
  EXPECT_DOUBLE_EQ(Cpu("web", "supervised"), 0);
  EXPECT_DOUBLE_EQ(Cpu("stranger"), 2) << "the folder below is its own";
}

TEST_F(ProcessSamplerTest, GpuUseIsThatOfTheServiceOfTheProcess) {
  directory.roots = {{"web", 600, {}}};
  proc.Put({.pid = 600, .parent = self});
  proc.Put({.pid = 601, .parent = 600});
  Start();
  driver->Read();
  board->Publish("nvml", {{600, "gpu0", 1e9, 2}, {601, "gpu0", 5e8, 1}, {999, "gpu0", 1, 1}});
  board->Publish("drm", {{601, "gpu1", 3e8, 0}});
  Tick();
  const auto gpu = [&](const char* metric, const char* name) {
    return Value(metric, "web", "supervised", ",gpu=\"" + std::string(name) + "\"");
  };
  EXPECT_EQ(gpu("idlewatt_service_gpu_memory_bytes", "gpu0"), 1.5e9);
  EXPECT_EQ(gpu("idlewatt_service_gpu_memory_bytes", "gpu1"), 3e8);
  EXPECT_EQ(gpu("idlewatt_service_gpu_seconds_total", "gpu0"), 3);
  board->Publish("nvml", {{600, "gpu0", 1e9, 4}, {601, "gpu0", 5e8, 0.5}});  // 601: began anew
  Tick();
  EXPECT_EQ(gpu("idlewatt_service_gpu_seconds_total", "gpu0"), 5.5);
  board->Publish("nvml", {});
  Tick();
  EXPECT_EQ(gpu("idlewatt_service_gpu_memory_bytes", "gpu0"), 0);
  EXPECT_EQ(gpu("idlewatt_service_gpu_seconds_total", "gpu0"), 5.5);
}

TEST_F(ProcessSamplerTest, GpuUseOfHiddenServicesIsThatOfOther) {
  ProcessSampler::Options options;
  options.discovered_top = 1;
  proc.Put({.pid = 10, .comm = "a", .rss_pages = 10});
  proc.Put({.pid = 11, .comm = "b", .rss_pages = 20});
  board->Publish("drm", {{10, "gpu0", 1e6, 1}});
  Start(options);
  driver->Read();
  const auto other = [&](const char* metric) {
    return Value(metric, "other", "discovered", ",gpu=\"gpu0\"");
  };
  EXPECT_EQ(other("idlewatt_service_gpu_memory_bytes"), 1e6);
  EXPECT_EQ(other("idlewatt_service_gpu_seconds_total"), 1);
  Tick();
  EXPECT_EQ(other("idlewatt_service_gpu_seconds_total"), 1);
}

TEST_F(ProcessSamplerTest, AServiceThatOnlyUsesAGpuIsShown) {
  ProcessSampler::Options options;
  options.discovered_top = 1;
  proc.Put({.pid = 10, .comm = "gpu user"});
  proc.Put({.pid = 11, .comm = "cpu user"});
  Start(options);
  driver->Read();
  proc.Put({.pid = 11, .comm = "cpu user", .user = Ticks(60)});
  board->Publish("nvml", {{10, "gpu0", 8e9, 30}});
  driver->ReadAfter(minutes(1));
  EXPECT_EQ(Processes("gpu user"), 1);
  EXPECT_EQ(Processes("cpu user"), std::nullopt);
}

TEST_F(ProcessSamplerTest, WhyBpfIsNotThereIsARow) {
  ProcessSampler::Options options;
  options.without_bpf = Error{ErrorCode::kPermission, "BPF", EPERM, "refused"};
  proc.Put({.pid = 10});
  Start(std::move(options));
  driver->Read();
  const SourceStatus& row = driver->rows.back();
  EXPECT_EQ(row.source, "process:bpf");
  ASSERT_TRUE(row.error);
  EXPECT_THAT(row.remedy, ::testing::HasSubstr("cap_bpf"));
}

}  // namespace
}  // namespace idlewatt
