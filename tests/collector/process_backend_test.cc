// Both backends on real processes of this machine.
#include "collector/process/process_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <thread>

#include "collector/process/process_sampler.h"
#include "tests/collector/readings_support.h"
#include "tests/support/child_process.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;

// CPU time of a thread is known to the kernel's last tick.
constexpr double kTick = 0.01;

void Burn(double cpu_seconds) {
  const auto used = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  // Mostly without the kernel.
  for (const double end = used() + cpu_seconds; used() < end;) {
    for (int left = 100'000; left > 0; --left) {
      asm volatile("" ::: "memory");
    }
  }
}

// A child of this test that does what it is told, one step for each line it is sent.
class Worker {
 public:
  explicit Worker(std::function<void(int step)> work) {
    std::array<int, 2> orders{};
    std::array<int, 2> answers{};
    if (::pipe(orders.data()) != 0 || ::pipe(answers.data()) != 0) ADD_FAILURE() << "pipe";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setsid();
      ::close(orders[1]);
      char order = 0;
      for (int step = 0; ::read(orders[0], &order, 1) == 1; ++step) {
        work(step);
        if (::write(answers[1], &order, 1) != 1) break;
      }
      ::_exit(0);
    }
    ::close(orders[0]);
    ::close(answers[1]);
    orders_.reset(orders[1]);
    answers_.reset(answers[0]);
  }
  ~Worker() { End(); }
  void Step() {
    char answer = '.';
    EXPECT_EQ(::write(orders_.get(), &answer, 1), 1);
    EXPECT_EQ(::read(answers_.get(), &answer, 1), 1);
  }
  // A step in which it becomes another program that stops itself.
  void StepIntoProgram() {
    const char order = '.';
    EXPECT_EQ(::write(orders_.get(), &order, 1), 1);
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOWAIT), 0);
  }
  // Lets it end, and waits for it. Gives its CPU time and that of the children it waited for.
  double End() {
    if (pid_ <= 0) return 0;
    orders_.reset();
    rusage usage{};
    EXPECT_EQ(::wait4(pid_, nullptr, 0, &usage), pid_);
    pid_ = -1;
    const auto in_seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  UniqueFd orders_;
  UniqueFd answers_;
};

class BackendTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "bpf") {
      Result<std::unique_ptr<ProcessBackend>> bpf = MakeBpfBackend();
      if (!bpf) GTEST_SKIP() << bpf.error().ToString();
      backend = std::move(*bpf);
    } else {
      backend = MakeProcBackend(roots.proc);
    }
  }
  bool IsBpf() const { return GetParam() == "bpf"; }
  void Scan() { ASSERT_TRUE(backend->Scan(clock.Now().boot, {}, scan)); }
  const Process* Find(pid_t pid) const {
    for (const Process& process : scan.processes) {
      if (process.pid == pid) return &process;
    }
    return nullptr;
  }
  double Used(pid_t pid) const {
    const Process* process = Find(pid);
    return process != nullptr ? process->used.Total() : -1;
  }

  const RealClock clock;
  MachineRoots roots{std::move(*FileRoot::Open("/proc")), std::move(*FileRoot::Open("/sys"))};
  std::unique_ptr<ProcessBackend> backend;
  ProcessList scan;
};

TEST_P(BackendTest, TellsOfEveryProcessOnceInTheOrderOfPids) {
  Scan();
  for (size_t i = 1; i < scan.processes.size(); ++i) {
    EXPECT_LT(scan.processes[i - 1].pid, scan.processes[i].pid);
  }
  EXPECT_NE(Find(::getpid()), nullptr);
  EXPECT_NE(Find(::getppid()), nullptr);
}

TEST_P(BackendTest, TellsWhatProcTells) {
  Worker worker([](int) {
    pthread_setname_np(pthread_self(), "a) b\nc");
    static std::thread other([] { ::pause(); });
  });
  worker.Step();
  PidStat stat;
  while (stat.state != 'S') {  // until it waits for its next order
    const auto text = roots.proc.Read(std::to_string(worker.pid()) + "/stat");
    ASSERT_TRUE(text && ParsePidStat(*text, stat));
  }
  Scan();
  const Process* process = Find(worker.pid());
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(process->comm, "a) b\nc");
  EXPECT_EQ(process->parent, ::getpid());
  EXPECT_EQ(process->session, worker.pid());
  EXPECT_EQ(process->start, stat.start);
  EXPECT_EQ(process->state, 'S');
  EXPECT_EQ(process->threads, stat.threads);
  EXPECT_GE(process->threads, 2);  // a sanitizer may have one of its own
  EXPECT_FALSE(process->is_kernel_thread);
  EXPECT_NEAR(static_cast<double>(process->memory_bytes),
              static_cast<double>(stat.rss_pages * ::sysconf(_SC_PAGESIZE)), 512.0 * 1024);
  const Process* kernel = Find(2);
  if (kernel != nullptr && kernel->comm == "kthreadd") {
    EXPECT_TRUE(kernel->is_kernel_thread);
    EXPECT_EQ(kernel->memory_bytes, 0);
  }
}

TEST_P(BackendTest, AThreadThatEndedIsPartOfItsProcess) {
  Worker worker([](int step) {
    if (step == 0) return;
    std::thread(Burn, 0.2).join();
    std::thread(Burn, 0.1).join();
    Burn(0.1);
  });
  worker.Step();
  Scan();
  EXPECT_TRUE(Find(worker.pid())->first_seen);
  worker.Step();
  Scan();
  EXPECT_FALSE(Find(worker.pid())->first_seen);
  EXPECT_NEAR(Used(worker.pid()), 0.4, 0.02 + 2 * kTick);
  Scan();
  EXPECT_NEAR(Used(worker.pid()), 0, kTick);
}

TEST_P(BackendTest, UserAndSystemTimeAreToldApart) {
  Worker user([](int) { Burn(0.2); });
  Worker system([](int) {
    for (int i = 0; i < 60'000; ++i) {
      const UniqueFd file(::open("/proc/self/stat", O_RDONLY));
      std::array<char, 512> text{};
      if (::read(file.get(), text.data(), text.size()) < 0) ::_exit(1);
    }
  });
  Scan();
  user.Step();
  system.Step();
  Scan();
  EXPECT_GT(Find(user.pid())->used.user, 0.8 * Used(user.pid()));
  EXPECT_GT(Find(system.pid())->used.system, 0.6 * Used(system.pid()));
}

TEST_P(BackendTest, AProcessThatExecsInAThreadStaysTheSame) {
  Worker worker([](int step) {
    if (step == 0) return;
    std::thread([] { ::execlp("sh", "sh", "-c", "kill -STOP $$", nullptr); }).join();
  });
  worker.Step();
  Scan();
  const uint64_t start = Find(worker.pid())->start;
  worker.StepIntoProgram();
  Scan();
  ASSERT_NE(Find(worker.pid()), nullptr);
  EXPECT_EQ(Find(worker.pid())->comm, "sh");
  EXPECT_EQ(Find(worker.pid())->start, start);
  EXPECT_FALSE(Find(worker.pid())->first_seen);
  EXPECT_GE(Used(worker.pid()), 0);
  EXPECT_LT(Used(worker.pid()), 1);
  ::kill(worker.pid(), SIGKILL);
}

// What nobody could see, because it began and ended between two scans, is told all the same.
TEST_P(BackendTest, AProcessThatEndsIsCountedToItsEnd) {
  Worker worker([](int) { Burn(0.15); });
  worker.Step();
  Scan();
  worker.Step();
  const pid_t pid = worker.pid();
  const double whole = worker.End();
  double told = 0;
  // The kernel frees a task some time after it was waited for, and tells of it only then.
  const auto deadline = std::chrono::steady_clock::now() + seconds(IsBpf() ? 10 : 0);
  do {
    Scan();
    EXPECT_EQ(Find(pid), nullptr);
    for (const EndedUse& ended : scan.ended) told += ended.pid == pid ? ended.used.Total() : 0;
    if (!IsBpf()) told = Used(::getpid());  // not for us: the supervisor's word is taken instead
    std::this_thread::yield();
  } while (IsBpf() && told == 0 && std::chrono::steady_clock::now() < deadline);
  if (IsBpf()) {
    EXPECT_NEAR(told, whole - 0.15, 0.05);
  }
}

INSTANTIATE_TEST_SUITE_P(Real, BackendTest, ::testing::Values("proc", "bpf"),
                         [](const auto& test) { return test.param; });

// A shell that stops, runs short programs when it is continued, and then stops again, so that it
// is still there to be read. `deep`:
// they are grandchildren, gone together with their parents.
std::string ShellLoop(bool deep) {
  const std::string program = "sh -c 'j=0; while [ $j -lt 4000 ]; do j=$((j+1)); done'";
  return "kill -STOP $$; r=0; while [ $r -lt 8 ]; do i=0; while [ $i -lt 15 ]; do " +
         (deep ? "(" + program + "; true)" : program) +
         "; i=$((i+1)); done; r=$((r+1)); echo round; done; echo end; kill -STOP $$";
}

class ShortProgramsTest : public ::testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(ShortProgramsTest, AreSeen) {
  const MachineRoots roots{std::move(*FileRoot::Open("/proc")), std::move(*FileRoot::Open("/sys"))};
  std::unique_ptr<ProcessBackend> backend = MakeProcBackend(roots.proc);
  const bool is_bpf = std::get<0>(GetParam()) == "bpf";
  if (is_bpf) {
    Result<std::unique_ptr<ProcessBackend>> bpf = MakeBpfBackend();
    if (!bpf) GTEST_SKIP() << bpf.error().ToString();
    backend = std::move(*bpf);
  }
  ChildProcess shell({"sh", "-c", ShellLoop(std::get<1>(GetParam()))});
  FakeDirectory directory;
  directory.roots = {{"loop", shell.pid(), {}}};
  ProcessSampler sampler(roots, std::move(backend), {}, &directory, std::make_shared<GpuBoard>());
  SamplerDriver driver(sampler);
  // The kernel's times are those of the real clock.
  const auto read = [&] { driver.ReadAfter(RealClock().Now().boot - driver.clock.Now().boot); };
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(shell.pid()), &info, WSTOPPED | WNOWAIT), 0);
  read();
  shell.Signal(SIGCONT);
  while (shell.WaitForLine("").value_or("end") != "end") {
    read();  // while the next round runs
  }
  read();
  const auto counted = [&] {
    double sum = 0;
    for (const char* mode : {"user", "system"}) {
      sum += driver.values.at("idlewatt_service_cpu_seconds_total{service=\"loop\",kind=\"" +
                              std::string("supervised\",mode=\"") + mode + "\"}");
    }
    return sum;
  };
  // What the shell and its children used, while it is stopped: that of PID/stat.
  const auto text = roots.proc.Read(std::to_string(shell.pid()) + "/stat");
  PidStat stat;
  ASSERT_TRUE(text && ParsePidStat(*text, stat));
  const auto hz = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const double truth =
      static_cast<double>(stat.user + stat.system + stat.children_user + stat.children_system) / hz;
  EXPECT_GT(truth, 0.2);
  const auto deadline = std::chrono::steady_clock::now() + seconds(is_bpf ? 10 : 0);
  while (counted() < 0.95 * truth && std::chrono::steady_clock::now() < deadline) {
    read();  // the last of them are told when the kernel frees them
  }
  EXPECT_NEAR(counted(), truth, 0.05 * truth + 0.03);
  shell.Signal(SIGKILL);
  ASSERT_TRUE(shell.Wait());
}

INSTANTIATE_TEST_SUITE_P(Real, ShortProgramsTest,
                         ::testing::Combine(::testing::Values("proc", "bpf"), ::testing::Bool()),
                         [](const auto& test) {
                           return std::get<0>(test.param) +
                                  (std::get<1>(test.param) ? "_deep" : "_flat");
                         });

}  // namespace
}  // namespace idlewatt
