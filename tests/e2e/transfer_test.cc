// Export and import as a user runs them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <fstream>

#include "base/clock.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// The last time in an export.
WallTime LastTimeOf(const std::string& text) {
  double last = 0;
  for (const std::string_view line : Split(text, '\n')) {
    const auto seconds = ParseNumber<double>(line.substr(line.rfind(' ') + 1));
    if (!line.starts_with('#')) last = std::max(last, seconds.value_or(0));
  }
  return WallTime(std::chrono::milliseconds(std::llround(last * 1000)));
}

Outcome Shell(const std::string& command) { return RunToEnd({"sh", "-c", command}); }

class TransferCommandTest : public ::testing::Test {
 protected:
  std::string Db(const std::string& name) const { return folder_.PathOf(name + ".db"); }
  std::string Command(const std::string& words) const {
    return BinaryPath("idlewatt") + " " + words;
  }

  FakeTree folder_;
};

TEST_F(TransferCommandTest, APipeIsReadAndExitCodesTellHowItWent) {
  const std::string import = Command("import --format openmetrics - --db " + Db("a"));
  const Outcome good = Shell("printf 'm 1 1\\n# EOF\\n' | " + import);
  EXPECT_EQ(good.status->code, 0);
  EXPECT_EQ(good.output, "standard input: 1 sample added, 0 known already, 0 lines refused\n");
  EXPECT_EQ(Shell("printf 'm x 1\\n# EOF\\n' | " + import).status->code, 1);
  EXPECT_EQ(Shell(Command("import")).status->code, 2);
  EXPECT_EQ(Shell(Command("import --format csv x")).status->code, 2);
  EXPECT_EQ(Shell(Command("export --format xml")).status->code, 2);
  const Outcome exported = Shell(Command("export --db " + Db("a")));
  EXPECT_EQ(exported.status->code, 0);
  EXPECT_EQ(exported.output, "m 1 1\n# EOF\n");
}

TEST_F(TransferCommandTest, WhatCanNotBePrintedIsAFailureOfEveryCommand) {
  ASSERT_EQ(Shell("printf 'm 1 1700000000\\n# EOF\\n' | " + Command("import - --db " + Db("a")))
                .status->code,
            0);
  const std::string db = " --db " + Db("a");
  for (const std::string& words :
       {std::string("version"), std::string("--help"), std::string("sensors"), "db stats" + db,
        "db check" + db, "query series" + db,
        "query range m --since 2023-11-14T00:00:00Z --until 2023-11-15T00:00:00Z" + db,
        "query sql 'SELECT 1'" + db, "query idle-power --since 1h" + db,
        "report idle --since 1h" + db, "export" + db}) {
    const Outcome full = Shell(Command(words) + " > /dev/full");
    EXPECT_EQ(full.status->code, 1) << words;
    EXPECT_THAT(full.output, HasSubstr("No space left on device")) << words;
    const Outcome read = Shell(Command(words) + " > /dev/null");
    EXPECT_EQ(read.status->code, 0) << words << ": " << read.output;
  }
}

TEST_F(TransferCommandTest, WithoutAFileItIsTheHistoryOfThisUsersDaemon) {
  const std::string environment =
      "IDLEWATT_HTTP=127.0.0.1:1 XDG_STATE_HOME=" + folder_.PathOf("state") + " ";
  if (::geteuid() == 0) GTEST_SKIP() << "root's history is the system's";
  EXPECT_EQ(Shell("printf 'm 1 1\\n# EOF\\n' | " + environment + Command("import -")).status->code,
            0);
  EXPECT_EQ(Shell(environment + Command("export")).output, "m 1 1\n# EOF\n");
}

TEST_F(TransferCommandTest, OnlyATerminalSeesProgress) {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) GTEST_SKIP() << "there are no pseudo-terminals here";
  std::ofstream file(folder_.PathOf("big.om"), std::ios::binary);
  for (int i = 0; i < 1'500'000; ++i) file << "m " << i % 1000 << ' ' << i << '\n';
  file << "# EOF\n";
  file.close();
  const std::string import = Command("import " + folder_.PathOf("big.om") + " --db ");
  const Outcome plain = Shell("NO_COLOR=1 " + import + Db("a"));
  EXPECT_EQ(plain.status->code, 0);
  EXPECT_THAT(plain.output, Not(HasSubstr("\r")));
  EXPECT_THAT(plain.output, Not(HasSubstr("%")));
  const Outcome drawn = RunToEnd({"script", "-qec", import + Db("b"), "/dev/null"});
  EXPECT_EQ(drawn.status->code, 0);
  EXPECT_THAT(drawn.output, HasSubstr(" M samples  "));
  EXPECT_THAT(drawn.output, HasSubstr(" %  "));
  EXPECT_THAT(drawn.output, Not(HasSubstr("\x1b")));  // no colours, no other escapes
  EXPECT_THAT(drawn.output, HasSubstr("1500000 samples added, 0 known already, 0 lines refused"));
}

// The history of a real daemon, while it records.
TEST_F(TransferCommandTest, AnExportOfARunningDaemonComesBackAsItIs) {
  RunningDaemon daemon(folder_,
                       "[collector]\ninterval = \"200ms\"\n"
                       "[storage]\nflush_interval = \"1s\"\n"
                       "[collector.power.model]\nidle_watts = 5\nmax_watts = 25\n");
  ASSERT_TRUE(daemon.WaitReady());
  const std::string db = folder_.PathOf("data/history.db");
  const std::string first = folder_.PathOf("first.om");
  ASSERT_TRUE(Eventually([&] {
    const Outcome exported = Shell(Command("export --db " + db + " --output " + first));
    return exported.status->code == 0 &&
           folder_.Read("first.om").find("idlewatt_service_power_watts{") != std::string::npos;
  }));
  const std::string text = folder_.Read("first.om");
  EXPECT_THAT(text, HasSubstr("# TYPE idlewatt_host_cpu_seconds counter\n"
                              "# UNIT idlewatt_host_cpu_seconds seconds\n"
                              "# HELP idlewatt_host_cpu_seconds CPU time of the host"));
  const Outcome imported = Shell(Command("import " + first + " --db " + Db("copy")));
  EXPECT_EQ(imported.status->code, 0) << imported.output;
  const Outcome exported =
      Shell(Command("export --db " + Db("copy") + " --output " + folder_.PathOf("second.om")));
  EXPECT_EQ(exported.status->code, 0) << exported.output;
  EXPECT_EQ(folder_.Read("second.om"), text);
  // Into the history that is recorded to, where it is known already.
  const Outcome again = Shell(Command("import " + first + " --db " + db));
  EXPECT_EQ(again.status->code, 0) << again.output;
  const std::string last = FormatWallTime(LastTimeOf(text));
  EXPECT_EQ(Shell(Command("export --db " + db + " --until " + last)).output, text);
}

TEST_F(TransferCommandTest, PrometheusReadsWhatWeWrite) {
  folder_.Write(
      "in.om",
      "# TYPE a_joules counter\n# UNIT a_joules joules\n# HELP a_joules \\\"x\\\"\\n\\\\\n"
      "a_joules_total{source=\"a\\\"\\\\\\n\"} 0.1 1700000000\n"
      "a_joules_total{source=\"a\\\"\\\\\\n\"} 1e+300 1700000000.507\n"
      "# TYPE h_seconds histogram\nh_seconds_bucket{le=\"+Inf\"} 2 1700000000\n"
      "h_seconds_count 2 1700000000\nh_seconds_sum 0.25 1700000000\n"
      "m NaN 1700000000\nm -Inf 1700000001.1\n# EOF\n");
  ASSERT_EQ(Shell(Command("import " + folder_.PathOf("in.om") + " --db " + Db("a"))).status->code,
            0);
  ASSERT_EQ(Shell(Command("export --db " + Db("a") + " --output " + folder_.PathOf("out.om")))
                .status->code,
            0);
  const Outcome taken = RunToEnd({"promtool", "tsdb", "create-blocks-from", "openmetrics",
                                  folder_.PathOf("out.om"), folder_.PathOf("tsdb")});
  EXPECT_EQ(taken.status->code, 0) << taken.output;
  folder_.MakeDir("tsdb/wal");  // which the dump asks for
  const Outcome dump = RunToEnd({"promtool", "tsdb", "dump", folder_.PathOf("tsdb")});
  EXPECT_EQ(dump.status->code, 0);
  for (const char* line :
       {"{__name__=\"a_joules_total\", source=\"a\\\"\\\\\\n\"} 0.1 1700000000000\n",
        "{__name__=\"a_joules_total\", source=\"a\\\"\\\\\\n\"} 1e+300 1700000000507\n",
        "{__name__=\"h_seconds_bucket\", le=\"+Inf\"} 2 1700000000000\n",
        "{__name__=\"m\"} NaN 1700000000000\n", "{__name__=\"m\"} -Inf 1700000001100\n"}) {
    EXPECT_THAT(dump.output, HasSubstr(line));
  }
}

}  // namespace
}  // namespace idlewatt
