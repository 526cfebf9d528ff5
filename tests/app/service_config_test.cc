#include "app/service_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "app/config.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::string Service(const std::string& keys) {
  return "[[service]]\nname = \"a\"\ncommand = [\"serve\"]\n" + keys + "\n";
}

std::vector<std::string> Findings(const std::string& text) {
  std::vector<std::string> findings;
  for (const ConfigFinding& finding : ParseConfig(text).findings) {
    findings.push_back(std::to_string(finding.line) + ": " + finding.text);
  }
  return findings;
}

// The service "a" with `keys`, which must be right.
ServiceSpec Read(const std::string& keys) {
  const ParsedConfig parsed = ParseConfig(Service(keys));
  EXPECT_THAT(Findings(Service(keys)), IsEmpty());
  return parsed.config.services.empty() ? ServiceSpec() : parsed.config.services.front();
}

// The only thing wrong with the service "a" with `keys`.
std::string Wrong(const std::string& keys) {
  const std::vector<std::string> findings = Findings(Service(keys));
  EXPECT_EQ(findings.size(), 1U) << keys << testing::PrintToString(findings);
  return findings.empty() ? "" : findings.front();
}

TEST(ServiceConfigTest, WithoutKeysItHasTheDefaultsOfTheDocumentation) {
  const ServiceSpec spec = Read("");
  EXPECT_TRUE(spec.autostart);
  EXPECT_EQ(spec.restart, RestartMode::kOnFailure);
  EXPECT_EQ(spec.backoff.initial, seconds(2));
  EXPECT_EQ(spec.backoff.multiplier, 2);
  EXPECT_EQ(spec.backoff.max, seconds(60));
  EXPECT_EQ(spec.backoff.jitter, 0.2);
  EXPECT_EQ(spec.backoff.reset_after, minutes(10));
  EXPECT_EQ(spec.start_limit.burst, 3);
  EXPECT_EQ(spec.start_limit.interval, minutes(5));
  EXPECT_FALSE(spec.ready);
  EXPECT_FALSE(spec.liveness);
  EXPECT_EQ(spec.stop_signal, SIGTERM);
  EXPECT_EQ(spec.stop_timeout, seconds(10));
  EXPECT_EQ(spec.orphan_policy, OrphanPolicy::kAdopt);
  EXPECT_EQ(spec.log.max_size, 10 << 20);
  EXPECT_EQ(spec.log.max_backups, 5);
  EXPECT_EQ(spec.log.max_age, hours(24 * 14));
  EXPECT_TRUE(spec.log.compress);
  EXPECT_FALSE(spec.log.delete_on_stop);
}

TEST(ServiceConfigTest, ReadsWhatIsStarted) {
  const ServiceSpec spec = Read(R"(
model = "/srv/m.gguf"
port = "auto"
working_dir = "/srv"
environment = { A = "b" }
env_file = "/etc/${NAME}.env"
user = "root:root"
nice = -5
oom_score_adj = 500
ulimits = { nofile = 65536, nproc = { soft = 100, hard = 200 }, memlock = "unlimited" }
memory = "6GiB"
autostart = false
profiles = ["fast", "slow"])");
  EXPECT_EQ(spec.model, "/srv/m.gguf");
  EXPECT_TRUE(spec.auto_port);
  EXPECT_EQ(spec.working_dir, "/srv");
  EXPECT_EQ(spec.environment.at("A"), "b");
  EXPECT_EQ(spec.env_file, "/etc/${NAME}.env");
  EXPECT_EQ(spec.user, "root:root");
  EXPECT_EQ(spec.nice, -5);
  EXPECT_EQ(spec.oom_score_adj, 500);
  EXPECT_THAT(spec.ulimits, testing::UnorderedElementsAre(
                                Ulimit{RLIMIT_NOFILE, 65536, 65536}, Ulimit{RLIMIT_NPROC, 100, 200},
                                Ulimit{RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY}));
  EXPECT_EQ(spec.memory, int64_t{6} << 30);
  EXPECT_FALSE(spec.autostart);
  EXPECT_THAT(spec.profiles, ElementsAre("fast", "slow"));
}

TEST(ServiceConfigTest, ReadsWhenItIsStartedAnew) {
  const ServiceSpec spec = Read(R"(
restart = "unless-stopped"
success_exit_codes = [3, 143]
restart_prevent_exit_codes = [78]
backoff = { initial = "1s", multiplier = 1.5, max = "30s", jitter = 0, reset_after = "1m" }
start_limit = { burst = 0, interval = "1h" })");
  EXPECT_EQ(spec.restart, RestartMode::kUnlessStopped);
  EXPECT_THAT(spec.success_exit_codes, ElementsAre(3, 143));
  EXPECT_THAT(spec.restart_prevent_exit_codes, ElementsAre(78));
  EXPECT_EQ(spec.backoff, (ServiceSpec::Backoff{seconds(1), 1.5, seconds(30), 0, minutes(1)}));
  EXPECT_EQ(spec.start_limit, (ServiceSpec::StartLimit{0, hours(1)}));
  EXPECT_EQ(Read("restart = \"no\"").restart, RestartMode::kNo);
  EXPECT_EQ(Read("restart = \"always\"").restart, RestartMode::kAlways);
  EXPECT_EQ(Read("restart = \"on-failure\"").restart, RestartMode::kOnFailure);
}

TEST(ServiceConfigTest, ReadsHowItIsKnownToBeReadyAndAlive) {
  const ServiceSpec spec = Read(R"(
port = 8001
[service.ready]
log_pattern = ["up", "listening"]
http_get = "/health"
tcp_socket = true
exec = ["check", "${PORT}"]
notify = true
delay = "3s"
timeout = "1m"
stall_timeout = "30s"
on_timeout = "fail"
[service.liveness]
exec = ["check"]
period = "5s"
timeout = "1s"
failure_threshold = 2)");
  ASSERT_TRUE(spec.ready && spec.liveness);
  EXPECT_EQ(*spec.ready, (ReadySpec{{"up", "listening"},
                                    "/health",
                                    true,
                                    {"check", "${PORT}"},
                                    true,
                                    seconds(3),
                                    minutes(1),
                                    seconds(30),
                                    true}));
  EXPECT_EQ(*spec.liveness, (LivenessSpec{"", false, {"check"}, seconds(5), seconds(1), 2}));
  const ServiceSpec other = Read(R"(
port = 8001
ready = { delay = "3s", on_timeout = "ready" }
liveness = { http_get = "/health" })");
  EXPECT_EQ(other.ready->delay, seconds(3));
  EXPECT_FALSE(other.ready->fail_on_timeout);
  EXPECT_EQ(other.liveness->http_get, "/health");
  EXPECT_TRUE(Read("port = 8001\nliveness = { tcp_socket = true }").liveness->tcp_socket);
}

TEST(ServiceConfigTest, LogPatternIsOneOrSeveralOrTheUsualOnes) {
  EXPECT_THAT(Read("ready = { log_pattern = \"up\" }").ready->log_patterns, ElementsAre("up"));
  EXPECT_EQ(Read("ready = { log_pattern = true }").ready->log_patterns, UsualReadyPatterns());
  for (const char* wrong : {"false", "3", "{}", "[3]"}) {
    EXPECT_THAT(Wrong(std::string("ready = { log_pattern = ") + wrong + " }"),
                HasSubstr("4: service.ready.log_pattern: must be"));
  }
}

TEST(ServiceConfigTest, ReadsHowItIsStoppedAndLogged) {
  const ServiceSpec spec = Read(R"(
stop_signal = "SIGINT"
stop_timeout = "3s"
stop_command = ["curl", "http://127.0.0.1/stop"]
orphan_policy = "kill"
log = { max_size = "1MiB", max_backups = 2, max_age = "1d", compress = false, delete_on_stop = true }
)");
  EXPECT_EQ(spec.stop_signal, SIGINT);
  EXPECT_EQ(spec.stop_timeout, seconds(3));
  EXPECT_THAT(spec.stop_command, ElementsAre("curl", "http://127.0.0.1/stop"));
  EXPECT_EQ(spec.orphan_policy, OrphanPolicy::kKill);
  EXPECT_EQ(spec.log, (ServiceSpec::Log{1 << 20, 2, hours(24), false, true}));
  EXPECT_EQ(Read("orphan_policy = \"adopt\"").orphan_policy, OrphanPolicy::kAdopt);
}

TEST(ServiceConfigTest, EverySignalHasItsNameWithOrWithoutSig) {
  EXPECT_EQ(Read("stop_signal = \"TERM\"").stop_signal, SIGTERM);
  EXPECT_EQ(Read("stop_signal = \"SIGWINCH\"").stop_signal, SIGWINCH);
  EXPECT_EQ(Read("stop_signal = \"KILL\"").stop_signal, SIGKILL);
  for (const char* wrong : {"\"SIGNAL\"", "\"SIGSTOP\"", "\"\"", "\"15\"", "15"}) {
    EXPECT_THAT(Wrong(std::string("stop_signal = ") + wrong), HasSubstr("service.stop_signal: "));
  }
}

TEST(ServiceConfigTest, DependenciesAreATableOfConditionsOrNames) {
  const auto read = [](const std::string& value) {
    const ParsedConfig parsed =
        ParseConfig(Service("depends_on = " + value) +
                    "[[service]]\nname = \"b\"\ncommand = [\"b\"]\n[[service]]\nname = \"c\"\n"
                    "command = [\"c\"]\n");
    EXPECT_TRUE(parsed.ok()) << value;
    return parsed.config.services[0].depends_on;
  };
  EXPECT_THAT(read("{ b = \"started\", c = \"completed\" }"),
              ElementsAre(Pair("b", DependencyCondition::kStarted),
                          Pair("c", DependencyCondition::kCompleted)));
  EXPECT_THAT(read("{ b = \"ready\" }"), ElementsAre(Pair("b", DependencyCondition::kReady)));
  EXPECT_THAT(read("[\"b\", \"c\"]"), ElementsAre(Pair("b", DependencyCondition::kReady),
                                                  Pair("c", DependencyCondition::kReady)));
  EXPECT_THAT(Wrong("depends_on = \"b\""),
              HasSubstr("4: service.depends_on: must be a table, as in { db = \"ready\" }"));
}

TEST(ServiceConfigTest, EveryValueThatDoesNotFitIsToldWithItsLineAndKey) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"model = 1", "model: must be a string"},
      {"port = 0", "port: must be a number from 1 to 65535"},
      {"port = 0\nready = { tcp_socket = true }", "port: must be a number from 1 to 65535"},
      {"port = \"any\"", "port: must be a number from 1 to 65535"},
      {"working_dir = []", "working_dir: must be a string"},
      {"environment = { A = 1 }", "environment: must be a table of strings"},
      {"env_file = 1", "env_file: must be a string"},
      {"user = 0", "user: must be a string"},
      {"user = \"nobody-of-this-name\"", "user: there is no user \"nobody-of-this-name\""},
      {"nice = 20", "nice: must be between -20 and 19"},
      {"nice = \"5\"", "nice: must be a whole number"},
      {"nice = 99999999999", "nice: 99999999999 is out of range"},
      {"oom_score_adj = 1001", "oom_score_adj: must be between"},
      {"memory = 6", "memory: must be a size in quotes"},
      {"memory = \"0B\"", "memory: must be at least 1B"},
      {"autostart = 1", "autostart: must be true or false"},
      {"profiles = \"fast\"", "profiles: must be an array of strings"},
      {"profiles = [\"\"]", "profiles: \"\" must have"},
      {"restart = \"sometimes\"", "restart: \"sometimes\" is not one of \"no\" \"on-failure\""},
      {"restart = false", "restart: must be a string"},
      {"success_exit_codes = 3", "success_exit_codes: must be an array of whole numbers"},
      {"success_exit_codes = [3.5]", "success_exit_codes: must be an array of whole numbers"},
      {"success_exit_codes = [256]", "success_exit_codes: exit codes are between 0 and 255"},
      {"restart_prevent_exit_codes = [99999999999]", "restart_prevent_exit_codes: 99999999999"},
      {"backoff = \"2s\"", "backoff: must be a table"},
      {"backoff = { initial = 2 }", "backoff.initial: must be a duration in quotes"},
      {"backoff = { initial = \"2m\" }", "backoff.max: must not be shorter than"},
      {"backoff = { multiplier = 0.5 }", "backoff.multiplier: must be between 1 and 100"},
      {"backoff = { multiplier = nan }", "backoff.multiplier: must be a finite number"},
      {"backoff = { jitter = 2 }", "backoff.jitter: must be between 0 and 1"},
      {"backoff = { max = \"2 parsecs\" }", "backoff.max: \"2 parsecs\": is not a duration"},
      {"backoff = { maxx = \"2s\" }", "backoff.maxx: is not a known key; did you mean \"max\"?"},
      {"start_limit = { burst = -1 }", "start_limit.burst: must be between 0 and 1000"},
      {"start_limit = { interval = \"0s\" }", "start_limit.interval: must be between"},
      {"ready = true", "ready: must be a table"},
      {"ready = {}", "ready: says no way; write ready = { log_pattern = true }"},
      {"ready = { timeout = \"9s\" }", "ready: says no way"},
      {"ready = { log_pattern = \"(\" }", "ready.log_pattern: regular expression \"(\""},
      {"ready = { http_get = \"/\" }", "ready.http_get: needs a port"},
      {"ready = { http_get = \"x\" }", "ready.http_get: must be a path"},
      {"ready = { tcp_socket = true }", "ready.tcp_socket: needs a port"},
      {"ready = { tcp_socket = 1 }", "ready.tcp_socket: must be true or false"},
      {"ready = { exec = \"check\" }", "ready.exec: must be an array of strings"},
      {"ready = { notify = 1 }", "ready.notify: must be true or false"},
      {"ready = { delay = 3 }", "ready.delay: must be a duration in quotes"},
      {"ready = { delay = \"3m\" }", "ready.delay: must not be longer than ready.timeout"},
      {"ready = { notify = true, timeout = \"0s\" }", "ready.timeout: must be between"},
      {"ready = { notify = true, stall_timeout = \"2d\" }", "ready.stall_timeout: must be between"},
      {"ready = { notify = true, on_timeout = \"go\" }", "ready.on_timeout: \"go\" is not one of"},
      {"liveness = {}", "liveness: needs exactly one of"},
      {"liveness = { exec = [\"x\"], period = \"0s\" }", "liveness.period: must be between"},
      {"liveness = { exec = [\"x\"], timeout = \"2d\" }", "liveness.timeout: must be between"},
      {"liveness = { exec = [\"x\"], failure_threshold = 0 }", "liveness.failure_threshold: must"},
      {"stop_timeout = \"25h\"", "stop_timeout: must be between"},
      {"stop_command = \"x\"", "stop_command: must be an array of strings"},
      {"stop_command = [\"\"]", "stop_command: names no program"},
      {"orphan_policy = \"sell\"", "orphan_policy: \"sell\" is not one of \"adopt\" \"kill\""},
      {"log = { max_size = \"0B\" }", "log.max_size: must be at least 1B"},
      {"log = { max_backups = 1001 }", "log.max_backups: must be between 0 and 1000"},
      {"log = { max_age = \"old\" }", "log.max_age: \"old\": is not a duration"},
      {"log = { compress = \"gzip\" }", "log.compress: must be true or false"},
      {"log = { delete_on_stop = 1 }", "log.delete_on_stop: must be true or false"},
      {"idle = { after = 5 }", "idle.after: must be a duration in quotes"},
      {"ulimits = { nofle = 1 }", "ulimits.nofle: is not a known key; did you mean \"nofile\"?"},
      {"ulimits = { nofile = -1 }", "ulimits.nofile: must be a number, \"unlimited\", or"},
      {"ulimits = { nofile = { soft = 1 } }", "ulimits.nofile: must be a number"},
      {"ulimits = { nofile = { soft = 2, hard = 1 } }", "ulimits: a soft limit must not be above"}};
  for (const auto& [keys, expected] : wrong) {
    EXPECT_THAT(Wrong(keys), testing::StartsWith("4: service." + expected)) << keys;
  }
}

TEST(ServiceConfigTest, AMistakeInATableIsToldAtItsOwnLine) {
  EXPECT_THAT(Findings(Service("[service.ready]\ntimeout = \"9s\"\nhttp_get = \"/\"")),
              ElementsAre(HasSubstr("6: service.ready.http_get: needs a port")));
}

TEST(ServiceConfigTest, WhatIsWrongBetweenServicesIsToldAtTheKey) {
  EXPECT_THAT(Findings(Service("depends_on = { b = \"ready\" }") +
                       "[[service]]\nname = \"b\"\ncommand = [\"b\"]\ndepends_on = [\"a\"]\n"),
              ElementsAre("4: service.depends_on: is a cycle: a -> b -> a"));
  EXPECT_THAT(
      Findings(Service("port = 80") + "[[service]]\nname = \"b\"\ncommand = [\"b\"]\nport = 80\n"),
      ElementsAre("8: service.port: 80 is used twice, here and by \"a\""));
  EXPECT_THAT(Findings(Service("") + Service("")),
              ElementsAre("6: service.name: \"a\" is used twice"));
  EXPECT_THAT(Findings(Service("depends_on = [\"lama\"]") +
                       "[[service]]\nname = \"llama\"\ncommand = [\"b\"]\n"),
              ElementsAre("4: service.depends_on: \"lama\" is not a service; did you mean "
                          "\"llama\"?"));
}

TEST(ServiceConfigTest, TheProfileOfTheStartIsOneThatAServiceNames) {
  const auto with_profile = [](const std::string& profile) {
    return "[daemon]\nprofile = \"" + profile + "\"\n" + Service("profiles = [\"fast\"]");
  };
  EXPECT_THAT(Findings(with_profile("fast")), IsEmpty());
  EXPECT_EQ(ParseConfig(with_profile("fast")).config.profile, "fast");
  EXPECT_THAT(Findings(with_profile("fats")),
              ElementsAre("2: daemon.profile: \"fats\" is in the profiles of no service; did you "
                          "mean \"fast\"?"));
}

TEST(ServiceConfigTest, KeysOfLaterVersionsWarn) {
  EXPECT_THAT(Wrong("proxy = { listen = \"127.0.0.1:1\" }"), HasSubstr("planned"));
  EXPECT_THAT(Wrong("pinned = true"), HasSubstr("planned"));
  EXPECT_THAT(Wrong("idle = { after = \"5m\", action = \"stop\" }"),
              HasSubstr("service.idle.action: is planned"));
}

TEST(ServiceConfigTest, WhatMayBeMendedUntilTheStartIsADoubtAndNoError) {
  FakeTree tree;
  tree.Write("idlewatt.toml",
             "[[service]]\nname = \"llama\"\ncommand = [\"llama-serverr\", \"${PORT}\"]\n"
             "model = \"/nonexistent/m.gguf\"\nport = \"auto\"\nworking_dir = \"/nonexistent\"\n"
             "env_file = \"/nonexistent/env\"\n");
  std::vector<std::string> warnings;
  const Result<Config> config = LoadConfig(tree.PathOf("idlewatt.toml"), warnings);
  ASSERT_TRUE(config) << config.error().ToString();
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_THAT(Doubts(*config),
              ElementsAre("service \"llama\": model: \"/nonexistent/m.gguf\" does not exist",
                          AllOf(HasSubstr("env_file"), HasSubstr("No such file")),
                          HasSubstr("working_dir: \"/nonexistent\" cannot be entered"),
                          HasSubstr("command: \"llama-serverr\" was not found in PATH")));
}

}  // namespace
}  // namespace idlewatt
