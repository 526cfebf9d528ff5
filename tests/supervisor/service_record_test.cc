#include "supervisor/service_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <thread>

#include "base/text.h"
#include "supervisor/process/process_scan.h"
#include "tests/support/child_process.h"
#include "tests/support/fake_proc.h"
#include "tests/support/fake_tree.h"
#include "tests/support/tmpfs.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

RunRecord SomeRun(std::string run) {
  RunRecord r;
  r.run = std::move(run);
  r.pid = 4321;
  r.start_ticks = 18'000'000'000'000'000'000U;
  r.fifo = "/data/out/\"a\"\\\n";
  r.cgroup = "/idlewatt-a";
  r.cgroup_id = 17;
  r.port = 8001;
  r.model = "modèle";
  r.started = WallTime(milliseconds(1'700'000'000'123));
  r.started_boot = BootTime(nanoseconds(123'456'789'012'345));
  r.ready_boot = BootTime(nanoseconds(123'456'789'012'346));
  return r;
}

// Every field differs from what a new record holds.
ServiceRecord FullRecord() {
  ServiceRecord r;
  r.boot_id = "0b";
  r.state = ServiceState::kBackoff;
  r.run = SomeRun("r1");
  r.others = {SomeRun("r2"), SomeRun("r3")};
  r.others[1].port.reset();
  r.others[1].ready_boot.reset();
  r.fingerprint = "f";
  r.model = "big.gguf";
  r.command = {"server", "-m", "${MODEL}"};
  r.restart_times = {BootTime(nanoseconds(1)), BootTime(nanoseconds(2))};
  r.restart_attempts = 3;
  r.next_retry = BootTime(nanoseconds(7));
  r.restarts = {{"crash", 4}, {"liveness", 5}};
  r.start_durations.counts.fill(6);
  r.start_durations.counts.back() = 18'000'000'000'000'000'000U;
  r.start_durations.sum_seconds = 0.1 + 0.2;
  r.last_exit = LastExit{
      LastExit::Kind::kOutOfMemory, 9, WallTime(milliseconds(8)), "killed", {"one", "two"}};
  r.failure = "it failed";
  r.stopped_by_operator = true;
  return r;
}

void ExpectSameRun(const RunRecord& a, const RunRecord& b) {
  EXPECT_EQ(a.run, b.run);
  EXPECT_EQ(a.pid, b.pid);
  EXPECT_EQ(a.start_ticks, b.start_ticks);
  EXPECT_EQ(a.fifo, b.fifo);
  EXPECT_EQ(a.cgroup, b.cgroup);
  EXPECT_EQ(a.cgroup_id, b.cgroup_id);
  EXPECT_EQ(a.port, b.port);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.started, b.started);
  EXPECT_EQ(a.started_boot, b.started_boot);
  EXPECT_EQ(a.ready_boot, b.ready_boot);
}

std::string ErrorOf(std::string_view text) {
  const Result<ServiceRecord> record = ParseServiceRecord(text);
  if (record) return "";
  EXPECT_EQ(record.error().code, ErrorCode::kParse);
  return record.error().ToString();
}

// `text` with `from`, which it must hold, replaced by `to`.
std::string With(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no " << from << " in " << text;
    return text;
  }
  return text.replace(at, from.size(), to);
}

TEST(ServiceRecordTest, EveryFieldComesBack) {
  const ServiceRecord a = FullRecord();
  const Result<ServiceRecord> parsed = ParseServiceRecord(FormatServiceRecord(a));
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  const ServiceRecord& b = *parsed;
  EXPECT_EQ(a.boot_id, b.boot_id);
  EXPECT_EQ(a.state, b.state);
  ASSERT_TRUE(b.run);
  ExpectSameRun(*a.run, *b.run);
  ASSERT_EQ(b.others.size(), 2U);
  ExpectSameRun(a.others[0], b.others[0]);
  ExpectSameRun(a.others[1], b.others[1]);
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.command, b.command);
  EXPECT_EQ(a.restart_times, b.restart_times);
  EXPECT_EQ(a.restart_attempts, b.restart_attempts);
  EXPECT_EQ(a.next_retry, b.next_retry);
  EXPECT_EQ(a.restarts, b.restarts);
  EXPECT_EQ(a.start_durations.counts, b.start_durations.counts);
  EXPECT_EQ(a.start_durations.sum_seconds, b.start_durations.sum_seconds);
  ASSERT_TRUE(b.last_exit);
  EXPECT_EQ(a.last_exit->kind, b.last_exit->kind);
  EXPECT_EQ(a.last_exit->value, b.last_exit->value);
  EXPECT_EQ(a.last_exit->at, b.last_exit->at);
  EXPECT_EQ(a.last_exit->text, b.last_exit->text);
  EXPECT_EQ(a.last_exit->lines, b.last_exit->lines);
  EXPECT_EQ(a.failure, b.failure);
  EXPECT_EQ(a.stopped_by_operator, b.stopped_by_operator);
}

TEST(ServiceRecordTest, EveryStateComesBack) {
  for (size_t i = 0; i < kServiceStateCount; ++i) {
    ServiceRecord record;
    record.state = static_cast<ServiceState>(i);
    const Result<ServiceRecord> parsed = ParseServiceRecord(FormatServiceRecord(record));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(parsed->state, record.state);
    EXPECT_FALSE(parsed->run || parsed->next_retry || parsed->last_exit);
  }
}

TEST(ServiceRecordTest, NoPartOfARecordIsARecord) {
  const std::string text = FormatServiceRecord(FullRecord());
  for (size_t size = 0; size + 1 < text.size(); ++size) {
    EXPECT_NE(ErrorOf(text.substr(0, size)), "") << size << " bytes of " << text.size();
  }
}

TEST(ServiceRecordTest, OtherVersionIsRefusedAndNamed) {
  const std::string text = FormatServiceRecord(FullRecord());
  EXPECT_EQ(ErrorOf(With(text, "\"version\": 1", "\"version\": 2")),
            "is of version 2, only 1 is known");
  EXPECT_EQ(ErrorOf(With(text, "\"version\": 1", "\"version\": \"1\"")), "says no version");
  EXPECT_EQ(ErrorOf(With(text, "\"version\": 1,", "")), "says no version");
  EXPECT_EQ(ErrorOf("[1]"), "is not a record of a service");
}

TEST(ServiceRecordTest, WrongFieldIsNamed) {
  const std::string text = FormatServiceRecord(FullRecord());
  EXPECT_EQ(ErrorOf(With(text, "\"pid\": 4321", "\"pid\": -1")), "\"run\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"pid\": 4321", "\"pid\": 4294967297")),
            "\"run\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"port\": 8001", "\"port\": 65536")),
            "\"run\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"backoff\"", "\"asleep\"")), "\"state\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"next_retry\": 7", "\"next_retry\": 9223372036854775807")),
            "\"next_retry\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"restart_attempts\": 3", "\"restart_attempts\": 3.5")),
            "\"restart_attempts\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "      6,\n", "")), "\"start_durations\" is missing or wrong");
  EXPECT_EQ(ErrorOf(With(text, "\"failure\": \"it failed\",", "")),
            "\"failure\" is missing or wrong");
}

class ServiceRecordsTest : public ::testing::Test {
 protected:
  ServiceRecords OpenRecords() {
    Result<ServiceRecords> records = ServiceRecords::Open(tree.PathOf("services"));
    EXPECT_TRUE(records) << records.error().ToString();
    return std::move(*records);
  }
  std::vector<std::string> Files() const { return *tree.Root().List("services"); }

  FakeTree tree;
};

TEST_F(ServiceRecordsTest, WhatWasSavedLastIsLoaded) {
  ServiceRecords records = OpenRecords();
  EXPECT_TRUE(records.Load().empty());
  records.Save("a", FullRecord());
  records.Save("b.json", ServiceRecord());
  ServiceRecord newer = FullRecord();
  newer.run->pid = 77;
  records.Save("a", newer);

  auto loaded = OpenRecords().Load();
  ASSERT_EQ(loaded.size(), 2U);
  EXPECT_EQ(loaded.at("a").run->pid, 77);
  EXPECT_FALSE(loaded.at("b.json").run);

  records.Remove("a");
  EXPECT_THAT(Files(), testing::ElementsAre("b.json.json"));
}

TEST_F(ServiceRecordsTest, OnlyTheOwnerCanLook) {
  OpenRecords().Save("a", ServiceRecord());
  struct stat status {};
  ASSERT_EQ(::stat(tree.PathOf("services").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat(tree.PathOf("services/a.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(ServiceRecordsTest, DamagedFilesAreSetAsideAndTheOthersAreLoaded) {
  ServiceRecords records = OpenRecords();
  records.Save("a", FullRecord());
  tree.Write("services/b.json", "{\"version\": 1");
  tree.Write("services/c.json", "");
  tree.MakeDir("services/d.json");
  tree.Write("services/a.json.new", "what a killed daemon had begun");
  EXPECT_EQ(records.Load().size(), 1U);
  EXPECT_THAT(Files(), testing::ElementsAre("a.json", "a.json.new", "b.json.damaged",
                                            "c.json.damaged", "d.json.damaged"));
  EXPECT_EQ(tree.Read("services/b.json.damaged"), "{\"version\": 1");
  records.Save("b", FullRecord());
  EXPECT_EQ(records.Load().size(), 2U);
}

TEST_F(ServiceRecordsTest, FolderThatCannotBeMadeIsAnError) {
  tree.Write("services", "a file");
  EXPECT_FALSE(ServiceRecords::Open(tree.PathOf("services")).ok());
  EXPECT_FALSE(ServiceRecords::Open(tree.PathOf("no/such")).ok());
}

TEST_F(ServiceRecordsTest, DaemonThatDiedWhileItReplacedARecordLeavesAWholeOne) {
  ServiceRecords records = OpenRecords();
  records.Save("a", FullRecord());
  std::filesystem::rename(tree.PathOf("services/a.json"), tree.PathOf("services/a.json.new"));
  EXPECT_EQ(records.Load().at("a").run->pid, 4321) << "the old one was removed, the new one whole";
  tree.Write("services/a.json.new", "{ half of");
  EXPECT_EQ(records.Load().at("a").run->pid, 4321) << "the old one was there";
}

TEST_F(ServiceRecordsTest, FullDiskLeavesTheRecordThatWasThere) {
  tree.MakeDir("services");
  const auto disk = Tmpfs::Mount(tree.PathOf("services"), "64k");
  if (disk == nullptr) {
    GTEST_SKIP() << "needs the right to mount (root): " << std::strerror(errno);
  }
  ServiceRecords records = OpenRecords();
  records.Save("a", FullRecord());
  ServiceRecord newer = FullRecord();
  newer.run->pid = 77;
  {
    std::ofstream ballast(tree.PathOf("services/ballast"), std::ios::binary);
    while (ballast.put('x').flush()) {
    }
  }
  records.Save("a", newer);
  EXPECT_EQ(records.Load().at("a").run->pid, 4321);
  EXPECT_THAT(Files(), testing::ElementsAre("a.json", "ballast"));

  tree.Remove("services/ballast");
  records.Save("a", newer);
  EXPECT_EQ(records.Load().at("a").run->pid, 77);
}

constexpr std::string_view kBootId = "e0c8a0a6-0000-4000-8000-000000000001";

// Which process is the one that was started is told by all of: boot, number, start time, marks.
class VerifyRunTest : public ::testing::Test {
 protected:
  VerifyRunTest() {
    proc.Write("sys/kernel/random/boot_id", std::string(kBootId) + "\n");
    proc.Put({.pid = 500, .start = 9000});
    PutMarks("a", "/data", "r1");
    run.run = "r1";
    run.pid = 500;
    run.start_ticks = 9000;
  }
  void PutMarks(const std::string& service, const std::string& data_dir, const std::string& name) {
    using std::string_literals::operator""s;
    proc.PutFile(500, "environ",
                 "PATH=/bin\0IDLEWATT_SERVICE="s + service + "\0IDLEWATT_DATA_DIR="s + data_dir +
                     "\0IDLEWATT_RUN="s + name + "\0"s);
  }
  // Why not; empty when it is the one.
  std::string Refusal(std::string_view boot_id = kBootId) const {
    const Result<void> verified = VerifyRun(proc.Root(), run, std::string(boot_id), "a", "/data");
    return verified ? "" : verified.error().ToString();
  }

  FakeProc proc;
  RunRecord run;
};

TEST_F(VerifyRunTest, ProcessThatAgreesInEverythingIsTheOne) { EXPECT_EQ(Refusal(), ""); }

TEST_F(VerifyRunTest, RecycledNumberIsRefused) {
  proc.Put({.pid = 500, .start = 9001});
  EXPECT_EQ(Refusal(), "process 500: is another one with the same number");
}

TEST_F(VerifyRunTest, ProcessThatIsGoneIsRefused) {
  proc.Kill(500);
  EXPECT_THAT(Refusal(), testing::HasSubstr("No such file"));
}

TEST_F(VerifyRunTest, OtherBootIsRefused) {
  EXPECT_EQ(Refusal("e0c8a0a6-0000-4000-8000-000000000002"), "process 500: is of another boot");
  EXPECT_EQ(Refusal(""), "process 500: is of another boot");
  proc.Remove("sys");
  EXPECT_EQ(Refusal(""), "process 500: the boot has no known id");
}

TEST_F(VerifyRunTest, OtherMarksAreRefused) {
  PutMarks("ab", "/data", "r1");
  EXPECT_EQ(Refusal(), "process 500: its environment says IDLEWATT_SERVICE=ab");
  PutMarks("a", "/data2", "r1");
  EXPECT_EQ(Refusal(), "process 500: its environment says IDLEWATT_DATA_DIR=/data2");
  PutMarks("a", "/data", "r2");
  EXPECT_EQ(Refusal(), "process 500: its environment says IDLEWATT_RUN=r2");
}

TEST_F(VerifyRunTest, ServerThatWroteOverItsEnvironmentIsTheOne) {
  proc.PutFile(500, "environ", "redis-server 127.0.0.1:6379");
  EXPECT_EQ(Refusal(), "");
}

TEST_F(VerifyRunTest, ProcessThatLeadsNoSessionIsRefused) {
  proc.Put({.pid = 500, .session = 400, .start = 9000});
  EXPECT_EQ(Refusal(), "process 500: leads no session");
}

TEST_F(VerifyRunTest, WhoWipedItsEnvironmentIsKnownByTheCgroupOfItsRun) {
  proc.PutFile(500, "environ", std::string(100, '\0'));
  proc.PutFile(500, "cgroup", "4:cpu:/x\n0::/d/idlewatt-a\n");
  EXPECT_EQ(Refusal(), "") << "the run has no cgroup";
  run.cgroup = "/d/idlewatt-a";
  EXPECT_EQ(Refusal(), "");
  proc.PutFile(500, "cgroup", "0::/d/idlewatt-a/below\n");
  EXPECT_EQ(Refusal(), "");
  for (const char* other : {"0::/d/idlewatt-a-2\n", "0::/d\n", "1:name=systemd:/d/idlewatt-a\n"}) {
    proc.PutFile(500, "cgroup", other);
    EXPECT_NE(Refusal(), "") << other;
  }
}

TEST_F(VerifyRunTest, CgroupDoesNotExcuseOtherMarks) {
  run.cgroup = "/d/idlewatt-a";
  proc.PutFile(500, "cgroup", "0::/d/idlewatt-a\n");
  EXPECT_EQ(Refusal(), "");
  PutMarks("a", "/data", "r2");
  EXPECT_EQ(Refusal(), "process 500: its environment says IDLEWATT_RUN=r2");
}

TEST_F(VerifyRunTest, ZombieIsRefused) {
  proc.Put({.pid = 500, .start = 9000, .state = 'Z'});
  EXPECT_EQ(Refusal(), "process 500: has ended");
}

TEST_F(VerifyRunTest, EnvironmentThatCannotBeReadIsRefused) {
  proc.Remove("500/environ");
  EXPECT_NE(Refusal(), "");
  proc.MakeDir("500/environ");
  EXPECT_NE(Refusal(), "");
}

TEST_F(VerifyRunTest, NumberOfNoProcessIsRefused) {
  run.pid = 0;
  EXPECT_NE(Refusal(), "");
}

// Rewrites the stat of process 500 between the open of its environ and the read: the kernel holds
// the open until somebody allows it.
class SwapAtOpen {
 public:
  static std::unique_ptr<SwapAtOpen> Arm(FakeProc& proc) {
    UniqueFd group(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC));
    if (!group || ::fanotify_mark(group.get(), FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD,
                                  proc.PathOf("500/environ").c_str()) != 0) {
      return nullptr;
    }
    return std::unique_ptr<SwapAtOpen>(new SwapAtOpen(proc, std::move(group)));
  }

 private:
  SwapAtOpen(FakeProc& proc, UniqueFd group)
      : group_(std::move(group)), thread_([this, &proc] {
          fanotify_event_metadata event{};
          pollfd asked{group_.get(), POLLIN, 0};
          if (::poll(&asked, 1, 10'000) != 1) return;
          if (::read(group_.get(), &event, sizeof event) != sizeof event) return;
          const UniqueFd file(event.fd);
          proc.Put({.pid = 500, .start = 9001});
          const fanotify_response allow{event.fd, FAN_ALLOW};
          EXPECT_EQ(::write(group_.get(), &allow, sizeof allow),
                    static_cast<ssize_t>(sizeof allow));
        }) {}

  UniqueFd group_;
  std::jthread thread_;
};

TEST_F(VerifyRunTest, NumberThatIsRecycledMeanwhileIsRefused) {
  const auto swap = SwapAtOpen::Arm(proc);
  if (swap == nullptr) GTEST_SKIP() << "needs fanotify (root): " << std::strerror(errno);
  EXPECT_EQ(Refusal(), "process 500: is another one with the same number");
}

// A stopped shell with the marks of service "a", run "r1", and its record.
class VerifyRealRunTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(child.WaitForLine("up")); }

  RunRecord RecordOf(pid_t pid) {
    RunRecord run;
    run.run = "r1";
    run.pid = pid;
    const Result<ProcessInfo> process = ParseStat(*proc.Read(std::to_string(pid) + "/stat"));
    EXPECT_TRUE(process);
    run.start_ticks = process->start_ticks;
    return run;
  }
  Result<void> Verify(const RunRecord& run) {
    return VerifyRun(proc, run, ReadBootId(proc), "a", "/data");
  }

  FileRoot proc = *FileRoot::Open("/proc");
  ChildProcess child{
      {"setsid", "sh", "-c", "echo up; kill -STOP $$"},
      {{"IDLEWATT_SERVICE", "a"}, {"IDLEWATT_DATA_DIR", "/data"}, {"IDLEWATT_RUN", "r1"}}};
};

TEST_F(VerifyRealRunTest, OnlyTheProcessThatWasStartedIsTheOne) {
  RunRecord run = RecordOf(child.pid());
  EXPECT_TRUE(Verify(run));
  EXPECT_EQ(VerifyRun(proc, run, "another", "a", "/data").error().code, ErrorCode::kGone);
  EXPECT_EQ(VerifyRun(proc, run, ReadBootId(proc), "b", "/data").error().code, ErrorCode::kInvalid);
  --run.start_ticks;
  EXPECT_EQ(Verify(run).error().code, ErrorCode::kGone);
  EXPECT_EQ(Verify(RecordOf(::getpid())).error().code, ErrorCode::kInvalid);
}

TEST_F(VerifyRealRunTest, ProcessThatEndedIsRefusedAsAZombieAndAfter) {
  const RunRecord run = RecordOf(child.pid());
  child.Signal(SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(Verify(run).error().ToString(), testing::HasSubstr("has ended"));
  ASSERT_TRUE(child.Wait());
  EXPECT_EQ(Verify(run).error().code, ErrorCode::kGone);
}

TEST_F(VerifyRealRunTest, ProcessWhoseEnvironmentIsNotOursToReadIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  const RunRecord run = RecordOf(child.pid());
  ASSERT_EQ(::seteuid(65534), 0);
  const Result<void> verified = Verify(run);
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kPermission);
}

}  // namespace
}  // namespace idlewatt
