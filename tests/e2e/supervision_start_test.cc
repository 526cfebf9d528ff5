// How services start under the real daemon: what is wrong with them is told, what they ask for they
// get; and what the daemon tells systemd meanwhile.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>

#include "base/unique_fd.h"
#include "tests/e2e/supervision_fixture.h"

namespace idlewatt {
namespace {

class StartTest : public SupervisionTest {
 protected:
  // What check-config says of this configuration.
  Outcome Check(const std::string& config) {
    folder_.Write("check.toml", config);
    return RunToEnd({BinaryPath("idlewatt"), "check-config", folder_.PathOf("check.toml")});
  }
  void ExpectWrong(const std::string& config, int line, const std::string& what) {
    const Outcome check = Check(config);
    EXPECT_EQ(check.status->code, 1) << check.output;
    const std::string where = folder_.PathOf("check.toml") + ":" + std::to_string(line) + ": ";
    EXPECT_NE(check.output.find(where), std::string::npos) << where << " in:\n" << check.output;
    EXPECT_NE(check.output.find(what), std::string::npos) << what << " in:\n" << check.output;
  }
  // check-config warns, and a daemon has the service failed at once.
  void ExpectFailed(const std::string& config, const std::string& what) {
    const Outcome check = Check(config);
    EXPECT_EQ(check.status->code, 0) << check.output;
    EXPECT_NE(check.output.find("warning: "), std::string::npos) << check.output;
    EXPECT_NE(check.output.find(what), std::string::npos) << what << " in:\n" << check.output;
    Start(config);
    ASSERT_TRUE(Reaches("bad", "failed"));
    const Json row = Row("bad");
    EXPECT_NE(TextOf(row, "failure").find(what), std::string::npos) << row.dump(1);
    EXPECT_EQ(row["restart_attempts"], 0) << "it was tried again";
  }
};

TEST_F(StartTest, AMissingProgramIsFailedAtOnce) {
  ExpectFailed("[[service]]\nname = \"bad\"\ncommand = [\"/nonexistent/llama-server\"]\n",
               "/nonexistent/llama-server");
}

TEST_F(StartTest, AFolderThatCannotBeEnteredIsFailedAtOnce) {
  ExpectFailed(Shell("bad", "true", "working_dir = \"/nonexistent/models\"\n"),
               "/nonexistent/models");
}

TEST_F(StartTest, AnEnvFileThatCannotBeReadIsFailedAtOnce) {
  ExpectFailed(Shell("bad", "true", "env_file = \"/nonexistent/env\"\n"), "/nonexistent/env");
}

TEST_F(StartTest, APortInUseNamesWhoHoldsIt) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(socket.get(), generic, size), 0);
  ASSERT_EQ(::listen(socket.get(), 1), 0);
  ASSERT_EQ(::getsockname(socket.get(), generic, &size), 0);
  ExpectFailed(
      Shell("bad", "exec sleep 1000", "port = " + std::to_string(ntohs(address.sin_port)) + "\n"),
      "process " + std::to_string(::getpid()) + " (");
}

TEST_F(StartTest, AModelThatIsMissingIsToldInTheServersOwnWords) {
  const std::string config =
      Shell("bad", "echo starting; cat \"$0\" > /dev/null", "restart = \"no\"\n");
  // The model is the first argument behind the script.
  std::string with_model = config;
  with_model.replace(with_model.find("''']"), 4, "''', \"${MODEL}\"]");
  with_model += "model = \"/nonexistent/m.gguf\"\n";
  EXPECT_NE(Check(with_model).output.find("\"/nonexistent/m.gguf\" does not exist"),
            std::string::npos);
  Start(with_model);
  ASSERT_TRUE(Reaches("bad", "failed"));
  const Json lines = Row("bad")["last_exit"]["lines"];
  ASSERT_EQ(lines.size(), 2U) << lines.dump();
  EXPECT_EQ(lines[0], "starting");
  EXPECT_NE(lines[1].get<std::string>().find("/nonexistent/m.gguf: No such file"),
            std::string::npos)
      << lines.dump();
}

TEST_F(StartTest, WhatCanNeverBeRightHasItsLine) {
  ExpectWrong(Shell("a", "true", "user = \"no-such-user\"\n"), 4, "no-such-user");
  ExpectWrong(Shell("a", "true", "depends_on = { b = \"ready\" }\n") +
                  Shell("b", "true", "depends_on = { a = \"ready\" }\n"),
              4, "a");
  ExpectWrong(Shell("a", "true") + Shell("a", "true"), 5, "\"a\"");
  ExpectWrong(Shell("a", "true", "depends_on = [\"c\"]\n"), 4, "\"c\"");
}

TEST_F(StartTest, RootCanStartAServiceAsSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may";
  Start(Shell("nobody", "id -un; id -Gn; echo $HOME $USER $LOGNAME; echo up; exec sleep 1000",
              "user = \"nobody\"\nready = { log_pattern = \"^up$\" }\n"));
  ASSERT_TRUE(Reaches("nobody", "ready"));
  EXPECT_EQ(MustCli({"logs", "nobody"}), "nobody\nnogroup\n/nonexistent nobody nobody\nup\n");
}

TEST_F(StartTest, LimitsAndPrioritiesAreThoseThatWereAskedFor) {
  Start(Shell("limited", "exec sleep 1000",
              "ulimits = { nofile = { soft = 321, hard = 654 }, core = 0 }\nnice = 7\n"
              "oom_score_adj = 345\n"));
  ASSERT_TRUE(Reaches("limited", "ready"));
  const FileRoot proc = *FileRoot::Open("/proc");
  const std::string pid = std::to_string(PidOf("limited"));
  const std::string limits = proc.Read(pid + "/limits").value_or("");
  EXPECT_NE(limits.find("Max open files            321                  654 "), std::string::npos)
      << limits;
  EXPECT_NE(limits.find("Max core file size        0                    0 "), std::string::npos)
      << limits;
  EXPECT_EQ(proc.Read(pid + "/oom_score_adj").value_or(""), "345\n");
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(PidOf("limited"))), 7);
}

// A socket as systemd has it.
class Manager {
 public:
  explicit Manager(const std::string& path) : path_(path) {
    socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    EXPECT_LT(path.size(), sizeof name.sun_path);
    std::copy(path.begin(), path.end(), name.sun_path);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }
  const std::string& path() const { return path_; }

  // Messages up to the first that begins with `part`, each without what follows its first line and
  // without the signs of life, unless that is what is waited for. Empty when it does not come.
  std::vector<std::string> WaitFor(const std::string& part) {
    std::vector<std::string> messages;
    pollfd poll_fd{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    while (::poll(&poll_fd, 1, 60'000) == 1) {
      std::array<char, 4096> buffer{};
      const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      const std::string text(buffer.data(), static_cast<size_t>(std::max<ssize_t>(count, 0)));
      const std::string first = text.substr(0, text.find('\n'));
      if (first != "WATCHDOG=1" || first == part) messages.push_back(first);
      if (first == part) return messages;
    }
    return {};
  }

 private:
  std::string path_;
  UniqueFd socket_;
};

TEST_F(StartTest, SystemdIsToldOfReadinessReloadLifeAndEnd) {
  using Messages = std::vector<std::string>;
  Manager manager(folder_.PathOf("notify"));
  Start(Shell("one", "env; echo up; exec sleep 1000", "ready = { log_pattern = \"up\" }\n"),
        {{"NOTIFY_SOCKET", manager.path()}, {"WATCHDOG_USEC", "200000"}});
  EXPECT_EQ(manager.WaitFor("READY=1"), Messages{"READY=1"});
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(manager.WaitFor("WATCHDOG=1").empty());
  daemon_->process().Signal(SIGHUP);
  EXPECT_EQ(manager.WaitFor("READY=1"), (Messages{"RELOADING=1", "READY=1"}));
  ASSERT_TRUE(Reaches("one", "ready"));
  daemon_->process().Signal(SIGTERM);
  EXPECT_EQ(manager.WaitFor("STOPPING=1"), Messages{"STOPPING=1"});
  ASSERT_TRUE(daemon_->process().Wait(kPatience));
  // A service that spoke to systemd would speak for the daemon.
  const std::string log = Log("one");
  EXPECT_NE(log.find("IDLEWATT_SERVICE=one\n"), std::string::npos) << log;
  for (const char* own : {"NOTIFY_SOCKET", "WATCHDOG_USEC"}) {
    EXPECT_EQ(log.find(own), std::string::npos) << log;
  }
}

}  // namespace
}  // namespace idlewatt
