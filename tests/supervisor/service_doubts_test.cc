#include "supervisor/spec/service_doubts.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ServiceDoubtsTest : public testing::Test {
 protected:
  ServiceDoubtsTest() {
    spec_.name = "llama";
    spec_.command = {"true"};
  }

  std::vector<std::string> Find() { return Doubts(spec_); }
  std::string FindOfPort() { return PortDoubt(spec_, *proc_).value_or(""); }
  // A file with the rights of a program.
  std::string Program(const std::string& name) {
    tree_.Write(name, "#!/bin/sh\n");
    ::chmod(tree_.PathOf(name).c_str(), 0755);
    return tree_.PathOf(name);
  }

  const Result<FileRoot> proc_ = FileRoot::Open("/proc");
  FakeTree tree_;
  ServiceSpec spec_;
};

TEST_F(ServiceDoubtsTest, AServiceThatCanStartHasNone) {
  tree_.Write("env", "A=b\n");
  tree_.Write("m.gguf", "");
  spec_.command = {Program("bin/serve"), "${PORT}", "${env.A}"};
  spec_.auto_port = true;
  spec_.working_dir = tree_.path();
  spec_.env_file = tree_.PathOf("env");
  spec_.model = tree_.PathOf("m.gguf");
  spec_.user = std::to_string(::geteuid());
  EXPECT_THAT(Find(), IsEmpty());
}

TEST_F(ServiceDoubtsTest, AProgramThatIsMissing) {
  spec_.command = {"llama-serverr"};
  EXPECT_THAT(Find(), ElementsAre("service \"llama\": command: \"llama-serverr\" was not found in "
                                  "PATH"));
  spec_.command = {"/nonexistent/serve"};
  EXPECT_THAT(Find(), ElementsAre("service \"llama\": command: \"/nonexistent/serve\" was not "
                                  "found"));
}

TEST_F(ServiceDoubtsTest, AProgramThatMayNotBeExecuted) {
  tree_.Write("text", "");
  for (const std::string& path : {tree_.PathOf("text"), tree_.path()}) {
    spec_.command = {path};
    EXPECT_THAT(Find(), ElementsAre(HasSubstr("may not be executed"))) << path;
  }
}

TEST_F(ServiceDoubtsTest, ARelativeProgramIsLookedForInTheWorkingDirectory) {
  Program("bin/serve");
  spec_.command = {"bin/serve"};
  EXPECT_THAT(Find(), ElementsAre(HasSubstr("\"bin/serve\" was not found")));
  spec_.working_dir = tree_.path();
  EXPECT_THAT(Find(), IsEmpty());
}

TEST_F(ServiceDoubtsTest, EveryCommandIsLookedFor) {
  spec_.stop_command = {"no-such-stop"};
  spec_.ready.emplace().exec = {"no-such-ready"};
  spec_.liveness.emplace().exec = {"no-such-liveness"};
  EXPECT_THAT(Find(), ElementsAre(HasSubstr("stop_command: \"no-such-stop\""),
                                  HasSubstr("ready.exec: \"no-such-ready\""),
                                  HasSubstr("liveness.exec: \"no-such-liveness\"")));
}

TEST_F(ServiceDoubtsTest, AFolderThatCannotBeEntered) {
  spec_.working_dir = "/nonexistent";
  EXPECT_THAT(Find(), ElementsAre("service \"llama\": working_dir: \"/nonexistent\" cannot be "
                                  "entered: No such file or directory"));
  tree_.Write("file", "");
  spec_.working_dir = tree_.PathOf("file");
  EXPECT_THAT(Find(), ElementsAre(HasSubstr("Not a directory")));
}

TEST_F(ServiceDoubtsTest, AnEnvFileThatCannotBeReadOrParsed) {
  spec_.env_file = "/nonexistent/env";
  EXPECT_THAT(Find(), ElementsAre("service \"llama\": env_file \"/nonexistent/env\": cannot be "
                                  "read: No such file or directory"));
  tree_.Write("env", "A=1\noops\n");
  spec_.env_file = tree_.PathOf("env");
  EXPECT_THAT(Find(), ElementsAre(HasSubstr("line 2: is no assignment")));
}

TEST_F(ServiceDoubtsTest, AVariableThatTheEnvFileDoesNotHold) {
  tree_.Write("env", "A=1\n");
  spec_.env_file = tree_.PathOf("env");
  spec_.command.push_back("${env.IDLEWATT_NOT_SET}");
  EXPECT_THAT(Find(), ElementsAre(HasSubstr("command: ${env.IDLEWATT_NOT_SET} is used")));
}

TEST_F(ServiceDoubtsTest, AModelThatIsMissing) {
  spec_.model = "/nonexistent/m.gguf";
  EXPECT_THAT(Find(), ElementsAre("service \"llama\": model: \"/nonexistent/m.gguf\" does not "
                                  "exist"));
  spec_.model = "org/name-of-a-hub";
  EXPECT_THAT(Find(), IsEmpty());
}

TEST_F(ServiceDoubtsTest, AUserThatOnlyRootCanBecome) {
  spec_.user = "daemon";
  if (::geteuid() == 0) {
    EXPECT_THAT(Find(), IsEmpty());
  } else {
    EXPECT_THAT(Find(), ElementsAre(HasSubstr("only root may start a service as \"daemon\"")));
  }
}

// A listening socket of this process.
UniqueFd Listen(uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(fd.get(), generic, size), 0);
  EXPECT_EQ(::listen(fd.get(), 1), 0);
  EXPECT_EQ(::getsockname(fd.get(), generic, &size), 0);
  port = ntohs(address.sin_port);
  return fd;
}

TEST_F(ServiceDoubtsTest, APortThatAStrangerListensOn) {
  uint16_t port = 0;
  UniqueFd socket = Listen(port);
  spec_.port = port;
  EXPECT_THAT(FindOfPort(),
              AllOf(HasSubstr(" is in use by process " + std::to_string(::getpid()) + " ("),
                    HasSubstr("port: " + std::to_string(port))));
  socket.reset();
  EXPECT_EQ(FindOfPort(), "");
}

// /proc as it would be: process 42, whose session 41 leads, listens on port 8001 (1F41).
class ServiceDoubtsOfPortTest : public ServiceDoubtsTest {
 protected:
  ServiceDoubtsOfPortTest() {
    tree_.Write("net/tcp",
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
                " timeout inode\n"
                "   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 "
                "       0 777 1 0000000000000000 100 0 0 10 0\n");
    tree_.Link("42/fd/3", "socket:[777]");
    tree_.Write("42/comm", "llama-server\n");
    tree_.Write("42/stat", "42 (llama-server) S 41 41 41 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n");
    spec_.port = 8001;
  }
  // After the file was given this text.
  std::string FindWith(const std::string& file, const std::string& text) {
    tree_.Write(file, text);
    return PortDoubt(spec_, tree_.Root()).value_or("");
  }
  const std::string end_ = std::string(1, '\0');
};

TEST_F(ServiceDoubtsOfPortTest, ItsOwnRunIsKnownByTheMark) {
  EXPECT_EQ(FindWith("42/environ", "A=b" + end_ + "IDLEWATT_SERVICE=llama" + end_), "");
  EXPECT_THAT(FindWith("42/environ", "IDLEWATT_SERVICE=llama2" + end_),
              HasSubstr("8001 is in use by process 42 (llama-server)"));
}

TEST_F(ServiceDoubtsOfPortTest, WithoutAMarkByTheLeaderOfItsSession) {
  EXPECT_EQ(FindWith("41/environ", "IDLEWATT_SERVICE=llama" + end_), "");
  EXPECT_NE(FindWith("41/environ", "IDLEWATT_SERVICE=other" + end_), "");
}

TEST_F(ServiceDoubtsOfPortTest, WithoutAMarkByItsCgroup) {
  for (const char* own : {"idlewatt-llama", "idlewatt-llama-2"}) {
    EXPECT_EQ(FindWith("42/cgroup", "0::/system.slice/" + std::string(own) + "\n"), "") << own;
  }
  for (const char* other : {"llama", "idlewatt-llama2", "idlewatt-llama-b", "idlewatt-llama/x"}) {
    EXPECT_NE(FindWith("42/cgroup", "0::/" + std::string(other) + "\n"), "") << other;
  }
}

}  // namespace
}  // namespace idlewatt
