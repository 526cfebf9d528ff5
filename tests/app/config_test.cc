#include "app/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::vector<std::string> Errors(const std::string& text) {
  std::vector<std::string> errors;
  for (const ConfigFinding& finding : ParseConfig(text).findings) {
    if (finding.is_error) errors.push_back(std::to_string(finding.line) + ": " + finding.text);
  }
  return errors;
}

std::string OnlyError(const std::string& text) {
  const std::vector<std::string> errors = Errors(text);
  EXPECT_EQ(errors.size(), 1U) << testing::PrintToString(errors);
  return errors.empty() ? "" : errors.front();
}

TEST(ConfigTest, EmptyFileGivesTheDefaults) {
  const ParsedConfig parsed = ParseConfig("");
  EXPECT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.config.collector.interval, std::chrono::seconds(5));
  EXPECT_EQ(parsed.config.http.listen, "127.0.0.1:19288");
  EXPECT_FALSE(parsed.config.analysis.attribution.model);
  EXPECT_EQ(parsed.config.collector.textfile_dir, "");
  EXPECT_EQ(parsed.config.analysis.alerts.size(), AlertBuiltins().size());
}

TEST(ConfigTest, ShippedFilesHaveNothingToTell) {
  for (const char* name : {"/packaging/example.toml", "/packaging/idlewatt.toml"}) {
    std::vector<std::string> warnings;
    const auto config = LoadConfig(std::string(IDLEWATT_SOURCE_DIR) + name, warnings);
    EXPECT_TRUE(config) << config.error().ToString();
    EXPECT_TRUE(warnings.empty()) << testing::PrintToString(warnings);
  }
}

TEST(ConfigTest, ReadsEveryKindOfValue) {
  const ParsedConfig parsed = ParseConfig(R"(
[collector]
interval = "1s"
[collector.process]
discovered_top = 3
[collector.textfile]
dir = "/var/lib/prometheus/node-exporter"
[collector.power]
sources = ["rapl"]
[collector.power.model]
idle_watts = 4
max_watts = 30.5
[idle]
after = "2m"
cpu_ratio = 0.1
[[service]]
name = "llama"
command = ["llama-server", "--port", "${PORT}"]
port = 8001
environment = { A = "b" }
stop_signal = "SIGINT"
stop_timeout = "3s"
log = { max_size = "1MiB", max_backups = 2 }
idle = { after = "5m" }
[[service]]
name = "whisper"
command = ["whisper-server"]
port = "auto"
autostart = false
[[watch]]
name = "ollama"
port = 11434
)");
  ASSERT_TRUE(parsed.ok()) << parsed.findings.front().text;
  const Config& config = parsed.config;
  EXPECT_EQ(config.collector.discovered_top, 3);
  EXPECT_EQ(config.collector.textfile_dir, "/var/lib/prometheus/node-exporter");
  EXPECT_DOUBLE_EQ(config.analysis.attribution.model->max_watts, 30.5);
  ASSERT_EQ(config.services.size(), 2U);
  const ServiceSpec& llama = config.services[0];
  EXPECT_EQ(llama.port, 8001);
  EXPECT_EQ(llama.environment.at("A"), "b");
  EXPECT_EQ(llama.stop_signal, SIGINT);
  EXPECT_EQ(llama.log.max_size, 1 << 20);
  EXPECT_EQ(config.analysis.idle.after_by_service.at("llama"), std::chrono::minutes(5));
  EXPECT_TRUE(config.services[1].auto_port);
  EXPECT_FALSE(config.services[1].autostart);
  EXPECT_EQ(config.collector.watched[0].port, 11434);
}

TEST(ConfigTest, UnknownKeyIsToldWithLineAndNearestKey) {
  EXPECT_EQ(OnlyError("[collector]\n\nintervall = \"5s\"\n"),
            "3: collector.intervall: is not a known key; did you mean \"interval\"?");
  EXPECT_THAT(OnlyError("[colector]\n"), HasSubstr("did you mean \"collector\"?"));
  EXPECT_THAT(OnlyError("[[service]]\nname = \"a\"\ncommand = [\"b\"]\ncomand = 1\n"),
              HasSubstr("4: service.comand"));
}

TEST(ConfigTest, WrongTypeAndWrongUnitAreTold) {
  EXPECT_THAT(OnlyError("[collector]\ninterval = 5\n"),
              HasSubstr("2: collector.interval: must be a duration in quotes"));
  EXPECT_THAT(OnlyError("[collector]\ninterval = \"5 parsecs\"\n"), HasSubstr("is not a duration"));
  EXPECT_THAT(OnlyError("[idle]\ncpu_ratio = \"much\"\n"), HasSubstr("must be a number"));
  EXPECT_THAT(OnlyError("[http]\nlisten = 80\n"), HasSubstr("must be a string"));
  EXPECT_THAT(OnlyError("service = 1\n"), HasSubstr("[[service]]"));
}

TEST(ConfigTest, ValuesOutOfRangeAreTold) {
  EXPECT_THAT(OnlyError("[collector]\ninterval = \"2h\"\n"), HasSubstr("between 100ms and 1m"));
  EXPECT_THAT(OnlyError("[collector.thermal]\ninterval = \"1s\"\n"),
              HasSubstr("must not be shorter than collector.interval"));
  EXPECT_THAT(OnlyError("[daemon]\nlog_level = \"loud\"\n"), HasSubstr("\"loud\" is not one of"));
  EXPECT_THAT(OnlyError("[storage]\nflush_interval = \"1ms\"\n"), HasSubstr("between 1s and 10m"));
  EXPECT_THAT(OnlyError("[collector]\ninterval = \"1s\"\n[storage]\nflush_interval = \"5m\"\n"),
              HasSubstr("between 1s and 2m 30s"));
  EXPECT_THAT(OnlyError("[collector.power.model]\nidle_watts = 9\nmax_watts = 5\n"),
              HasSubstr("max_watts"));
  EXPECT_THAT(OnlyError("[[watch]]\nname = \"a\"\nport = 70000\n"), HasSubstr("1 to 65535"));
}

TEST(ConfigTest, AllMistakesAreToldAtOnceInTheOrderOfLines) {
  const auto errors = Errors("[idle]\nafter = 1\n[collector]\nring = 2\nfoo = 3\n");
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_TRUE(errors[0].starts_with("2: ") && errors[1].starts_with("4: ") &&
              errors[2].starts_with("5: "))
      << testing::PrintToString(errors);
}

TEST(ConfigTest, BrokenTomlIsToldWithItsLine) {
  EXPECT_THAT(OnlyError("[idle]\nafter = \"60s\n"), HasSubstr("2: is not valid TOML"));
}

TEST(ConfigTest, TextfileKnowsOnlyItsFolder) {
  EXPECT_THAT(OnlyError("[collector.textfile]\ndirectory = \"/x\"\n"),
              HasSubstr("collector.textfile.directory: is not a known key"));
  EXPECT_THAT(OnlyError("[collector.textfile]\ndir = 3\n"),
              HasSubstr("2: collector.textfile.dir: must be a string"));
}

TEST(ConfigTest, KeysOfLaterVersionsWarn) {
  const ParsedConfig parsed = ParseConfig(
      "[pool]\nmax_models = 2\n[[service]]\nname = \"a\"\ncommand = [\"b\"]\npinned = true\n");
  EXPECT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.findings.size(), 2U);
  EXPECT_EQ(parsed.findings[1].line, 6U);
  EXPECT_EQ(parsed.findings[1].text,
            "service.pinned: is planned and has no effect in this version");
}

TEST(ConfigTest, SafetyThatCannotBeHadIsAnError) {
  EXPECT_THAT(OnlyError("[http]\nauth_file = \"users\"\n"), HasSubstr("planned"));
  EXPECT_THAT(OnlyError("[http]\nlisten = \"0.0.0.0:80\"\n"), HasSubstr("allow_unauthenticated"));
  EXPECT_TRUE(Errors("[http]\nlisten = \"0.0.0.0:80\"\nallow_unauthenticated = true\n").empty());
}

TEST(ConfigTest, NamesAndPortsAreUsedOnce) {
  EXPECT_THAT(OnlyError("[[service]]\nname = \"a\"\ncommand = [\"b\"]\n[[watch]]\nname = \"a\"\n"
                        "process = \"p\"\n"),
              HasSubstr("\"a\" is used twice"));
  EXPECT_THAT(OnlyError("[[service]]\nname = \"a\"\ncommand = [\"b\"]\nport = 80\n[[watch]]\n"
                        "name = \"c\"\nport = 80\n"),
              HasSubstr("80 is used twice"));
  EXPECT_THAT(OnlyError("[[watch]]\nname = \"a\"\nport = 80\n[[watch]]\nname = \"a\"\n"
                        "port = 81\n"),
              HasSubstr("4: watch.name: \"a\" is used twice"));
}

TEST(ConfigTest, TheNameOfTheRestIsTaken) {
  EXPECT_THAT(OnlyError("[[watch]]\nname = \"other\"\nport = 80\n"), HasSubstr("choose another"));
}

TEST(ConfigTest, AWatchNeedsExactlyOneWay) {
  EXPECT_THAT(OnlyError("[[watch]]\nname = \"a\"\n"), HasSubstr("exactly one"));
  EXPECT_THAT(OnlyError("[[watch]]\nname = \"a\"\nport = 1\nunit = \"u\"\n"),
              HasSubstr("exactly one"));
}

std::vector<AlertRule> RulesNamed(const ParsedConfig& parsed, const std::string& builtin) {
  std::vector<AlertRule> rules = parsed.config.analysis.alerts;
  std::erase_if(rules, [&](const AlertRule& rule) { return rule.builtin != builtin; });
  return rules;
}

TEST(ConfigTest, AnAlertRuleReplacesItsDefault) {
  const ParsedConfig parsed = ParseConfig(
      "[[alert]]\nname = \"busy\"\nbuiltin = \"IdleServiceCpu\"\nwarning = 1\nfor = \"1s\"\n"
      "[[alert]]\nname = \"busy2\"\nbuiltin = \"IdleServiceCpu\"\nservices = [\"a*\"]\n"
      "[[alert]]\nbuiltin = \"IdlePower\"\ncritical = 40\n");
  ASSERT_TRUE(parsed.ok());
  const std::vector<AlertRule> rules = RulesNamed(parsed, "IdleServiceCpu");
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].name, "busy");
  EXPECT_EQ(rules[0].warning, 1);
  EXPECT_EQ(rules[0].critical, 20);
  EXPECT_EQ(rules[0].hold, std::chrono::seconds(1));
  const std::vector<AlertRule> power = RulesNamed(parsed, "IdlePower");
  ASSERT_EQ(power.size(), 1U);
  EXPECT_EQ(power[0].name, "IdlePower");
  EXPECT_EQ(power[0].warning, 5);
  EXPECT_EQ(power[0].critical, 40);
  EXPECT_EQ(power[0].hold, std::chrono::minutes(5));
  EXPECT_EQ(parsed.config.analysis.alerts.size(), AlertBuiltins().size() + 1);
}

TEST(ConfigTest, AnAlertRuleMayBeOfAnyMetric) {
  const ParsedConfig parsed = ParseConfig(
      "[[alert]]\nname = \"cold\"\nmetric = 'room_celsius{room=\"lab\"}'\nwhen = \"below\"\n"
      "warning = 5\ncritical = -2.5\nadvice = \"close the window\"\n");
  ASSERT_TRUE(parsed.ok()) << parsed.findings.at(0).text;
  const AlertRule& rule = parsed.config.analysis.alerts.back();
  EXPECT_EQ(rule.name, "cold");
  EXPECT_EQ(rule.builtin, "");
  EXPECT_EQ(rule.metric->metric(), "room_celsius");
  EXPECT_TRUE(rule.below);
  EXPECT_EQ(rule.critical, -2.5);
  EXPECT_EQ(rule.advice, "close the window");
}

TEST(ConfigTest, WrongAlertRulesSayWhatToDo) {
  EXPECT_THAT(OnlyError("[[alert]]\nbuiltin = \"IdlePowr\"\n"), HasSubstr("\"IdlePower\"?"));
  EXPECT_THAT(OnlyError("[[alert]]\nname = \"a\"\nwarning = 1\n"), HasSubstr("or builtin"));
  EXPECT_THAT(OnlyError("[[alert]]\nbuiltin = \"IdlePower\"\nmetric = \"x\"\n"),
              HasSubstr("not both"));
  EXPECT_THAT(OnlyError("[[alert]]\nmetric = \"x\"\nwarning = 1\n"), HasSubstr("name"));
  EXPECT_THAT(OnlyError("[[alert]]\nbuiltin = \"IdlePower\"\nservices = [\"a\"]\n"),
              HasSubstr("of the whole machine"));
  EXPECT_THAT(OnlyError("[[alert]]\nbuiltin = \"IdlePower\"\nwhen = \"below\"\n"),
              HasSubstr("when"));
  EXPECT_THAT(OnlyError("[[alert]]\nname = \"a\"\nmetric = \"x{\"\nwarning = 1\n"),
              HasSubstr("metric"));
  EXPECT_THAT(OnlyError("[[alert]]\nname = \"a\"\nmetric = \"x\"\n"), HasSubstr("critical"));
  EXPECT_THAT(OnlyError("[[alert]]\nname = \"a\"\nmetric = \"x\"\nwarning = 5\ncritical = 1\n"),
              HasSubstr("when = \"below\""));
}

TEST(ConfigTest, ALimitThatContradictsTheUsualOtherOneNamesIt) {
  const std::string power = "[[alert]]\nbuiltin = \"IdlePower\"\n";
  EXPECT_THAT(OnlyError(power + "warning = 20\n"),
              EndsWith("is above the usual critical limit of 10: set critical too"));
  EXPECT_THAT(OnlyError(power + "critical = 2.5\n"),
              EndsWith("is below the usual warning limit of 5: set warning too"));
  EXPECT_THAT(OnlyError(power + "warning = 20\ncritical = 15\n"),
              EndsWith("must not be below warning"));
}

TEST(ConfigTest, TheFloorMayBeSetAndShared) {
  const ParsedConfig parsed = ParseConfig(
      "[attribution]\nshare_floor = \"memory\"\nfloor_watts = { package-0 = 4.5, gpu0 = 12 }\n");
  ASSERT_TRUE(parsed.ok()) << parsed.findings.at(0).text;
  const AttributionOptions& options = parsed.config.analysis.attribution;
  EXPECT_EQ(options.share_floor, FloorShare::kMemory);
  EXPECT_EQ(options.floor_watts.at("package-0"), 4.5);
  EXPECT_EQ(options.floor_watts.at("gpu0"), 12);
  EXPECT_THAT(OnlyError("[attribution]\nshare_floor = \"all\"\n"), HasSubstr("equal"));
  EXPECT_THAT(OnlyError("[attribution]\nfloor_watts = { package-0 = -1 }\n"),
              HasSubstr("package-0"));
}

TEST(ConfigTest, FileThatCannotBeReadIsOneSentence) {
  std::vector<std::string> warnings;
  const auto config = LoadConfig("/nonexistent/idlewatt.toml", warnings);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().ToString(),
            "/nonexistent/idlewatt.toml: cannot be read: No such file or directory");
}

TEST(ConfigTest, WhatAReloadDoesNotApplyIsKeptAsText) {
  const auto fixed = [](std::string_view text) { return ParseConfig(text).config.fixed; };
  constexpr std::string_view kService = "[[service]]\nname = \"a\"\ncommand = [\"true\"]\n";
  const std::string http = "[http]\nlisten = \"127.0.0.1:1\"\n";
  const std::string with_idle = std::string(kService) + "idle = { after = \"5m\" }\n";
  EXPECT_EQ(fixed(http + std::string(kService)), fixed("# a comment\n" + http));
  EXPECT_EQ(fixed(http).size(), 1U);
  EXPECT_NE(fixed(http), fixed("[http]\nlisten = \"127.0.0.1:2\"\n"));
  EXPECT_THAT(fixed(with_idle), testing::ElementsAre(testing::Key("service a idle")));
}

TEST(ConfigTest, FindingsNameTheFile) {
  FakeTree tree;
  tree.Write("bad.toml", "[idle]\nfoo = 1\n");
  std::vector<std::string> warnings;
  const auto config = LoadConfig(tree.PathOf("bad.toml"), warnings);
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error().ToString(), HasSubstr("bad.toml:2: idle.foo"));
}

TEST(ConfigTest, APortThatIsNoWholeNumberIsAnErrorAndNotANumber) {
  for (const char* port : {"11e34", "nan", "-inf", "80.0", "true"}) {
    const ParsedConfig parsed =
        ParseConfig(std::string("[[watch]]\nname = \"a\"\nport = ") + port + "\n");
    EXPECT_FALSE(parsed.ok()) << port;
  }
}

TEST(ConfigTest, ADurationBeyondTwoHundredYearsIsAnError) {
  EXPECT_FALSE(ParseConfig("[collector.power]\ninterval = \"1000y\"\n").ok());
}

}  // namespace
}  // namespace idlewatt
