#include "supervisor/spec/service_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>

#include "supervisor/spec/surroundings.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ServiceSpec Spec(std::vector<std::string> command) {
  ServiceSpec spec;
  spec.name = "llama";
  spec.command = std::move(command);
  return spec;
}

TEST(ServiceSpecTest, VariablesAreReplaced) {
  ServiceSpec spec = Spec({"/opt/${NAME}", "-m", "${MODEL}", "--port=${PORT}", "${env.WHERE}"});
  spec.model = "m.gguf";
  spec.port = 8001;
  spec.environment = {{"WHERE", "/srv/${NAME}"}};
  spec.working_dir = "${env.WHERE}/run";
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_THAT(expanded->command,
              ElementsAre("/opt/llama", "-m", "m.gguf", "--port=8001", "/srv/llama"));
  EXPECT_EQ(expanded->working_dir, "/srv/llama/run");
}

TEST(ServiceSpecTest, VariablesAreReplacedWhereverTheyCanStand) {
  FakeTree tree;
  tree.Write("llama.env", "A=1\n");
  ServiceSpec spec = Spec({"true"});
  spec.port = 8001;
  spec.environment = {{"HOST", "127.0.0.1"}};
  spec.env_file = tree.PathOf("${NAME}.env");
  spec.stop_command = {"curl", "${env.HOST}:${PORT}/stop"};
  spec.ready.emplace();
  spec.ready->exec = {"check", "${PORT}"};
  spec.ready->http_get = "http://${env.HOST}:${PORT}/health";
  spec.liveness.emplace();
  spec.liveness->exec = {"check", "${env.A}"};
  spec.liveness->http_get = "/${NAME}";
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_EQ(expanded->env_file, tree.PathOf("llama.env"));
  EXPECT_THAT(expanded->stop_command, ElementsAre("curl", "127.0.0.1:8001/stop"));
  EXPECT_THAT(expanded->ready->exec, ElementsAre("check", "8001"));
  EXPECT_EQ(expanded->ready->http_get, "http://127.0.0.1:8001/health");
  EXPECT_THAT(expanded->liveness->exec, ElementsAre("check", "1"));
  EXPECT_EQ(expanded->liveness->http_get, "/llama");
}

TEST(ServiceSpecTest, EnvironmentSeesWhatTheServiceInherits) {
  FakeTree tree;
  tree.Write("file.env", "FOLDER=/from/file\n");
  ServiceSpec spec = Spec({"true"});
  spec.env_file = tree.PathOf("file.env");
  spec.environment = {{"PATH", "/opt/bin:${env.PATH}"}, {"FOLDER", "${env.FOLDER}/below"}};
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_EQ(expanded->environment.at("PATH"), "/opt/bin:" + std::string(::getenv("PATH")));
  EXPECT_EQ(expanded->environment.at("FOLDER"), "/from/file/below");
}

TEST(ServiceSpecTest, HomeIsThatOfTheUser) {
  ServiceSpec spec = Spec({"true"});
  spec.user = "daemon";
  spec.working_dir = "${env.HOME}/models";
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_EQ(expanded->working_dir, FindAccount("daemon")->variables.at("HOME") + "/models");
}

TEST(ServiceSpecTest, ThePathOfAFileDoesNotSeeWhatIsInIt) {
  FakeTree tree;
  tree.Write("env", "HOME=/file\n");
  ::setenv("IDLEWATT_TEST_FOLDER", tree.path().c_str(), 1);
  ServiceSpec spec = Spec({"run", "${env.HOME}"});
  spec.env_file = "${env.IDLEWATT_TEST_FOLDER}/env";
  const Result<ServiceSpec> expanded = Expand(spec);
  ::unsetenv("IDLEWATT_TEST_FOLDER");
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_EQ(expanded->env_file, tree.PathOf("env"));
  EXPECT_THAT(expanded->command, ElementsAre("run", "/file"));
}

TEST(ServiceSpecTest, EnvironmentWinsOverTheFileAndTheFileOverTheDaemon) {
  FakeTree tree;
  tree.Write("file.env", "HOME=/file\nBOTH=file\n");
  ServiceSpec spec = Spec({"run", "${env.HOME}", "${env.BOTH}"});
  spec.env_file = tree.PathOf("file.env");
  spec.environment = {{"BOTH", "own"}};
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_THAT(expanded->command, ElementsAre("run", "/file", "own"));
}

TEST(ServiceSpecTest, DollarsOfTheShellStayAsTheyAre) {
  const Result<ServiceSpec> expanded = Expand(Spec({"sh", "-c", "echo $HOME $${x} $$ a$"}));
  ASSERT_TRUE(expanded);
  EXPECT_EQ(expanded->command[2], "echo $HOME ${x} $$ a$");
}

TEST(ServiceSpecTest, UnknownOrEmptyVariableIsAnErrorThatNamesIt) {
  const auto why = [](std::string word) {
    ServiceSpec spec = Spec({"run", std::move(word)});
    spec.environment = {{"EMPTY", ""}};
    const Result<ServiceSpec> expanded = Expand(spec);
    return expanded ? std::string() : expanded.error().ToString();
  };
  EXPECT_THAT(why("${PROT}"), HasSubstr("service \"llama\": command: unknown variable ${PROT}"));
  EXPECT_THAT(why("${PORT}"), HasSubstr("has no port"));
  EXPECT_THAT(why("${MODEL}"), HasSubstr("has no model"));
  EXPECT_THAT(why("${env.IDLEWATT_NOT_SET}"), HasSubstr("not set, or empty"));
  EXPECT_THAT(why("${env.EMPTY}"), HasSubstr("not set, or empty"));
  EXPECT_THAT(why("${PORT"), HasSubstr("without \"}\""));
}

TEST(ServiceSpecTest, BeforeAStartTheFileMayHoldWhatIsNotKnown) {
  ServiceSpec spec = Spec({"run", "${env.IDLEWATT_NOT_SET}", "${PORT}"});
  spec.auto_port = true;
  EXPECT_FALSE(ExpandBeforeStart(spec));
  spec.env_file = "/nonexistent/env";
  const Result<ServiceSpec> expanded = ExpandBeforeStart(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_THAT(expanded->command, ElementsAre("run", "?", "1"));
  spec.port = 1;
  EXPECT_THAT(Expand(spec).error().ToString(), HasSubstr("No such file"));
}

TEST(ServiceSpecTest, OnlyWhatARunIsStartedFromNeedsARestart) {
  const ServiceSpec before = Spec({"run", "a"});
  const auto needs_restart = [&](auto change) {
    ServiceSpec after = before;
    change(after);
    EXPECT_NE(before, after);
    const bool needs = NeedsRestart(before, after);
    EXPECT_EQ(StartFingerprint(before) != StartFingerprint(after), needs);
    return needs;
  };
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.command = {"run", "b"}; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.command = {"run a"}; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.model = "m"; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.port = 1; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.auto_port = true; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.working_dir = "/"; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.environment = {{"A", ""}}; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.env_file = "/e"; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.user = "root"; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.ulimits = {{RLIMIT_NOFILE, 1, 2}}; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.nice = 0; }));
  EXPECT_TRUE(needs_restart([](ServiceSpec& s) { s.oom_score_adj = 0; }));

  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.autostart = false; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.profiles = {"fast"}; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) {
    s.depends_on = {{"db", DependencyCondition::kReady}};
  }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.restart = RestartMode::kNo; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.success_exit_codes = {1}; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.backoff.multiplier = 3; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.start_limit.burst = 4; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.ready.emplace(); }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.liveness.emplace(); }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.stop_signal = SIGINT; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.stop_command = {"true"}; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.orphan_policy = OrphanPolicy::kKill; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.log.max_backups = 1; }));
  EXPECT_FALSE(needs_restart([](ServiceSpec& s) { s.memory = 1; }));
}

// Written down by one daemon and compared by a later one.
TEST(ServiceSpecTest, TheFingerprintIsTheSameInEveryBuild) {
  ServiceSpec spec = Spec({"llama-server", "--port", "${PORT}"});
  spec.port = 8001;
  spec.environment = {{"A", "b"}};
  spec.nice = 5;
  EXPECT_EQ(StartFingerprint(spec), "b90023bc509d22e1");
}

TEST(ServiceSpecTest, TheUsualServersAreKnownByTheirLines) {
  EXPECT_THAT(UsualReadyPatterns(), ElementsAre("server is listening", "http server listening",
                                                "listening on", "server started"));
}

}  // namespace
}  // namespace idlewatt
