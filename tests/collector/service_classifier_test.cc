#include "collector/process/service_classifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_proc.h"

namespace idlewatt {
namespace {

constexpr int32_t kSelf = 500;

class ServiceClassifierTest : public ::testing::Test {
 protected:
  template <typename Field, typename Value>
  void Watch(const std::string& name, Field field, const Value& value) {
    WatchedService watch;
    watch.name = name;
    watch.*field = value;
    watched.push_back(std::move(watch));
  }
  void Put(const FakeProcess& process, const std::string& cgroup = "/") {
    proc.Put(process);
    proc.PutFile(process.pid, "cgroup", "0::" + cgroup + "\n");
    scan[process.pid] = ProcessOf(process);
  }
  void End(int32_t pid) {
    proc.Kill(pid);
    scan.erase(pid);
  }
  // A listening socket on port 8080 (hexadecimal 1F90).
  void Listen() {
    proc.Write("net/tcp",
               "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
               "   0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 "
               "11 1 0\n"
               "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 "
               "22 1 0\n"
               "   2: 0100007F:1F90 0100007F:ABCD 01 00000000:00000000 00:00000000 00000000  0 0 "
               "33 1 0\n");
  }
  // Classifies all processes, and asserts that each has exactly one service.
  void Classify() {
    if (!classifier) classifier.emplace(root, watched, kSelf, table);
    now += std::chrono::seconds(5);
    std::vector<Process> all;
    for (const auto& [pid, process] : scan) all.push_back(process);
    const auto entries = classifier->Classify(now, all, roots, ended);
    ended.clear();
    ASSERT_EQ(entries.size(), all.size());
    services.clear();
    for (size_t i = 0; i < all.size(); ++i) services[all[i].pid] = NameOf(entries[i]);
  }
  static std::string NameOf(const ServiceEntry* entry) {
    if (entry == nullptr) return "nobody";
    EXPECT_FALSE(entry->first.name.empty());
    return std::string(ServiceKindName(entry->first.kind)) + " " + entry->first.name;
  }
  std::string OwnerOf(const EndedUse& use) { return NameOf(classifier->OwnerOf(use)); }

  FakeProc proc;
  FileRoot root = proc.Root();
  std::vector<WatchedService> watched;
  std::vector<SupervisedRoot> roots;
  std::vector<EndedRoot> ended;
  std::map<int32_t, Process> scan;
  MeasuredServices table;
  std::optional<ServiceClassifier> classifier;
  std::map<int32_t, std::string> services;
  BootTime now{std::chrono::seconds(1000)};
};

TEST_F(ServiceClassifierTest, RootSessionAndDescendantsAreSupervised) {
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .parent = kSelf});
  Put({.pid = 601, .parent = 600, .session = 601});  // a session of its own
  Put({.pid = 602, .parent = 1, .session = 600});    // re-parented before we saw it
  Put({.pid = 603, .parent = 601, .session = 603});
  Put({.pid = 604, .parent = 1, .session = 604});
  Classify();
  for (const int pid : {600, 601, 602, 603}) EXPECT_EQ(services[pid], "supervised web") << pid;
  EXPECT_EQ(services[604], "discovered prog");
}

TEST_F(ServiceClassifierTest, AnOrphanStaysAMember) {
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .parent = kSelf});
  Put({.pid = 601, .parent = 600, .session = 601});
  Classify();
  End(600);
  roots.clear();
  Put({.pid = 601, .parent = 1, .session = 601});
  Put({.pid = 602, .parent = 601, .session = 602});
  Classify();
  EXPECT_EQ(services[601], "supervised web");
  EXPECT_EQ(services[602], "supervised web");
}

TEST_F(ServiceClassifierTest, AMarkedOrphanOfOursIsSupervised) {
  Put({.pid = 601, .parent = kSelf});
  proc.PutFile(601, "environ", std::string_view("A=1\0IDLEWATT_SERVICE=web\0B=2\0", 30));
  Put({.pid = 602, .parent = 1});
  proc.PutFile(602, "environ", std::string_view("IDLEWATT_SERVICE=web\0", 21));
  Put({.pid = 603, .parent = kSelf});
  proc.PutFile(603, "environ",
               std::string_view("XIDLEWATT_SERVICE=web\0IDLEWATT_SERVICES=x\0", 42));
  Classify();
  EXPECT_EQ(services[601], "supervised web");
  EXPECT_EQ(services[602], "discovered prog");
  EXPECT_EQ(services[603], "discovered prog");
}

TEST_F(ServiceClassifierTest, WhoIsInTheCgroupOfARunIsSupervised) {
  const std::string own = "/system.slice/idlewatt.service";
  roots = {{"web", 600, {}, own + "/idlewatt-web"}, {"db", 610, {}, own + "/idlewatt-db"}};
  Put({.pid = kSelf}, own);
  Put({.pid = 600, .parent = kSelf}, own + "/idlewatt-web");
  Put({.pid = 601, .parent = 1}, own + "/idlewatt-web");  // left session, parent and environment
  Put({.pid = 602, .parent = 1}, own + "/idlewatt-web/below");
  Put({.pid = 603, .parent = 1}, own + "/idlewatt-web-2");
  Put({.pid = 610, .parent = kSelf}, own + "/idlewatt-db");
  Classify();
  for (const int pid : {600, 601, 602}) EXPECT_EQ(services[pid], "supervised web") << pid;
  EXPECT_EQ(services[610], "supervised db");
  for (const int pid : {kSelf, 603}) EXPECT_EQ(services[pid], "discovered idlewatt.service") << pid;
}

TEST_F(ServiceClassifierTest, AReusedPidIsNoMember) {
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .parent = kSelf});
  Put({.pid = 601, .parent = 600, .start = 100});
  Classify();
  Put({.pid = 601, .comm = "other", .parent = 1, .start = 200});
  Classify();
  EXPECT_EQ(services[601], "discovered other (discovered)");
}

TEST_F(ServiceClassifierTest, AWatchByProgramTakesTheWholeNameAndTheExecutable) {
  Watch("db", &WatchedService::process, "postgres");
  Watch("long", &WatchedService::process, "a-very-long-program-name");
  Put({.pid = 10, .comm = "postgres"});
  Put({.pid = 11, .comm = "postgresx"});
  Put({.pid = 12, .comm = "a-very-long-pro"});
  proc.Link("12/exe", "/usr/bin/a-very-long-program-name");
  Put({.pid = 13, .comm = "a-very-long-pro"});
  proc.Link("13/exe", "/usr/bin/a-very-long-program-nominal");
  Put({.pid = 14, .comm = "renamed itself"});
  proc.Link("14/exe", "/usr/lib/postgres");
  Classify();
  EXPECT_EQ(services[10], "watched db");
  EXPECT_EQ(services[11], "discovered postgresx");
  EXPECT_EQ(services[12], "watched long");
  EXPECT_EQ(services[13], "discovered a-very-long-pro");
  EXPECT_EQ(services[14], "watched db");
}

TEST_F(ServiceClassifierTest, AWatchFindsAProgramThatExecsLater) {
  Watch("db", &WatchedService::process, "postgres");
  Put({.pid = 10, .comm = "sh"});
  for (int i = 0; i < 5; ++i) Classify();
  EXPECT_EQ(services[10], "discovered sh");
  Put({.pid = 10, .comm = "postgres"});
  Classify();
  EXPECT_EQ(services[10], "watched db");
}

TEST_F(ServiceClassifierTest, AWatchByCgroupTakesWhatIsBelow) {
  Watch("pods", &WatchedService::cgroup, "/kubepods");
  Put({.pid = 10}, "/kubepods");
  Put({.pid = 11}, "/kubepods/burstable/x");
  Put({.pid = 12}, "/kubepods2");
  Classify();
  EXPECT_EQ(services[10], "watched pods");
  EXPECT_EQ(services[11], "watched pods");
  EXPECT_EQ(services[12], "discovered prog");
}

TEST_F(ServiceClassifierTest, AWatchByUnitTakesItsWholeCgroup) {
  Watch("web", &WatchedService::unit, "nginx.service");
  Put({.pid = 10}, "/system.slice/nginx.service");
  Put({.pid = 11}, "/system.slice/nginx.service/inner");
  Put({.pid = 12}, "/system.slice/xnginx.service");
  Classify();
  EXPECT_EQ(services[10], "watched web");
  EXPECT_EQ(services[11], "watched web");
  EXPECT_EQ(services[12], "discovered xnginx.service");
}

TEST_F(ServiceClassifierTest, AWatchByPidFileFollowsTheFile) {
  FakeTree run;
  Watch("db", &WatchedService::pid_file, run.PathOf("db.pid"));
  Put({.pid = 10});
  Put({.pid = 11});
  Put({.pid = 12, .parent = 10});
  Classify();
  EXPECT_EQ(services[10], "discovered prog");
  run.Write("db.pid", "10\n");
  Classify();
  EXPECT_EQ(services[10], "watched db");
  EXPECT_EQ(services[12], "watched db");
  for (const char* nonsense : {"", "x", "-1", "0", "99999999999"}) {
    run.Write("db.pid", nonsense);
    Classify();
    EXPECT_EQ(services[11], "discovered prog") << nonsense;
  }
}

TEST_F(ServiceClassifierTest, AWatchByPortTakesEveryHolderOfTheSocket) {
  Watch("web", &WatchedService::port, 8080);
  Listen();
  Put({.pid = 999});  // the master; its workers sort before it
  Put({.pid = 1000, .parent = 999});
  Put({.pid = 1001, .parent = 999});
  Put({.pid = 1002, .parent = 1});
  proc.Link("999/fd/3", "socket:[22]");
  proc.Link("1000/fd/3", "socket:[22]");
  proc.Link("1002/fd/3", "socket:[11]");
  Classify();
  EXPECT_EQ(services[999], "watched web");
  EXPECT_EQ(services[1000], "watched web");
  EXPECT_EQ(services[1001], "watched web");
  EXPECT_EQ(services[1002], "discovered prog");
}

TEST_F(ServiceClassifierTest, ThePortOwnerIsLookedForAgain) {
  Watch("web", &WatchedService::port, 8080);
  Put({.pid = 10});
  Classify();
  EXPECT_EQ(services[10], "discovered prog");
  Listen();
  proc.Link("10/fd/3", "socket:[22]");
  for (int i = 0; i < 7; ++i) Classify();
  EXPECT_EQ(services[10], "watched web");
}

TEST_F(ServiceClassifierTest, SystemdHoldsSocketsForOthers) {
  Watch("ssh", &WatchedService::port, 8080);
  Listen();
  Put({.pid = 1, .comm = "systemd", .parent = 0});
  Put({.pid = 30, .comm = "systemd"});  // a user's
  Put({.pid = 31, .parent = 30});
  Put({.pid = 10, .comm = "sshd"});
  for (const char* fd : {"1/fd/40", "30/fd/5", "10/fd/3"}) proc.Link(fd, "socket:[22]");
  Classify();
  EXPECT_EQ(services[1], "discovered systemd");
  EXPECT_EQ(services[31], "discovered prog");
  EXPECT_EQ(services[10], "watched ssh");
}

TEST_F(ServiceClassifierTest, NobodyIsADescendantOfInit) {
  Watch("init", &WatchedService::process, "systemd");
  Put({.pid = 1, .comm = "systemd", .parent = 0});
  Put({.pid = 10, .parent = 1});
  Classify();
  EXPECT_EQ(services[1], "watched init");
  EXPECT_EQ(services[10], "discovered prog");
}

TEST_F(ServiceClassifierTest, DescentFromASupervisedServiceGoesBeforeAWatch) {
  Watch("py", &WatchedService::process, "python3");
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .comm = "python3", .parent = kSelf});
  Put({.pid = 601, .comm = "python3", .parent = 600, .session = 601});
  Put({.pid = 602, .comm = "python3"});
  Classify();
  EXPECT_EQ(services[600], "supervised web");
  EXPECT_EQ(services[601], "supervised web");
  EXPECT_EQ(services[602], "watched py");
}

TEST_F(ServiceClassifierTest, AMatchOfItsOwnGoesBeforeDescentFromAWatch) {
  Watch("unit", &WatchedService::unit, "a.service");
  Watch("tool", &WatchedService::process, "tool");
  Put({.pid = 10}, "/system.slice/a.service");
  Put({.pid = 11, .comm = "tool", .parent = 10}, "/elsewhere");
  Put({.pid = 12, .comm = "tool"}, "/system.slice/a.service");  // both match: the first wins
  Classify();
  EXPECT_EQ(services[10], "watched unit");
  EXPECT_EQ(services[11], "watched tool");
  EXPECT_EQ(services[12], "watched unit");
}

TEST_F(ServiceClassifierTest, ACycleOfParentsEnds) {
  Put({.pid = 10, .parent = 11});
  Put({.pid = 11, .parent = 10});
  Put({.pid = 12, .parent = 12});
  Classify();
  EXPECT_EQ(services.size(), 3U);
}

TEST_F(ServiceClassifierTest, ALongChainOfParentsIsClassified) {
  roots = {{"web", 2000, {}}};
  for (int pid = 1750; pid <= 2000; ++pid) scan[pid] = ProcessOf({.pid = pid, .parent = pid + 1});
  Classify();
  for (int pid = 1750; pid <= 2000; ++pid) EXPECT_EQ(services[pid], "supervised web") << pid;
}

TEST_F(ServiceClassifierTest, AnEndlessChainOfParentsEnds) {
  for (int pid = 1001; pid < 9000; ++pid) scan[pid] = ProcessOf({.pid = pid, .parent = pid + 1});
  Classify();
  EXPECT_EQ(services.size(), 7999U);
}

TEST_F(ServiceClassifierTest, DiscoveredServicesAreNamedAfterUnitContainerOrProgram) {
  Put({.pid = 2, .comm = "kthreadd", .parent = 0, .flags = 0x00200000});
  Put({.pid = 10, .comm = "nginx"}, "/system.slice/nginx.service");
  Put({.pid = 11, .comm = "redis"}, "/docker/" + std::string(64, 'a'));
  Put({.pid = 12, .comm = "vim"}, "/user.slice/user-1000.slice/session-2.scope");
  Put({.pid = 13, .comm = "\xFF"});
  Put({.pid = 14, .comm = ""});
  Classify();
  EXPECT_EQ(services[2], "discovered kernel");
  EXPECT_EQ(services[10], "discovered nginx.service");
  EXPECT_EQ(services[11], "discovered docker-aaaaaaaaaaaa");
  EXPECT_EQ(services[12], "discovered vim");
  EXPECT_EQ(services[13], "discovered \xEF\xBF\xBD");
  EXPECT_EQ(services[14], "discovered unnamed");
}

TEST_F(ServiceClassifierTest, ADiscoveredServiceDoesNotBearAConfiguredName) {
  Watch("nginx.service", &WatchedService::process, "x");
  Watch("kernel", &WatchedService::process, "y");
  roots = {{"vim", 600, {}}};
  Put({.pid = 2, .flags = 0x00200000});
  Put({.pid = 10}, "/system.slice/nginx.service");
  Put({.pid = 11, .comm = "vim"});
  Put({.pid = 12, .comm = "other"});
  Classify();
  EXPECT_EQ(services[2], "discovered kernel (discovered)");
  EXPECT_EQ(services[10], "discovered nginx.service (discovered)");
  EXPECT_EQ(services[11], "discovered vim (discovered)");
  EXPECT_EQ(services[12], "discovered other (discovered)");
}

TEST_F(ServiceClassifierTest, AProcessThatIsMovedToItsCgroupLaterIsNamedAfterIt) {
  Put({.pid = 10, .comm = "nginx"}, "/");
  Classify();
  EXPECT_EQ(services[10], "discovered nginx");
  Put({.pid = 10, .comm = "nginx"}, "/system.slice/nginx.service");
  Classify();
  EXPECT_EQ(services[10], "discovered nginx.service");
}

TEST_F(ServiceClassifierTest, AProcessThatVanishedIsClassifiedByItsName) {
  Put({.pid = 10, .comm = "fast"});
  proc.Kill(10);
  Classify();
  EXPECT_EQ(services[10], "discovered fast");
}

TEST_F(ServiceClassifierTest, ADescendantFollowsAnAncestorThatBecomesAMember) {
  Watch("db", &WatchedService::process, "postgres");
  Put({.pid = 10, .comm = "sh"});
  Put({.pid = 9, .comm = "child", .parent = 10});
  for (int i = 0; i < 3; ++i) Classify();
  EXPECT_EQ(services[9], "discovered child");
  Put({.pid = 10, .comm = "postgres"});
  Classify();
  EXPECT_EQ(services[9], "watched db");
}

TEST_F(ServiceClassifierTest, NothingChangesInATickWithoutNews) {
  Put({.pid = 10});
  Put({.pid = 11});
  for (int i = 0; i < 3; ++i) Classify();
  EXPECT_FALSE(classifier->changed());
  End(11);
  Classify();
  EXPECT_TRUE(classifier->changed());
  Classify();
  EXPECT_FALSE(classifier->changed());
  Put({.pid = 12});
  Classify();
  EXPECT_TRUE(classifier->changed());
}

TEST_F(ServiceClassifierTest, WhatAnEndedProcessUsedIsThatOfItsService) {
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .parent = kSelf, .start = 100});
  Put({.pid = 601, .parent = 600, .session = 601, .start = 150});
  Classify();
  End(601);
  Classify();
  EXPECT_EQ(OwnerOf({.pid = 601, .start = 150, .ancestor = 600}), "supervised web");
  EXPECT_EQ(OwnerOf({.pid = 601, .start = 151}), "nobody") << "another process of that number";
}

TEST_F(ServiceClassifierTest, AProcessNobodySawIsThatOfItsNearestKnownAncestor) {
  roots = {{"web", 600, {}}};
  Put({.pid = 600, .parent = kSelf, .start = 100});
  Put({.pid = 50, .comm = "bash", .session = 50});
  Classify();
  EXPECT_EQ(OwnerOf({.ancestor = 600, .ancestor_start = 100, .session = 50}), "supervised web");
  EXPECT_EQ(OwnerOf({.ancestor = 600, .ancestor_start = 99, .session = 50}), "discovered bash");
}

TEST_F(ServiceClassifierTest, AnOrphanNobodySawIsThatOfItsSession) {
  roots = {{"web", 600, {}}};
  Put({.pid = 1, .comm = "systemd", .parent = 0});
  Put({.pid = 30, .comm = "systemd"});  // a user's
  Put({.pid = 600, .parent = kSelf});
  Classify();
  EXPECT_EQ(OwnerOf({.ancestor = 1, .session = 600}), "supervised web");
  EXPECT_EQ(OwnerOf({.ancestor = 30, .session = 600}), "supervised web");
  EXPECT_EQ(OwnerOf({.ancestor = kSelf, .session = 600}), "supervised web");
  EXPECT_EQ(OwnerOf({.ancestor = 1, .session = 77}), "nobody");
  EXPECT_EQ(OwnerOf({.ancestor = 30, .session = 77}), "discovered systemd");
}

TEST_F(ServiceClassifierTest, ARootThatCameAndWentBetweenTwoScansIsKnownFromTheSupervisor) {
  ended = {{"job", 700, 0, 0}};
  Classify();
  EXPECT_EQ(OwnerOf({.ancestor = kSelf, .session = 700}), "supervised job");
  EXPECT_EQ(OwnerOf({.pid = 700, .start = 5, .ancestor = kSelf}), "supervised job");
  now += std::chrono::minutes(2);
  Classify();
  EXPECT_EQ(OwnerOf({.ancestor = kSelf, .session = 700}), "nobody");
}

TEST_F(ServiceClassifierTest, AnEndedProcessIsForgottenAfterAMinute) {
  Put({.pid = 10, .start = 100});
  Classify();
  End(10);
  now += std::chrono::hours(5);  // the machine slept
  Classify();
  EXPECT_EQ(OwnerOf({.pid = 10, .start = 100}), "discovered prog") << "told in the next tick";
  Classify();
  EXPECT_EQ(OwnerOf({.pid = 10, .start = 100}), "nobody");
}

}  // namespace
}  // namespace idlewatt
