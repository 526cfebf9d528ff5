#include "supervisor/service_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace idlewatt {
namespace {

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
              testing::ElementsAre("/opt/llama", "-m", "m.gguf", "--port=8001", "/srv/llama"));
  EXPECT_EQ(expanded->working_dir, "/srv/llama/run");
}

TEST(ServiceSpecTest, EnvironmentSeesTheDaemonsVariables) {
  ServiceSpec spec = Spec({"true"});
  spec.environment = {{"PATH", "/opt/bin:${env.PATH}"}};
  const Result<ServiceSpec> expanded = Expand(spec);
  ASSERT_TRUE(expanded) << expanded.error().ToString();
  EXPECT_EQ(expanded->environment.at("PATH"), "/opt/bin:" + std::string(::getenv("PATH")));
}

TEST(ServiceSpecTest, DollarsOfTheShellStayAsTheyAre) {
  const Result<ServiceSpec> expanded = Expand(Spec({"sh", "-c", "echo $HOME $${x} $$ a$"}));
  ASSERT_TRUE(expanded);
  EXPECT_EQ(expanded->command[2], "echo $HOME ${x} $$ a$");
}

TEST(ServiceSpecTest, UnknownOrEmptyVariableIsAnErrorThatNamesIt) {
  const auto why = [](std::string word) {
    const Result<ServiceSpec> expanded = Expand(Spec({"run", std::move(word)}));
    return expanded ? std::string() : expanded.error().ToString();
  };
  EXPECT_THAT(why("${PROT}"), HasSubstr("service \"llama\": command: unknown variable ${PROT}"));
  EXPECT_THAT(why("${PORT}"), HasSubstr("has no port"));
  EXPECT_THAT(why("${MODEL}"), HasSubstr("has no model"));
  EXPECT_THAT(why("${env.IDLEWATT_NOT_SET}"), HasSubstr("not set"));
  EXPECT_THAT(why("${PORT"), HasSubstr("without \"}\""));
}

TEST(ServiceSpecTest, NamesThatAreNoFileNamesAreRefused) {
  for (const char* name : {"", "../x", "a/b", ".hidden", "a b", "é"}) {
    ServiceSpec spec = Spec({"true"});
    spec.name = name;
    EXPECT_FALSE(Validate(spec).ok()) << name;
  }
  EXPECT_TRUE(Validate(Spec({"true"})).ok());
}

TEST(ServiceSpecTest, WhatCannotRunIsRefusedBeforeTheStart) {
  EXPECT_FALSE(Validate(Spec({})).ok());
  EXPECT_FALSE(Validate(Spec({""})).ok());
  EXPECT_FALSE(Validate(Spec({"true", std::string("a\0b", 3)})).ok());
  ServiceSpec spec = Spec({"true"});
  spec.environment = {{"A=B", "c"}};
  EXPECT_FALSE(Validate(spec).ok());
  spec = Spec({"serve", "${PORT}"});
  EXPECT_FALSE(Validate(spec).ok());
  spec.auto_port = true;
  EXPECT_TRUE(Validate(spec).ok());
}

}  // namespace
}  // namespace idlewatt
