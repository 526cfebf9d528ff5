#include "app/idle_report_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "exporters/http_server.h"
#include "tests/app/idle_report_samples.h"
#include "tests/support/fake_tree.h"
#include "tests/support/html_check.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The command against a server that gives any answer.
class IdleReportCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    const auto answer = [this](const HttpRequest& request) {
      asked_ = request.Query("since").value_or("-") + " " + request.Query("until").value_or("-");
      HttpResponse response;
      response.body = answer_;
      return response;
    };
    auto started = HttpServer::Start(options, {{"/api/v1/idle", {.get = answer}}});
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    arguments_.http = server_->address();
  }

  struct Ran {
    int exit_code = 0;
    std::string out, err;
  };
  Ran Run() const {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Ran ran;
    ran.exit_code = IdleReportCommand(arguments_);
    ran.out = testing::internal::GetCapturedStdout();
    ran.err = testing::internal::GetCapturedStderr();
    return ran;
  }
  std::string FileText(const std::string& path) const {
    std::ifstream file(folder_.PathOf(path), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  FakeTree folder_;
  std::string answer_ = RichIdleJson().dump();
  std::string asked_;
  std::unique_ptr<HttpServer> server_;
  IdleReportArguments arguments_;
};

TEST_F(IdleReportCommandTest, PrintsTheLastDayAsText) {
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.err, "");
  EXPECT_THAT(ran.out, StartsWith("IDLE REPORT\n"));
  EXPECT_EQ(asked_, "24h now");
}

TEST_F(IdleReportCommandTest, AsksForTheTimeThatIsGiven) {
  arguments_.since = "2026-11-19T22:00:00+01:00";
  arguments_.until = "1h";
  EXPECT_EQ(Run().exit_code, 0);
  EXPECT_EQ(asked_, "2026-11-19T22:00:00+01:00 1h");
}

TEST_F(IdleReportCommandTest, JsonIsTheAnswerItself) {
  arguments_.format = "json";
  EXPECT_EQ(Run().out, RichIdleJson().dump(2) + "\n");
}

TEST_F(IdleReportCommandTest, WritesAPageToAFileAndLeavesNothingBesideIt) {
  arguments_.format = "html";
  arguments_.price_per_kwh = "0.30";
  arguments_.currency = "EUR";
  arguments_.output = folder_.PathOf("report.html");
  folder_.Write("report.html", "the one of yesterday");
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(HtmlCheck::Problem(FileText("report.html")), "");
  EXPECT_THAT(FileText("report.html"), HasSubstr("costs at 0.30 EUR/kWh"));
  const std::filesystem::directory_iterator files(folder_.PathOf(""));
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(IdleReportCommandTest, AFileStaysAsItWasWhenThereIsNoReport) {
  folder_.Write("report.html", "the one of yesterday");
  arguments_.output = folder_.PathOf("report.html");
  answer_ = "<html>some other server</html>";
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err,
            "idlewatt: the daemon's answer is not what this version expects (no JSON object)\n");
  EXPECT_EQ(FileText("report.html"), "the one of yesterday");
}

TEST_F(IdleReportCommandTest, AnAnswerOfAnotherVersionIsRefusedInAllFormats) {
  SampleJson json = RichIdleJson();
  json.erase("recommendations");
  answer_ = json.dump();
  for (const char* format : {"text", "json", "html"}) {
    arguments_.format = format;
    const Ran ran = Run();
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, HasSubstr("(recommendations is missing)"));
  }
}

TEST_F(IdleReportCommandTest, AFolderThatIsNotThereIsTold) {
  arguments_.output = folder_.PathOf("no/such/folder/report.html");
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("cannot write: No such file or directory"));
}

TEST_F(IdleReportCommandTest, WithoutADaemonItSaysSo) {
  arguments_.http = "127.0.0.1:1";
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("no idlewatt answers there"));
}

TEST_F(IdleReportCommandTest, APriceThatIsNoneIsRefused) {
  arguments_.price_per_kwh = "free";
  const Ran ran = Run();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "idlewatt: \"free\": is no price; write a number above 0, such as 0.30\n");
}

}  // namespace
}  // namespace idlewatt
