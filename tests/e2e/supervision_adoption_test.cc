// What becomes of services when their daemon is killed, and what the next one makes of it.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/e2e/supervision_fixture.h"

namespace idlewatt {
namespace {

class AdoptionTest : public SupervisionTest {
 protected:
  // Each run writes a line to `starts.NAME`, is ready then, and stays.
  std::string Stayer(const std::string& name, const std::string& more = "") const {
    return Shell(name,
                 "echo $$ >> " + folder_.PathOf("starts." + name) + "; echo up; exec sleep 1000",
                 "ready = { log_pattern = \"up\" }\n" + more);
  }
  size_t StartsOf(const std::string& name) const {
    const std::string text = folder_.Read("starts." + name);
    return static_cast<size_t>(std::ranges::count(text, '\n'));
  }
  pid_t StartStayer(const std::string& config, const std::string& name) {
    Start(config);
    EXPECT_TRUE(Reaches(name, "ready"));
    return PidOf(name);
  }

  std::string RecordPath(const std::string& name) const {
    return "data/services/" + name + ".json";
  }
  // Changes what an earlier daemon wrote down. While no daemon runs.
  void EditRecord(const std::string& name, const std::function<void(Json& record)>& edit) {
    Json record = Json::parse(folder_.Read(RecordPath(name)), nullptr, false);
    ASSERT_TRUE(record.is_object()) << folder_.Read(RecordPath(name));
    edit(record);
    folder_.Write(RecordPath(name), record.dump());
  }

  // The process `pid` of service "one" is not known for ours any more: it must be left alone and
  // named, and nothing may be started beside it.
  void ExpectNamedAndLeftAlone(const std::string& config, pid_t pid) {
    Start(config);
    ASSERT_TRUE(Reaches("one", "failed"));
    EXPECT_NE(TextOf(Row("one"), "failure").find(std::to_string(pid)), std::string::npos)
        << Row("one").dump(1);
    const Outcome stop = Cli({"stop", "one"});
    EXPECT_EQ(stop.status->code, 0) << stop.output;
    EXPECT_EQ(Cli({"start", "one"}).status->code, 1);
    EXPECT_TRUE(IsAlive(pid));
    EXPECT_EQ(StartsOf("one"), 1U);
    // As the failure advises.
    ASSERT_EQ(::kill(pid, SIGTERM), 0);
    ASSERT_TRUE(Ends(pid));
    MustCli({"start", "one"});
    EXPECT_TRUE(Eventually([this] { return StartsOf("one") == 2U; }));
  }
};

// "line 0", "line 1" and so on, `count` of them or more, each once.
void ExpectNoneLostNoneTwice(const std::string& log, int64_t count) {
  int64_t next = 0;
  for (const std::string_view line : Split(log, '\n')) {
    if (!line.starts_with("line ")) continue;
    ASSERT_EQ(line, "line " + std::to_string(next)) << "\n" << log;
    ++next;
  }
  EXPECT_GE(next, count);
}

TEST_F(AdoptionTest, LinesWrittenWhileNoDaemonRunsAreInTheLog) {
  // Writes a line, then says so elsewhere.
  const std::string config =
      Shell("counter", "i=0; while :; do echo line $i; i=$((i+1)); echo $i > " +
                           folder_.PathOf("count") + "; sleep 0.01; done");
  Start(config);
  ASSERT_TRUE(Reaches("counter", "ready"));
  const pid_t pid = PidOf("counter");
  int64_t count = NumberIn("count", 20);
  for (int turn = 0; turn < 2; ++turn) {
    Kill();
    const int64_t more = NumberIn("count", count + 50);
    ASSERT_GT(more, 0) << "it does not run on";
    Start(config);
    EXPECT_EQ(PidOf("counter"), pid);
    EXPECT_EQ(Row("counter")["adopted"], true);
    count = NumberIn("count", more + 20);
    ASSERT_GT(count, 0) << "it does not run on beside the new daemon";
  }
  MustCli({"stop", "counter"});
  EXPECT_FALSE(IsAlive(pid));
  ExpectNoneLostNoneTwice(Log("counter"), count);
}

TEST_F(AdoptionTest, ReadinessRestartsAndUptimeGoOn) {
  // Crashes once, then stays.
  const std::string config = Shell(
      "once",
      "if [ -e " + folder_.PathOf("second") + " ]; then echo up; exec sleep 1000; fi; touch " +
          folder_.PathOf("second") + "; exit 3",
      "backoff = { initial = \"100ms\" }\nready = { log_pattern = \"up\" }\n");
  Start(config);
  ASSERT_TRUE(Reaches("once", "ready"));
  const Json before = Row("once");
  EXPECT_EQ(before["adopted"], false);
  EXPECT_EQ(before["restarts"], Json({{"crash", 1}}));
  double uptime = before["uptime_seconds"];
  for (int turn = 0; turn < 2; ++turn) {
    Kill();
    Start(config);
    // At once: nothing has to get ready again.
    const Json now = Row("once");
    EXPECT_EQ(now["state"], "ready");
    EXPECT_EQ(now["adopted"], true);
    for (const char* kept : {"pid", "started_at", "restarts", "restart_attempts", "last_exit"}) {
      EXPECT_EQ(now[kept], before[kept]) << kept;
    }
    EXPECT_GT(now["uptime_seconds"], uptime);
    uptime = now["uptime_seconds"];
  }
  MustCli({"stop", "once"});
  EXPECT_FALSE(IsAlive(before["pid"]));
  EXPECT_EQ(Row("once")["state"], "stopped");
}

TEST_F(AdoptionTest, TheExitCodeOfAnAdoptedServiceIsToldOrUnknown) {
  const std::string config =
      Shell("traps", "trap 'exit 7' USR1; echo up; while :; do sleep 0.02; done",
            "restart = \"no\"\n"
            "ready = { log_pattern = \"up\" }\n");
  Start(config);
  ASSERT_TRUE(Reaches("traps", "ready"));
  Kill();
  Start(config);
  ASSERT_EQ(::kill(PidOf("traps"), SIGUSR1), 0);
  ASSERT_TRUE(Reaches("traps", "failed"));
  const Json exit = Row("traps")["last_exit"];
  if (exit["code"].is_null()) {
    EXPECT_EQ(exit["text"], "ended, exit code unknown");
    EXPECT_EQ(exit["signal"], nullptr);
  } else {
    EXPECT_EQ(exit["code"], 7);
  }
}

TEST_F(AdoptionTest, OneThatWaitsToBeRestartedAndOneThatFailedStaySo) {
  const std::string fails = "echo x >> " + folder_.PathOf("starts.");
  const std::string config =
      Shell("waits", fails + "waits; exit 3", "backoff = { initial = \"1h\", max = \"2h\" }\n") +
      Shell("failed", fails + "failed; exit 4", "restart = \"no\"\n") + Stayer("stopped");
  Start(config);
  ASSERT_TRUE(Reaches("waits", "backoff"));
  ASSERT_TRUE(Reaches("failed", "failed"));
  MustCli({"start", "stopped"});
  MustCli({"stop", "stopped"});
  const Json waits = Row("waits");
  const Json failed = Row("failed");
  // To the second: the time of the retry is kept by another clock.
  const auto due = [](const Json& row) { return TextOf(row, "next_retry_at").substr(0, 16); };
  for (int turn = 0; turn < 2; ++turn) {
    Kill();
    Start(config);
    const Json now = Row("waits");
    EXPECT_EQ(now["state"], "backoff");
    EXPECT_EQ(due(now), due(waits));
    EXPECT_EQ(now["restart_attempts"], waits["restart_attempts"]);
    EXPECT_EQ(Row("failed")["state"], "failed");
    EXPECT_EQ(Row("failed")["failure"], failed["failure"]);
    EXPECT_EQ(Row("failed")["last_exit"], failed["last_exit"]);
    EXPECT_EQ(Row("stopped")["state"], "stopped");
  }
  EXPECT_EQ(StartsOf("waits"), 1U);
  EXPECT_EQ(StartsOf("failed"), 1U);
  EXPECT_EQ(StartsOf("stopped"), 1U);
}

TEST_F(AdoptionTest, AfterAnOrderlyEndAllBeginAnew) {
  const std::string config =
      Shell("failed", "echo x >> " + folder_.PathOf("starts.failed") + "; exit 4",
            "restart = \"no\"\n") +
      Stayer("stopped") + Stayer("for-good", "restart = \"unless-stopped\"\n");
  Start(config);
  ASSERT_TRUE(Reaches("failed", "failed"));
  for (const char* name : {"stopped", "for-good"}) {
    ASSERT_TRUE(Reaches(name, "ready"));
    MustCli({"stop", name});
  }
  Start(config);
  EXPECT_TRUE(Reaches("stopped", "ready"));
  EXPECT_TRUE(Eventually([&] { return StartsOf("failed") == 2; }));
  EXPECT_EQ(StateOf("for-good"), "stopped");
}

TEST_F(AdoptionTest, WhatDiedWhileNoDaemonRanHasCrashed) {
  const std::string config = Stayer("again", "backoff = { initial = \"100ms\" }\n") +
                             Stayer("never", "restart = \"no\"\n");
  const pid_t again = StartStayer(config, "again");
  ASSERT_TRUE(Reaches("never", "ready"));
  const pid_t never = PidOf("never");
  Kill();
  for (const pid_t pid : {again, never}) {
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    ASSERT_TRUE(Ends(pid));
  }
  Start(config);
  ASSERT_TRUE(Reaches("again", "ready"));
  EXPECT_NE(PidOf("again"), again);
  EXPECT_EQ(Row("again")["restarts"], Json({{"crash", 1}}));
  EXPECT_EQ(Row("again")["adopted"], false);
  ASSERT_TRUE(Reaches("never", "failed"));
  EXPECT_EQ(Row("never")["failure"], "ended, exit code unknown");
}

TEST_F(AdoptionTest, OrphanPolicyKillStartsAnew) {
  const std::string config = Stayer("one", "orphan_policy = \"kill\"\n");
  const pid_t before = StartStayer(config, "one");
  Kill();
  Start(config);
  ASSERT_TRUE(Becomes(
      "one", [&](const Json& row) { return row["ready"] == true && row["pid"] != before; }));
  EXPECT_FALSE(IsAlive(before));
  EXPECT_EQ(Row("one")["adopted"], false);
}

TEST_F(AdoptionTest, WhatIsConfiguredNoMoreIsStoppedAndWhatChangedIsStartedAnew) {
  const std::string stays = Stayer("stays");
  const pid_t removed = StartStayer(stays + Stayer("changed") + Stayer("removed"), "removed");
  for (const char* name : {"stays", "changed"}) ASSERT_TRUE(Reaches(name, "ready"));
  const pid_t same = PidOf("stays");
  const pid_t changed = PidOf("changed");
  Kill();
  Start(stays + Shell("changed", "echo other; exec sleep 1000"));
  EXPECT_TRUE(Ends(removed));
  ASSERT_TRUE(Becomes(
      "changed", [&](const Json& row) { return row["ready"] == true && row["pid"] != changed; }));
  EXPECT_FALSE(IsAlive(changed));
  EXPECT_TRUE(Eventually([&] { return Log("changed").find("other") != std::string::npos; }));
  EXPECT_TRUE(Row("removed").is_null());
  EXPECT_EQ(PidOf("stays"), same);
}

TEST_F(AdoptionTest, AProcessThatStartedAtAnotherTimeIsNotTakenBack) {
  const pid_t pid = StartStayer(Stayer("one"), "one");
  Kill();
  EditRecord("one", [](Json& record) {
    record["run"]["start_ticks"] = record["run"]["start_ticks"].get<uint64_t>() - 1;
  });
  ExpectNamedAndLeftAlone(Stayer("one"), pid);
}

TEST_F(AdoptionTest, ARecordOfAnotherBootSaysNothing) {
  const pid_t pid = StartStayer(Stayer("one"), "one");
  Kill();
  EditRecord("one",
             [](Json& record) { record["boot_id"] = "00000000-0000-0000-0000-000000000000"; });
  ExpectNamedAndLeftAlone(Stayer("one"), pid);
}

TEST_F(AdoptionTest, WithoutARecordAProcessOfOursIsNamedAndLeftAlone) {
  const pid_t pid = StartStayer(Stayer("one"), "one");
  Kill();
  folder_.Remove(RecordPath("one"));
  ExpectNamedAndLeftAlone(Stayer("one"), pid);
}

TEST_F(AdoptionTest, ADamagedRecordIsSetAside) {
  const pid_t pid = StartStayer(Stayer("one"), "one");
  Kill();
  folder_.Write(RecordPath("one"), folder_.Read(RecordPath("one")).substr(0, 40));
  ExpectNamedAndLeftAlone(Stayer("one"), pid);
  EXPECT_NE(folder_.Read(RecordPath("one") + ".damaged"), "");
}

// The service's own process has ended and its number belongs to a stranger.
TEST_F(AdoptionTest, AStrangerWithTheNumberOfAServiceIsNeverSignalled) {
  ChildProcess stranger({"sleep", "1000"});
  ChildProcess leader({"setsid", "sleep", "1000"});  // it is no leader of a group, so no fork
  const FileRoot proc = *FileRoot::Open("/proc");
  const std::string config = Stayer("one", "backoff = { initial = \"100ms\" }\n");
  for (const pid_t recycled : {stranger.pid(), leader.pid()}) {
    for (const bool with_its_ticks : {false, true}) {
      if (recycled == leader.pid() && with_its_ticks) continue;  // then it would be the same one
      daemon_.reset();
      folder_.Remove("data");
      folder_.Remove("starts.one");
      const pid_t pid = StartStayer(config, "one");
      Kill();
      ASSERT_EQ(::kill(pid, SIGKILL), 0);
      ASSERT_TRUE(Ends(pid));
      EditRecord("one", [&](Json& record) {
        record["run"]["pid"] = recycled;
        if (with_its_ticks) record["run"]["start_ticks"] = ReadProcess(proc, recycled)->start_ticks;
      });
      Start(config);
      ASSERT_TRUE(Reaches("one", "ready"));
      EXPECT_NE(PidOf("one"), recycled);
      MustCli({"stop", "one"});
      EXPECT_TRUE(IsAlive(recycled));
    }
  }
}

TEST_F(AdoptionTest, ASecondDaemonIsRefusedAndTheFirstGoesOn) {
  const pid_t pid = StartStayer(Stayer("one"), "one");
  const Outcome second =
      RunToEnd({BinaryPath("idlewatt"), "run", "--config", folder_.PathOf("idlewatt.toml"),
                "--data-dir", folder_.PathOf("data"), "--http", "127.0.0.1:0"});
  ASSERT_TRUE(second.status);
  EXPECT_EQ(second.status->code, 1);
  EXPECT_NE(second.output.find("pid " + std::to_string(daemon_->process().pid())),
            std::string::npos)
      << second.output;
  EXPECT_EQ(PidOf("one"), pid);
  EXPECT_EQ(StartsOf("one"), 1U);
  MustCli({"restart", "one"});
  EXPECT_FALSE(IsAlive(pid));
}

}  // namespace
}  // namespace idlewatt
