#include "collector/process/process_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/collector/readings_support.h"
#include "tests/support/child_process.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class ProcessSamplerTest : public ::testing::Test {
 protected:
  void Start(ProcessSampler::Options options = {}) {
    sampler.emplace(root, std::move(options), &directory);
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
  FileRoot root = proc.Root();
  FakeDirectory directory;
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
  ASSERT_EQ(driver->processes.size(), 1U);
  EXPECT_EQ(driver->processes[0].cpu_ratio, std::nullopt);
  EXPECT_DOUBLE_EQ(driver->processes[0].cpu_seconds, 3);
  EXPECT_DOUBLE_EQ(Cpu("a"), 3);
  proc.Put({.pid = 10, .comm = "a", .user = Ticks(8)});
  proc.Put({.pid = 11, .comm = "new", .user = Ticks(1)});
  Tick();
  EXPECT_DOUBLE_EQ(driver->processes[0].cpu_ratio.value_or(-1), 1);
  EXPECT_EQ(driver->processes[1].cpu_ratio, std::nullopt);
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
  const ProcessRow& row = driver->processes.at(0);
  EXPECT_EQ(row.pid, 10);
  EXPECT_EQ(row.parent, 3);
  EXPECT_EQ(row.start_ticks, 77U);
  EXPECT_EQ(row.name, "a (\xEF\xBF\xBD) b");
  EXPECT_EQ(row.service, "a (\xEF\xBF\xBD) b");
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
  EXPECT_EQ(driver->processes.size(), 2U);
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
  EXPECT_EQ(driver->processes.size(), 1U);
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

// A shell that runs short programs and then stops, so that it is still there to be read. `deep`:
// they are grandchildren, gone together with their parents.
std::string ShellLoop(bool deep) {
  const std::string program = "sh -c 'j=0; while [ $j -lt 4000 ]; do j=$((j+1)); done'";
  return "r=0; while [ $r -lt 8 ]; do i=0; while [ $i -lt 15 ]; do " +
         (deep ? "(" + program + "; true)" : program) +
         "; i=$((i+1)); done; r=$((r+1)); echo round; done; echo end; kill -STOP $$";
}

class RealProcessTest : public ::testing::TestWithParam<bool> {};

TEST_P(RealProcessTest, ALoopOfShortProgramsIsSeen) {
  const Result<FileRoot> proc = FileRoot::Open("/proc");
  ASSERT_TRUE(proc);
  ChildProcess shell({"sh", "-c", ShellLoop(GetParam())});
  FakeDirectory directory;
  directory.roots = {{"loop", shell.pid(), {}}};
  ProcessSampler sampler(*proc, {}, &directory);
  SamplerDriver driver(sampler);
  driver.Read();
  while (shell.WaitForLine("").value_or("end") != "end") {
    driver.ReadAfter(seconds(5));  // while the next round runs
  }
  driver.ReadAfter(seconds(5));
  shell.Signal(SIGKILL);
  ASSERT_TRUE(shell.Wait());
  double counted = 0;
  for (const char* mode : {"user", "system"}) {
    counted += driver.values.at("idlewatt_service_cpu_seconds_total{service=\"loop\",kind=\"" +
                                std::string("supervised\",mode=\"") + mode + "\"}");
  }
  const double truth = shell.cpu_time().count();
  EXPECT_GT(truth, 0.2);
  EXPECT_NEAR(counted, truth, 0.05 * truth + 0.03);
}

INSTANTIATE_TEST_SUITE_P(Depth, RealProcessTest, ::testing::Bool());

}  // namespace
}  // namespace idlewatt
