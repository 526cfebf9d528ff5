#include "supervisor/spec/service_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ServiceSpec Spec(std::string name = "llama") {
  ServiceSpec spec;
  spec.name = std::move(name);
  spec.command = {"true"};
  return spec;
}

// The texts of the mistakes after `change`.
std::vector<std::string> After(const std::function<void(ServiceSpec&)>& change) {
  ServiceSpec spec = Spec();
  change(spec);
  std::vector<std::string> texts;
  for (const Error& mistake : Mistakes(spec)) {
    EXPECT_EQ(mistake.code, ErrorCode::kInvalid);
    texts.push_back(mistake.text);
  }
  EXPECT_EQ(Validate(spec).ok(), texts.empty());
  return texts;
}

TEST(ServiceChecksTest, NamesThatAreNoFileNamesAreRefused) {
  for (const char* name : {"", "../x", "a/b", ".hidden", "a b", "é"}) {
    EXPECT_THAT(After([&](ServiceSpec& s) { s.name = name; }),
                ElementsAre(HasSubstr("name: must have 1 to 64 letters")));
  }
  EXPECT_THAT(After([](ServiceSpec& s) { s.name = std::string(65, 'a'); }), testing::SizeIs(1));
  EXPECT_THAT(After([](ServiceSpec& s) { s.name = "Llama-3.2_1b"; }), IsEmpty());
}

TEST(ServiceChecksTest, AServiceWithoutProgramIsRefused) {
  EXPECT_THAT(After([](ServiceSpec& s) { s.command = {}; }), ElementsAre("command: must be set"));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.command = {"", "x"};
              }),
              ElementsAre("command: names no program"));
  EXPECT_THAT(After([](ServiceSpec& s) { s.stop_command = {""}; }),
              ElementsAre("stop_command: names no program"));
}

TEST(ServiceChecksTest, ATextThatTheKernelWouldCutIsRefused) {
  const std::string cut("a\0b", 3);
  EXPECT_THAT(After([&](ServiceSpec& s) { s.command.push_back(cut); }),
              ElementsAre("command: contains a NUL character"));
  EXPECT_THAT(After([&](ServiceSpec& s) {
                s.stop_command = {"a", cut};
              }),
              ElementsAre(HasSubstr("stop_command")));
  EXPECT_THAT(After([&](ServiceSpec& s) { s.model = cut; }), ElementsAre(HasSubstr("model")));
  EXPECT_THAT(After([&](ServiceSpec& s) { s.working_dir = cut; }),
              ElementsAre(HasSubstr("working_dir")));
  EXPECT_THAT(After([&](ServiceSpec& s) { s.env_file = cut; }), ElementsAre(HasSubstr("env_file")));
  EXPECT_THAT(After([&](ServiceSpec& s) {
                s.environment = {{"A", cut}};
              }),
              ElementsAre(HasSubstr("environment.A")));
  EXPECT_THAT(After([&](ServiceSpec& s) {
                s.environment = {{cut, "a"}};
              }),
              ElementsAre(HasSubstr("environment")));
  EXPECT_THAT(After([&](ServiceSpec& s) { s.user = "root" + cut; }),
              testing::Contains("user: contains a NUL character"));
}

TEST(ServiceChecksTest, NamesOfVariablesAndProfilesAreChecked) {
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.environment = {{"A=B", "c"}};
              }),
              ElementsAre("environment: \"A=B\" is no name of a variable"));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.profiles = {"fast", "very slow"};
              }),
              ElementsAre(HasSubstr("profiles: \"very slow\" must have")));
}

TEST(ServiceChecksTest, AnUnknownUserOrGroupIsRefused) {
  EXPECT_THAT(After([](ServiceSpec& s) { s.user = "root"; }), IsEmpty());
  EXPECT_THAT(After([](ServiceSpec& s) { s.user = "0:0"; }), IsEmpty());
  EXPECT_THAT(After([](ServiceSpec& s) { s.user = "nobody-of-this-name"; }),
              ElementsAre("user: there is no user \"nobody-of-this-name\" on this machine"));
  EXPECT_THAT(After([](ServiceSpec& s) { s.user = "root:no-group-of-this-name"; }),
              ElementsAre("user: there is no group \"no-group-of-this-name\" on this machine"));
  EXPECT_THAT(After([](ServiceSpec& s) { s.user = ":root"; }),
              ElementsAre(HasSubstr("there is no user \"\"")));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.user = "nobody-of-this-name";
                s.command.push_back("${env.PATH}");
              }),
              ElementsAre(HasSubstr("user: there is no user")));
}

TEST(ServiceChecksTest, VariablesWithoutAValueAreRefused) {
  const auto with_port = [](ServiceSpec& s) { s.command = {"serve", "${PORT}"}; };
  EXPECT_THAT(After(with_port), ElementsAre(HasSubstr("command: ${PORT} is used")));
  EXPECT_THAT(After([&](ServiceSpec& s) {
                with_port(s);
                s.auto_port = true;
              }),
              IsEmpty());
  EXPECT_THAT(After([&](ServiceSpec& s) {
                s.command.push_back("${env.IDLEWATT_NOT_SET}");
                s.env_file = "/nonexistent/env";
              }),
              IsEmpty());
}

TEST(ServiceChecksTest, LimitsHaveTwoEnds) {
  EXPECT_THAT(After([](ServiceSpec& s) { s.port = 0; }), ElementsAre(HasSubstr("port: must be")));
  for (const int nice : {-21, 20}) {
    EXPECT_THAT(After([&](ServiceSpec& s) { s.nice = nice; }),
                ElementsAre("nice: must be between -20 and 19"));
  }
  for (const int score : {-1001, 1001}) {
    EXPECT_THAT(After([&](ServiceSpec& s) { s.oom_score_adj = score; }),
                ElementsAre("oom_score_adj: must be between -1000 and 1000"));
  }
  EXPECT_THAT(After([](ServiceSpec& s) { s.memory = 0; }), ElementsAre(HasSubstr("memory")));
  EXPECT_THAT(After([](ServiceSpec& s) { s.log.max_size = 0; }),
              ElementsAre(HasSubstr("log.max_size")));
  for (const int backups : {-1, 1001}) {
    EXPECT_THAT(After([&](ServiceSpec& s) { s.log.max_backups = backups; }),
                ElementsAre(HasSubstr("log.max_backups")));
  }
  EXPECT_THAT(After([](ServiceSpec& s) { s.log.max_age = milliseconds(-1); }),
              ElementsAre(HasSubstr("log.max_age")));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.ulimits = {{RLIMIT_NOFILE, 5, 4}};
              }),
              ElementsAre(HasSubstr("ulimits: a soft limit must not")));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.ulimits = {{RLIMIT_NOFILE, 4, 4}, {RLIMIT_NOFILE, 5, 5}};
              }),
              ElementsAre("ulimits: one limit is set twice"));
}

TEST(ServiceChecksTest, PoliciesHaveTwoEnds) {
  using Change = std::function<void(ServiceSpec&)>;
  const std::vector<std::pair<std::string, Change>> wrong = {
      {"success_exit_codes",
       [](ServiceSpec& s) {
         s.success_exit_codes = {1, 256};
       }},
      {"restart_prevent_exit_codes", [](ServiceSpec& s) { s.restart_prevent_exit_codes = {-1}; }},
      {"backoff.initial", [](ServiceSpec& s) { s.backoff.initial = seconds(-1); }},
      {"backoff.multiplier", [](ServiceSpec& s) { s.backoff.multiplier = 0.9; }},
      {"backoff.multiplier", [](ServiceSpec& s) { s.backoff.multiplier = 101; }},
      {"backoff.max", [](ServiceSpec& s) { s.backoff.max = hours(25); }},
      {"backoff.max", [](ServiceSpec& s) { s.backoff.max = seconds(1); }},
      {"backoff.jitter", [](ServiceSpec& s) { s.backoff.jitter = -0.1; }},
      {"backoff.jitter", [](ServiceSpec& s) { s.backoff.jitter = 1.1; }},
      {"backoff.reset_after", [](ServiceSpec& s) { s.backoff.reset_after = hours(9000); }},
      {"start_limit.burst", [](ServiceSpec& s) { s.start_limit.burst = -1; }},
      {"start_limit.burst", [](ServiceSpec& s) { s.start_limit.burst = 1001; }},
      {"start_limit.interval", [](ServiceSpec& s) { s.start_limit.interval = seconds(0); }},
      {"stop_signal", [](ServiceSpec& s) { s.stop_signal = 0; }},
      {"stop_signal", [](ServiceSpec& s) { s.stop_signal = SIGSTOP; }},
      {"stop_timeout", [](ServiceSpec& s) { s.stop_timeout = seconds(-1); }},
      {"stop_timeout", [](ServiceSpec& s) { s.stop_timeout = hours(25); }}};
  for (const auto& [key, change] : wrong) {
    EXPECT_THAT(After(change), ElementsAre(testing::StartsWith(key + ": ")));
  }
}

TEST(ServiceChecksTest, AnEmptyReadinessIsToldWhatToWrite) {
  EXPECT_THAT(After([](ServiceSpec& s) { s.ready.emplace(); }),
              ElementsAre(HasSubstr("ready: says no way; write ready = { log_pattern = true }")));
}

TEST(ServiceChecksTest, PatternsThatDoNotCompileAreRefused) {
  const auto pattern = [](std::string text) {
    return After([&](ServiceSpec& s) {
      s.ready.emplace();
      s.ready->log_patterns = {"fine", text};
    });
  };
  EXPECT_THAT(pattern("listening (on|at) [0-9]+"), IsEmpty());
  EXPECT_THAT(pattern("("), ElementsAre(HasSubstr("ready.log_pattern: regular expression \"(\"")));
  EXPECT_THAT(pattern(""), ElementsAre(HasSubstr("fits every line")));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.ready.emplace();
                s.ready->log_patterns.assign(65, "a");
              }),
              ElementsAre(HasSubstr("more than 64")));
}

TEST(ServiceChecksTest, ProbesOfAPortNeedOne) {
  const auto http = [](ServiceSpec& s) { s.ready.emplace().http_get = "/health"; };
  EXPECT_THAT(After(http), ElementsAre(HasSubstr("ready.http_get: needs a port; set port")));
  EXPECT_THAT(After([&](ServiceSpec& s) {
                http(s);
                s.auto_port = true;
              }),
              IsEmpty());
  EXPECT_THAT(After([](ServiceSpec& s) { s.ready.emplace().tcp_socket = true; }),
              ElementsAre(HasSubstr("ready.tcp_socket: needs a port")));
  EXPECT_THAT(After([](ServiceSpec& s) { s.liveness.emplace().http_get = "/health"; }),
              ElementsAre(HasSubstr("liveness.http_get: needs a port")));
  EXPECT_THAT(After([](ServiceSpec& s) { s.liveness.emplace().tcp_socket = true; }),
              ElementsAre(HasSubstr("liveness.tcp_socket: needs a port")));
}

TEST(ServiceChecksTest, HttpIsAskedOfThisMachineOnly) {
  const auto http = [](std::string target) {
    return After([&](ServiceSpec& s) {
      s.port = 8001;
      s.ready.emplace().http_get = target;
    });
  };
  for (const char* good : {"/", "/health?x=1", "http://127.0.0.1:9/x", "http://127.0.0.1:${PORT}/",
                           "http://${env.IDLEWATT_HOST_LATER}:80/"}) {
    EXPECT_THAT(After([&](ServiceSpec& s) {
                  s.port = 8001;
                  s.env_file = "/nonexistent/env";
                  s.ready.emplace().http_get = good;
                }),
                IsEmpty());
  }
  for (const char* bad : {"health", "https://127.0.0.1:9/x", "http://10.0.0.1:80/",
                          "http://127.0.0.1/x", "http://127.0.0.1:0/x", "http://127.0.0.1:80",
                          "/a b", "/\x7f", "/a\r\nX: y", "http://127.0.0.1:70000/"}) {
    EXPECT_THAT(http(bad), ElementsAre(HasSubstr("ready.http_get: must be a path"))) << bad;
  }
}

TEST(ServiceChecksTest, TimesOfProbesHaveTwoEnds) {
  const auto ready = [](const std::function<void(ReadySpec&)>& change) {
    return After([&](ServiceSpec& s) {
      s.ready.emplace().notify = true;
      change(*s.ready);
    });
  };
  EXPECT_THAT(ready([](ReadySpec&) {}), IsEmpty());
  EXPECT_THAT(ready([](ReadySpec& r) { r.timeout = seconds(0); }),
              ElementsAre(HasSubstr("ready.timeout")));
  EXPECT_THAT(ready([](ReadySpec& r) { r.stall_timeout = hours(25); }),
              ElementsAre(HasSubstr("ready.stall_timeout")));
  EXPECT_THAT(ready([](ReadySpec& r) { r.delay = seconds(121); }),
              ElementsAre("ready.delay: must not be longer than ready.timeout, which is 2m"));
  EXPECT_THAT(ready([](ReadySpec& r) { r.exec = {""}; }), ElementsAre(HasSubstr("ready.exec")));
  const auto liveness = [](const std::function<void(LivenessSpec&)>& change) {
    return After([&](ServiceSpec& s) {
      s.liveness.emplace().exec = {"true"};
      change(*s.liveness);
    });
  };
  EXPECT_THAT(liveness([](LivenessSpec&) {}), IsEmpty());
  EXPECT_THAT(liveness([](LivenessSpec& l) { l.period = seconds(0); }),
              ElementsAre(HasSubstr("liveness.period")));
  EXPECT_THAT(liveness([](LivenessSpec& l) { l.timeout = hours(25); }),
              ElementsAre(HasSubstr("liveness.timeout")));
  for (const int failures : {0, 1001}) {
    EXPECT_THAT(liveness([&](LivenessSpec& l) { l.failure_threshold = failures; }),
                ElementsAre("liveness.failure_threshold: must be between 1 and 1000"));
  }
  EXPECT_THAT(liveness([](LivenessSpec& l) {
                l.exec = {"true", std::string("a\0", 2)};
              }),
              ElementsAre(HasSubstr("liveness.exec")));
}

TEST(ServiceChecksTest, LivenessIsAskedInOneWay) {
  EXPECT_THAT(After([](ServiceSpec& s) { s.liveness.emplace(); }),
              ElementsAre(HasSubstr("liveness: needs exactly one")));
  EXPECT_THAT(After([](ServiceSpec& s) {
                s.port = 1;
                s.liveness.emplace().tcp_socket = true;
                s.liveness->http_get = "/";
              }),
              ElementsAre(HasSubstr("liveness: needs exactly one")));
}

TEST(ServiceChecksTest, EveryMistakeIsToldAtOnceWithTheService) {
  ServiceSpec spec = Spec();
  spec.command = {""};
  spec.nice = 99;
  spec.user = "nobody-of-this-name";
  EXPECT_EQ(Mistakes(spec).size(), 3U);
  EXPECT_EQ(Validate(spec).error().ToString(), "service \"llama\": command: names no program");
}

std::vector<std::string> Together(const std::vector<ServiceSpec>& specs) {
  std::vector<std::string> texts;
  for (const Error& error : ValidateTogether(specs)) texts.push_back(error.ToString());
  return texts;
}

ServiceSpec Needs(std::string name, const std::vector<std::string>& others) {
  ServiceSpec spec = Spec(std::move(name));
  for (const std::string& other : others) spec.depends_on[other] = DependencyCondition::kReady;
  return spec;
}

TEST(ServiceChecksTest, NamesAndPortsAreUsedOnce) {
  ServiceSpec a = Spec("a");
  ServiceSpec b = Spec("b");
  a.port = b.port = 8001;
  EXPECT_THAT(Together({a, b, Spec("a")}),
              ElementsAre("service \"b\": port: 8001 is used twice, here and by \"a\"",
                          "service \"a\": name: \"a\" is used twice"));
  EXPECT_THAT(Together({Spec(""), Spec("")}), IsEmpty());
}

TEST(ServiceChecksTest, ServicesThatAreNeverInOneProfileMayShareAPort) {
  ServiceSpec a = Spec("a");
  ServiceSpec b = Spec("b");
  a.port = b.port = 8001;
  a.profiles = {"day"};
  b.profiles = {"night"};
  EXPECT_THAT(Together({a, b}), IsEmpty());
  b.profiles = {"night", "day"};
  EXPECT_EQ(Together({a, b}).size(), 1U);
  b.profiles = {};
  EXPECT_EQ(Together({a, b}).size(), 1U);
}

TEST(ServiceChecksTest, ADependencyIsAServiceByName) {
  EXPECT_THAT(Together({Needs("a", {"databse"}), Spec("database")}),
              ElementsAre("service \"a\": depends_on: \"databse\" is not a service; did you mean "
                          "\"database\"?"));
  EXPECT_THAT(Together({Needs("a", {"xyz"})}),
              ElementsAre("service \"a\": depends_on: \"xyz\" is not a service"));
}

TEST(ServiceChecksTest, CyclesAreSpelledOut) {
  EXPECT_THAT(Together({Needs("a", {"a"})}), ElementsAre(HasSubstr("cannot depend on itself")));
  EXPECT_THAT(Together({Needs("b", {"a"}), Needs("a", {"b"})}),
              ElementsAre("service \"a\": depends_on: is a cycle: a -> b -> a"));
  EXPECT_THAT(
      Together({Needs("outside", {"x"}), Needs("x", {"y", "free"}), Needs("y", {"z"}),
                Needs("z", {"x"}), Spec("free"), Needs("p", {"q"}), Needs("q", {"p"})}),
      testing::UnorderedElementsAre(HasSubstr("x -> y -> z -> x"), HasSubstr("p -> q -> p")));
}

TEST(ServiceChecksTest, DependenciesWithoutACycleAreFine) {
  EXPECT_THAT(Together({Needs("a", {"b", "c"}), Needs("b", {"d"}), Needs("c", {"d"}), Spec("d")}),
              IsEmpty());
}

TEST(ServiceChecksTest, ALongChainIsNoCycle) {
  std::vector<ServiceSpec> specs;
  specs.reserve(501);
  for (int i = 0; i < 500; ++i) {
    specs.push_back(Needs("s" + std::to_string(i), {"s" + std::to_string(i + 1)}));
  }
  specs.push_back(Spec("s500"));
  EXPECT_THAT(Together(specs), IsEmpty());
}

TEST(ServiceChecksTest, WhatAlwaysRestartsIsNeverCompleted) {
  ServiceSpec a = Spec("a");
  a.depends_on["b"] = DependencyCondition::kCompleted;
  ServiceSpec b = Spec("b");
  EXPECT_THAT(Together({a, b}), IsEmpty());
  for (const RestartMode mode : {RestartMode::kAlways, RestartMode::kUnlessStopped}) {
    b.restart = mode;
    EXPECT_THAT(Together({a, b}), ElementsAre(AllOf(HasSubstr("service \"a\""),
                                                    HasSubstr("\"b\" is never completed"))));
  }
}

TEST(ServiceChecksTest, ADependencyCanBeActiveTogetherWithIt) {
  ServiceSpec a = Needs("a", {"b"});
  ServiceSpec b = Spec("b");
  a.profiles = {"fast", "slow"};
  EXPECT_THAT(Together({a, b}), IsEmpty());
  b.profiles = {"slow"};
  EXPECT_THAT(Together({a, b}), IsEmpty());
  b.profiles = {"other"};
  EXPECT_THAT(Together({a, b}), ElementsAre(HasSubstr("they share no profile")));
  a.profiles = {};
  EXPECT_THAT(Together({a, b}), IsEmpty());
}

}  // namespace
}  // namespace idlewatt
