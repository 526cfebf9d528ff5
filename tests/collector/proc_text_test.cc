#include "collector/proc_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "base/text.h"
#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;

const std::string kId = std::string(52, 'e') + "0123456789ab";  // 64 hex digits
const std::string kContainer = std::string(12, 'e');

bool Parses(std::string_view text) {
  PidStat stat;
  return ParsePidStat(text, stat).ok();
}

TEST(PidStatTest, EveryFieldIsTakenFromItsPlace) {
  const PidStat stat = StatOf({.pid = 42,
                               .comm = "nginx",
                               .parent = 7,
                               .session = 8,
                               .user = 11,
                               .system = 12,
                               .children_user = 13,
                               .children_system = 14,
                               .start = 99,
                               .rss_pages = 5,
                               .threads = 3,
                               .state = 'R',
                               .flags = 0x00400140});
  EXPECT_EQ(stat.pid, 42);
  EXPECT_EQ(stat.comm, "nginx");
  EXPECT_EQ(stat.state, 'R');
  EXPECT_EQ(stat.parent, 7);
  EXPECT_EQ(stat.session, 8);
  EXPECT_EQ(stat.user, 11U);
  EXPECT_EQ(stat.system, 12U);
  EXPECT_EQ(stat.children_user, 13U);
  EXPECT_EQ(stat.children_system, 14U);
  EXPECT_EQ(stat.threads, 3);
  EXPECT_EQ(stat.start, 99U);
  EXPECT_EQ(stat.rss_pages, 5);
  EXPECT_FALSE(stat.IsKernelThread());
  EXPECT_FALSE(stat.IsZombie());
}

TEST(PidStatTest, TheNameMayHoldAnything) {
  for (const char* comm : {"", " ", "a b", ") R 1 2 3 4", "(x) (y)", "a\nb", "\xFF\xFE", ")", "(",
                           "Web Content)", "1 (2) S"}) {
    const PidStat stat = StatOf({.pid = 42, .comm = comm, .parent = 7, .start = 99});
    EXPECT_EQ(stat.comm, comm);
    EXPECT_EQ(stat.parent, 7) << comm;
    EXPECT_EQ(stat.start, 99U) << comm;
  }
}

TEST(PidStatTest, NegativeChildrenTimesAreZero) {
  const PidStat stat =
      StatOf({.pid = 1, .children_user = INT64_MIN, .children_system = -1, .rss_pages = -3});
  EXPECT_EQ(stat.children_user, 0U);
  EXPECT_EQ(stat.children_system, 0U);
  EXPECT_EQ(stat.rss_pages, -3);
}

TEST(PidStatTest, TheLargestChildrenTimesAreRead) {
  EXPECT_EQ(StatOf({.pid = 1, .children_user = INT64_MAX}).children_user,
            static_cast<uint64_t>(INT64_MAX));
}

TEST(PidStatTest, KernelThreadsAndZombiesAreKnown) {
  EXPECT_TRUE(StatOf({.pid = 2, .flags = 0x00208040}).IsKernelThread());
  EXPECT_TRUE(StatOf({.pid = 2, .state = 'Z'}).IsZombie());
}

TEST(PidStatTest, WhatIsCutOffIsRefused) {
  const std::string whole = StatLine({.pid = 42, .comm = "a b"});
  const size_t rss_end = whole.find(" 18446744073709551615");
  ASSERT_TRUE(Parses(whole.substr(0, rss_end)));
  for (size_t length = 0; length < rss_end - 2; ++length) {
    EXPECT_FALSE(Parses(whole.substr(0, length))) << whole.substr(0, length);
  }
}

TEST(PidStatTest, WhatIsNotAStatIsRefused) {
  for (const char* text : {"", "\n", "42", "42 (a)", "x (a) S 1", "42 a S 1 2 3", ") 1 (",
                           "42 (a) SS 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 1"}) {
    EXPECT_FALSE(Parses(text)) << text;
  }
}

TEST(HostCpuTest, AllModesOfThisKernel) {
  EXPECT_THAT(ParseHostCpu("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1 1 1\n").value(),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(HostCpuTest, OldKernelsGiveFewerModes) {
  EXPECT_THAT(ParseHostCpu("cpu 1 2 3 4\n").value(), ElementsAre(1, 2, 3, 4));
}

TEST(HostCpuTest, LessThanFourModesIsNoCpuLine) {
  for (const char* text : {"", "cpu", "cpu 1 2 3\n", "cpu0 1 2 3 4\n", "cpu 1 2 x 4\n",
                           "cpu 1 2 -3 4\n", "intr 1 2 3 4\n"}) {
    EXPECT_FALSE(ParseHostCpu(text).ok()) << text;
  }
}

TEST(MeminfoTest, KilobytesAreTakenTimes1024) {
  const char* text = "MemTotal:       16384 kB\nMemFree: 7 kB\nHugePages_Total:       3\n";
  EXPECT_EQ(MeminfoBytes(text, "MemTotal"), 16'777'216);
  EXPECT_EQ(MeminfoBytes(text, "HugePages_Total"), 3);
  EXPECT_EQ(MeminfoBytes(text, "Mem"), std::nullopt);
  EXPECT_EQ(MeminfoBytes(text, "SwapTotal"), std::nullopt);
  EXPECT_EQ(MeminfoBytes("MemTotal: x kB", "MemTotal"), std::nullopt);
}

TEST(PressureTest, SomeAndFullAreRead) {
  const auto totals = ParsePressure(
      "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"
      "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
  ASSERT_TRUE(totals);
  ASSERT_EQ(totals->size(), 2U);
  EXPECT_EQ((*totals)[0].first, "some");
  EXPECT_DOUBLE_EQ((*totals)[0].second.Si(), 1.5);
  EXPECT_EQ((*totals)[1].first, "full");
}

TEST(PressureTest, IrqHasOnlyFull) {
  EXPECT_EQ(ParsePressure("full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n").value().size(), 1U);
}

TEST(PressureTest, WhatIsNoPressureIsRefused) {
  for (const char* text : {"", "some\n", "some total=\n", "some total=-1\n", "some total=1 x\n"}) {
    EXPECT_FALSE(ParsePressure(text).ok()) << text;
  }
}

TEST(CgroupTest, VersionTwoIsTaken) {
  EXPECT_EQ(ParseCgroup("0::/system.slice/nginx.service\n"), "/system.slice/nginx.service");
  EXPECT_EQ(ParseCgroup("0::/\n"), "/");
  EXPECT_EQ(ParseCgroup(""), "/");
  EXPECT_EQ(ParseCgroup("nonsense\n::\n"), "/");
}

TEST(CgroupTest, APathMayHoldColons) { EXPECT_EQ(ParseCgroup("0::/a:b/c\n"), "/a:b/c"); }

TEST(CgroupTest, VersionOneGivesTheSystemdHierarchy) {
  EXPECT_EQ(ParseCgroup("9:memory:/other\n1:name=systemd:/system.slice/a.service\n"),
            "/system.slice/a.service");
  EXPECT_EQ(ParseCgroup("9:memory:/only\n"), "/");
}

TEST(CgroupTest, HybridPrefersVersionTwoUnlessItIsTheRoot) {
  EXPECT_EQ(ParseCgroup("1:name=systemd:/v1\n0::/v2\n"), "/v2");
  EXPECT_EQ(ParseCgroup("1:name=systemd:/v1\n0::/\n"), "/v1");
}

TEST(CgroupGroupTest, ContainersOfEveryEngineAreNamedShort) {
  const std::string pod =
      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_1.slice";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"/system.slice/docker-" + kId + ".scope", "docker-" + kContainer},
      {"/docker/" + kId, "docker-" + kContainer},
      {"/machine.slice/libpod-" + kId + ".scope", "libpod-" + kContainer},
      {"/machine.slice/libpod-" + kId + ".scope/container", "libpod-" + kContainer},
      {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope",
       "libpod-" + kContainer},
      {pod + "/cri-containerd-" + kId + ".scope", "containerd-" + kContainer},
      {pod + "/crio-" + kId + ".scope", "crio-" + kContainer},
      {"/kubepods/burstable/pod0a1b2c3d-1111-2222-3333-444455556666/" + kId,
       "container-" + kContainer},
      {"/" + kId, "container-" + kContainer},
      {"/system.slice/docker-" + kId + ".scope/system.slice/nginx.service", "docker-" + kContainer},
  };
  for (const auto& [cgroup, name] : cases) EXPECT_EQ(CgroupGroup(cgroup), name) << cgroup;
}

TEST(CgroupGroupTest, UnitsOfTheSystemAndOfUsers) {
  EXPECT_EQ(CgroupGroup("/system.slice/nginx.service"), "nginx.service");
  EXPECT_EQ(CgroupGroup("/system.slice/system-getty.slice/getty@tty1.service"),
            "getty@tty1.service");
  EXPECT_EQ(CgroupGroup("/system.slice/docker.service/inner"), "docker.service");
  const std::string user = "/user.slice/user-1000.slice/user@1000.service";
  EXPECT_EQ(CgroupGroup(user + "/app.slice/syncthing.service"), "syncthing.service");
  EXPECT_EQ(CgroupGroup(user + "/app.slice/app-gnome-firefox-77.scope"),
            "app-gnome-firefox-77.scope");
}

TEST(CgroupGroupTest, SessionsAndSlicesAreNoGroup) {
  for (const char* cgroup :
       {"/", "", "/init.scope", "/user.slice/user-1000.slice/session-2.scope",
        "/user.slice/user-1000.slice/user@1000.service/init.scope", "/system.slice",
        "/docker-0123456789ab.scope", "/a/0123456789abcdef"}) {
    EXPECT_EQ(CgroupGroup(cgroup), std::nullopt) << cgroup;
  }
}

TEST(CgroupGroupTest, ANameIsValidUtf8) {
  const auto name = CgroupGroup("/system.slice/\xFF.service");
  ASSERT_TRUE(name);
  EXPECT_EQ(*name, ToValidUtf8(*name));
}

TEST(PidIoTest, StorageBytesAreRead) {
  const auto io = ParsePidIo(
      "rchar: 1\nwchar: 2\nread_bytes: 4096\nwrite_bytes: 8192\n"
      "cancelled_write_bytes: 3\n");
  ASSERT_TRUE(io);
  EXPECT_EQ(io->read_bytes, 4096U);
  EXPECT_EQ(io->write_bytes, 8192U);
}

TEST(PidIoTest, TheLargestNumbersKeepEveryDigit) {
  const auto io = ParsePidIo("read_bytes: 18446744073709551615\nwrite_bytes: 9007199254740993\n");
  ASSERT_TRUE(io);
  EXPECT_EQ(io->read_bytes, UINT64_MAX);
  EXPECT_EQ(io->write_bytes, 9'007'199'254'740'993U);
}

TEST(PidIoTest, BothNumbersMustBeThere) {
  for (const char* text : {"", "read_bytes: 1\n", "read_bytes: x\nwrite_bytes: 1\n"}) {
    EXPECT_FALSE(ParsePidIo(text).ok()) << text;
  }
}

// One input for each parser, changed in random places and cut at random lengths. What the parser
// makes of it does not matter here; the sanitizers and the checks inside `parse` do.
void Torture(const std::string& text, const std::function<void(std::string_view)>& parse) {
  std::mt19937 random(20261121);
  constexpr std::string_view kNasty("\0\n ():/=-9\xFF\x80z", 13);
  for (int round = 0; round < 4000; ++round) {
    std::string mutated = text.substr(0, random() % (text.size() + 1));
    for (size_t edits = random() % 6; edits > 0 && !mutated.empty(); --edits) {
      const size_t at = random() % mutated.size();
      switch (random() % 3) {
        case 0:
          mutated[at] = kNasty[random() % kNasty.size()];
          break;
        case 1:
          mutated.erase(at, 1 + random() % 8);
          break;
        default:
          mutated.insert(at, random() % 20, static_cast<char>(random()));
      }
    }
    parse(mutated);
  }
}

TEST(ProcTextRobustnessTest, PidStatTakesAnything) {
  Torture(StatLine({.pid = 42, .comm = "a (b) c"}), [](std::string_view text) {
    PidStat stat;
    const bool parsed = ParsePidStat(text, stat).ok();
    EXPECT_TRUE(!parsed || stat.comm.size() <= text.size());
  });
}

TEST(ProcTextRobustnessTest, HostCpuTakesAnything) {
  Torture("cpu  1 2 3 4 5 6 7 8 9 10\n", [](std::string_view text) {
    const auto ticks = ParseHostCpu(text);
    if (ticks) {
      EXPECT_GE(ticks->size(), 4U);
      EXPECT_LE(ticks->size(), kCpuModes.size());
    }
  });
}

TEST(ProcTextRobustnessTest, TheOtherParsersTakeAnything) {
  Torture("MemTotal:       16384 kB\nMemFree: 7 kB\n",
          [](std::string_view text) { EXPECT_GE(MeminfoBytes(text, "MemFree").value_or(0), 0); });
  Torture("some avg10=0.00 total=1500000\nfull avg10=0.00 total=7\n", [](std::string_view text) {
    const auto totals = ParsePressure(text);
    EXPECT_TRUE(!totals || !totals->empty());
  });
  Torture("1:name=systemd:/a\n0::/system.slice/docker-" + kId + ".scope\n",
          [](std::string_view text) {
            const auto group = CgroupGroup(ParseCgroup(text));
            EXPECT_EQ(group.value_or(""), ToValidUtf8(group.value_or("")));
          });
  Torture("read_bytes: 4096\nwrite_bytes: 8192\n",
          [](std::string_view text) { static_cast<void>(ParsePidIo(text)); });
}

TEST(PidStatTest, NumbersThatCannotBeAreRefused) {
  PidStat stat;
  const auto is_ok = [&](const FakeProcess& p) { return ParsePidStat(StatLine(p), stat).ok(); };
  EXPECT_TRUE(is_ok({.pid = 5}));
  EXPECT_FALSE(is_ok({.pid = -5}));
  EXPECT_FALSE(is_ok({.pid = 5, .parent = -1}));
  EXPECT_FALSE(is_ok({.pid = 5, .threads = -1}));
  EXPECT_FALSE(is_ok({.pid = 5, .rss_pages = INT64_MAX}));  // not a number of bytes any more
  EXPECT_FALSE(is_ok({.pid = 5, .state = '\xFF'}));
}

TEST(PressureTest, EachKindIsThereOnceAndKnown) {
  EXPECT_FALSE(ParsePressure("some total=1\nsome total=2\n").ok());
  EXPECT_FALSE(ParsePressure("most total=1\n").ok());
}

TEST(TcpListenersTest, OnlyRowsThatListenAreTaken) {
  const std::string rest = " 00000000:00000000 00:00000000 00000000  1000        0 ";
  const auto listeners = ParseTcpListeners(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 0100007F:4B58 00000000:0000 0A" +
      rest + "21443 1 0 100 0 0 10 0\n" + "   1: 0100007F:4B58 0100007F:D2F0 01" + rest +
      "30111 2 0 20 4 30 10 -1\n" +
      "   2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A" +
      rest + "77 1 0 100 0 0 10 0\n");
  ASSERT_EQ(listeners.size(), 2U);
  EXPECT_EQ(listeners[0].port, 19288);
  EXPECT_EQ(listeners[0].inode, 21443U);
  EXPECT_EQ(listeners[1].port, 8080);
}

TEST(TcpListenersTest, ARowThatMakesNoSenseIsLeftOut) {
  for (const char* row :
       {"0: 0100007F: 0:0 0A 1 2 3 4 5 6", "0: 0100007F:XYZW 0:0 0A 1 2 3 4 5 6",
        "0: 0100007F:4B580 0:0 0A 1 2 3 4 5 6", "0: 0100007F:4B58 0:0 0A 1 2 3 4 5",
        "0: 0100007F:4B58 0:0 0A 1 2 3 4 5 x", "0A", ""}) {
    EXPECT_TRUE(ParseTcpListeners(row).empty()) << row;
  }
}

}  // namespace
}  // namespace idlewatt
