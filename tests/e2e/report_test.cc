// How `idlewatt report` is called.
#include <gtest/gtest.h>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

Outcome Report(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {BinaryPath("idlewatt"), "report"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return RunToEnd(command);
}

TEST(ReportTest, WrongUsageIsToldAtOnce) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"energy"},
                                                       {"idle", "--format", "pdf"},
                                                       {"idle", "--price-per-kwh", "0,30"},
                                                       {"idle", "--price-per-kwh", "-1"},
                                                       {"idle", "--currency", "EUR"}};
  for (const auto& arguments : wrong) {
    const Outcome outcome = Report(arguments);
    EXPECT_EQ(outcome.status->code, 2) << outcome.output;
  }
  EXPECT_NE(Report({"idle", "--price-per-kwh", "0,30"}).output.find("such as 0.30"),
            std::string::npos);
}

TEST(ReportTest, NoDaemonIsAFailureNotWrongUsage) {
  const Outcome outcome = Report({"idle", "--http", "127.0.0.1:1", "--price-per-kwh", "0.30"});
  EXPECT_EQ(outcome.status->code, 1);
  EXPECT_NE(outcome.output.find("no idlewatt answers there"), std::string::npos);
}

}  // namespace
}  // namespace idlewatt
