#include "app/baseline_command.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/answering_server.h"
#include "tests/support/full_output.h"

namespace idlewatt {
namespace {

constexpr const char* kPath = "/api/v1/baseline";
const std::string kBaseline = R"({"name":"quiet\u001b[2J\nnight","watts":7.254,"minutes":42,)"
                              R"("since":"2026-11-21T01:00:00Z","until":"2026-11-21T02:00:00Z"})"
                              "\n";

BaselineArguments At(const AnsweringServer& server, bool json = false) {
  BaselineArguments arguments;
  arguments.http = server.address();
  arguments.json = json;
  return arguments;
}

std::string Shown(const BaselineArguments& arguments) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(BaselineShowCommand(arguments), 0);
  return testing::internal::GetCapturedStdout();
}

TEST(BaselineCommandTest, IsShownOnOneLineWhateverItsName) {
  const AnsweringServer server(kPath, kBaseline);
  EXPECT_EQ(Shown(At(server)),
            "quiet [2J night: the idle machine draws 7.25 W, the mean of 42 idle minutes from "
            "2026-11-21T01:00:00.000Z to 2026-11-21T02:00:00.000Z\n");
  EXPECT_EQ(Shown(At(server, /*json=*/true)), kBaseline);
}

TEST(BaselineCommandTest, WithoutOneItSaysHowToSetIt) {
  const AnsweringServer server(kPath, "null\n");
  EXPECT_EQ(Shown(At(server)), "there is no baseline; `idlewatt baseline set NAME` sets one\n");
}

TEST(BaselineCommandTest, WhatCannotBeWrittenIsAFailure) {
  const AnsweringServer server(kPath, kBaseline);
  const AnsweringServer none(kPath, "null\n");
  EXPECT_EQ(WithFullOutput([&] { return BaselineShowCommand(At(server)); }), 1);
  EXPECT_EQ(WithFullOutput([&] { return BaselineShowCommand(At(server, /*json=*/true)); }), 1);
  EXPECT_EQ(WithFullOutput([&] { return BaselineShowCommand(At(none)); }), 1);
}

}  // namespace
}  // namespace idlewatt
