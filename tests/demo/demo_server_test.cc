// The demo server as its users meet it: the real binary, over its pipe, its port and its signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_root.h"
#include "base/text.h"
#include "tests/support/child_process.h"
#include "tests/support/http_client.h"

namespace idlewatt {
namespace {

using namespace client;  // NOLINT: the short names of the test client

using nlohmann::json;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr char kReady[] = "server is listening on";
constexpr char kChat[] = "/v1/chat/completions";

std::vector<std::string> Command(uint16_t port, std::vector<std::string> options) {
  std::vector<std::string> command = {IDLEWATT_BINARY_DIR "/idlewatt-demo-server", "--port",
                                      std::to_string(port)};
  command.insert(command.end(), options.begin(), options.end());
  return command;
}

// A server on a port of its own.
class DemoServer {
 public:
  explicit DemoServer(std::vector<std::string> options = {})
      : port_(FreePort()), process_(Command(port_, std::move(options))) {}

  bool WaitUntilReady() { return process_.WaitForLine(kReady).has_value(); }
  ChildProcess& process() { return process_; }
  uint16_t port() const { return port_; }

  // The answer; a failed request fails the test and gives status 0.
  HttpResponse Get(const std::string& path) { return Take(HttpGet(port_, path)); }
  HttpResponse Post(const std::string& path, const std::string& body) {
    return Take(HttpPost(port_, path, body));
  }

 private:
  static HttpResponse Take(Result<HttpResponse> response) {
    if (response) return *response;
    ADD_FAILURE() << response.error().ToString();
    return {};
  }

  uint16_t port_;
  ChildProcess process_;
};

std::optional<int> ExitCode(ChildProcess& process) {
  const std::optional<ExitStatus> status = process.Wait();
  return status ? status->code : std::nullopt;
}

// Kilobytes in the field `name` of /proc/PID/status.
int64_t StatusKilobytes(pid_t pid, std::string_view name) {
  const Result<FileRoot> proc = FileRoot::Open("/proc");
  const Result<std::string> status = proc->Read(std::to_string(pid) + "/status");
  if (!status) return 0;
  std::string_view rest(*status);
  rest.remove_prefix(std::min(rest.find(name) + name.size() + 1, rest.size()));
  rest.remove_prefix(std::min(rest.find_first_of("0123456789"), rest.size()));
  return ParseNumber<int64_t>(NextField(rest)).value_or(0);
}

TEST(DemoServerTest, AnswersUnavailableWhileLoading) {
  DemoServer server({"--load-seconds", "60"});
  ASSERT_TRUE(server.process().WaitForLine("loading model demo-model"));
  const HttpResponse health = server.Get("/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(json::parse(health.body)["error"]["message"], "Loading model");
}

TEST(DemoServerTest, GetsReadyAfterLoading) {
  DemoServer server({"--load-seconds", "0.2"});
  const std::optional<std::string> line = server.process().WaitForLine(kReady);
  ASSERT_TRUE(line);
  EXPECT_THAT(*line, HasSubstr("http://127.0.0.1:" + std::to_string(server.port())));
  const HttpResponse health = server.Get("/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(json::parse(health.body), json({{"status", "ok"}}));
}

TEST(DemoServerTest, PrintsTheFreePortItTook) {
  ChildProcess process(Command(0, {}));
  const std::optional<std::string> line = process.WaitForLine(kReady);
  ASSERT_TRUE(line);
  const auto port = ParseNumber<uint16_t>(line->substr(line->rfind(':') + 1));
  ASSERT_TRUE(port);
  EXPECT_EQ(HttpGet(*port, "/health")->status, 200);
}

TEST(DemoServerTest, ListsItsModel) {
  DemoServer server({"--model", "tiny"});
  ASSERT_TRUE(server.WaitUntilReady());
  const json models = json::parse(server.Get("/v1/models").body);
  EXPECT_EQ(models["object"], "list");
  EXPECT_EQ(models["data"][0]["id"], "tiny");
}

TEST(DemoServerTest, CompletesInOneAnswer) {
  DemoServer server({"--model", "tiny"});
  ASSERT_TRUE(server.WaitUntilReady());
  const HttpResponse response = server.Post(kChat, R"({"messages": [], "max_tokens": 3})");
  EXPECT_EQ(response.status, 200);
  const json body = json::parse(response.body);
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "idle servers cost");
  EXPECT_EQ(body["usage"]["completion_tokens"], 3);
}

TEST(DemoServerTest, StreamsOneEventAToken) {
  DemoServer server({"--tokens-per-second", "200"});
  ASSERT_TRUE(server.WaitUntilReady());
  const HttpResponse response =
      server.Post(kChat, R"({"messages": [], "max_tokens": 3, "stream": true})");
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream");
  ASSERT_EQ(response.chunks.size(), 5u);  // three tokens, the end of the choice, [DONE]
  const json second = json::parse(response.chunks[1].substr(sizeof("data: ") - 1));
  EXPECT_EQ(second["object"], "chat.completion.chunk");
  EXPECT_EQ(second["choices"][0]["delta"]["content"], " servers");
  EXPECT_EQ(response.chunks.back(), "data: [DONE]\n\n");
}

TEST(DemoServerTest, SendsATokenBeforeTheNextIsDue) {
  DemoServer server({"--tokens-per-second", "2"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto has_event = [](const std::string& body) { return !body.empty(); };
  const Result<HttpResponse> response =
      SendHttp(server.port(), {.method = "POST",
                               .path = kChat,
                               .body = R"({"messages": [], "max_tokens": 1000, "stream": true})",
                               .until = has_event});
  ASSERT_TRUE(response) << response.error().ToString();
  EXPECT_EQ(response->chunks.size(), 1u);
}

TEST(DemoServerTest, RefusesWhatIsNotARequest) {
  DemoServer server;
  ASSERT_TRUE(server.WaitUntilReady());
  for (const char* body : {"", "{", "[]", "{}", R"({"messages": [], "max_tokens": 0})",
                           R"({"messages": [], "stream": "yes"})"}) {
    const HttpResponse response = server.Post(kChat, body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(json::parse(response.body)["error"]["type"], "invalid_request_error") << body;
  }
  EXPECT_EQ(server.Get("/nothing").status, 404);
  EXPECT_EQ(server.Get(kChat).status, 405);
}

TEST(DemoServerTest, EndsCleanlyOnSigterm) {
  DemoServer server({"--burn", "0.1", "--flood", "64KiB", "--memory", "1MiB"});
  ASSERT_TRUE(server.WaitUntilReady());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(ExitCode(server.process()), 0);
}

TEST(DemoServerTest, EndsWhileItLoads) {
  DemoServer server({"--load-seconds", "60"});
  ASSERT_TRUE(server.process().WaitForLine("loading"));
  server.process().Signal(SIGINT);
  EXPECT_EQ(ExitCode(server.process()), 0);
}

TEST(DemoServerTest, IgnoresSigtermWhenTold) {
  DemoServer server({"--ignore-sigterm"});
  ASSERT_TRUE(server.WaitUntilReady());
  server.process().Signal(SIGTERM);
  EXPECT_FALSE(server.process().Wait(milliseconds(300)));
  EXPECT_EQ(server.Get("/health").status, 200);
  server.process().Signal(SIGKILL);
  ASSERT_TRUE(server.process().Wait());
  EXPECT_EQ(server.process().Wait()->signal, SIGKILL);
}

TEST(DemoServerTest, CrashesWhenTold) {
  DemoServer server({"--crash-after", "0.2"});
  EXPECT_EQ(ExitCode(server.process()), 3);
  EXPECT_THAT(server.process().output(), HasSubstr("crashing"));
}

TEST(DemoServerTest, CrashesBeforeItIsReadyWhenTold) {
  DemoServer server({"--load-seconds", "60", "--crash-after", "0.1"});
  EXPECT_EQ(ExitCode(server.process()), 3);
}

TEST(DemoServerTest, BurnsAboutTheCpuAskedFor) {
  DemoServer server({"--burn", "0.4", "--crash-after", "1"});
  ASSERT_EQ(ExitCode(server.process()), 3);
  // Wide on purpose: the machine that runs the tests is busy.
  EXPECT_GT(server.process().cpu_time().count(), 0.1);
  EXPECT_LT(server.process().cpu_time().count(), 0.7);
}

TEST(DemoServerTest, IsQuietWithoutBurn) {
  DemoServer server({"--crash-after", "1"});
  ASSERT_EQ(ExitCode(server.process()), 3);
  EXPECT_LT(server.process().cpu_time().count(), 0.1);
}

TEST(DemoServerTest, HoldsTheMemoryAskedFor) {
  DemoServer server({"--memory", "64MiB"});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_GE(StatusKilobytes(server.process().pid(), "VmRSS"), 64 * 1024);
}

TEST(DemoServerTest, FloodsItsLog) {
  DemoServer server({"--flood", "1MiB"});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(server.process().WaitForLine("flood 1000 "));
}

TEST(DemoServerTest, EndsInTheMiddleOfAFlood) {
  DemoServer server({"--flood", "100MiB"});
  ASSERT_TRUE(server.WaitUntilReady());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(ExitCode(server.process()), 0);
}

TEST(DemoServerTest, EndsItsChildren) {
  DemoServer server({"--fork-children", "2"});
  ASSERT_TRUE(server.WaitUntilReady());
  const std::string pid = std::to_string(server.process().pid());
  const Result<FileRoot> proc = FileRoot::Open("/proc");
  std::string children = proc->Read(pid + "/task/" + pid + "/children").value_or("");
  std::string_view rest = Trim(children);
  const std::vector<std::string_view> pids = Split(rest, ' ');
  ASSERT_EQ(pids.size(), 2u);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(ExitCode(server.process()), 0);
  for (const std::string_view child : pids) EXPECT_FALSE(proc->Exists(child)) << child;
}

TEST(DemoServerTest, SaysThatItsPortIsTaken) {
  DemoServer first;
  ASSERT_TRUE(first.WaitUntilReady());
  ChildProcess second(Command(first.port(), {}));
  EXPECT_EQ(ExitCode(second), 1);
  EXPECT_THAT(second.output(), HasSubstr("cannot listen"));
}

TEST(DemoServerTest, RefusesWrongOptions) {
  ChildProcess process(Command(0, {"--memory", "lots"}));
  EXPECT_EQ(ExitCode(process), 2);
  EXPECT_THAT(process.output(), HasSubstr("--memory"));
}

TEST(DemoServerTest, HelpNamesEveryOption) {
  ChildProcess process(Command(0, {"--help"}));
  EXPECT_EQ(ExitCode(process), 0);
  for (const char* option :
       {"--host", "--port", "--model", "--load-seconds", "--memory", "--burn",
        "--tokens-per-second", "--ignore-sigterm", "--crash-after", "--flood", "--fork-children"}) {
    EXPECT_THAT(process.output(), HasSubstr(option));
  }
}

}  // namespace
}  // namespace idlewatt
