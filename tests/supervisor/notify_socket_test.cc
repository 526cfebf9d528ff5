#include "supervisor/probe/notify_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <vector>

#include "supervisor/probe/readiness.h"
#include "tests/supervisor/loop_fixture.h"
#include "tests/supervisor/notify_sender.h"

namespace idlewatt {
namespace {

using ::testing::ElementsAre;

const std::string kName = NotifySocketName("notify-test-" + std::to_string(::getpid()));

class NotifySocketTest : public LoopFixture {
 protected:
  struct Message {
    NotifyMessage said;
    int32_t pid;
  };

  std::unique_ptr<NotifySocket> Open(bool believes = true) {
    auto socket = NotifySocket::Open(
        loop(), kName, [believes](int32_t) { return believes; },
        [this](const NotifyMessage& said, int32_t pid) {
          messages.push_back({said, pid});
        });
    if (!socket) ADD_FAILURE() << socket.error().ToString();
    return std::move(*socket);
  }

  std::vector<Message> messages;
};

TEST_F(NotifySocketTest, MessageComesWithItsSender) {
  const auto socket = Open();
  SendNotify(kName, "READY=1");
  ASSERT_TRUE(RunUntil([&] { return messages.size() == 1; }));
  EXPECT_TRUE(messages[0].said.ready);
  EXPECT_EQ(messages[0].pid, ::getpid());
}

TEST_F(NotifySocketTest, StrangerIsNotBelieved) {
  const auto socket = Open(/*believes=*/false);
  EXPECT_EQ(socket->stranger(), std::nullopt);
  SendNotify(kName, "READY=1");
  ASSERT_TRUE(RunUntil([&] { return socket->stranger().has_value(); }));
  EXPECT_EQ(*socket->stranger(), ::getpid());
  EXPECT_TRUE(messages.empty());
}

TEST_F(NotifySocketTest, WhatSaysNothingForUsIsDropped) {
  const auto socket = Open();
  SendNotify(kName, "");
  SendNotify(kName, "MAINPID=1\nWATCHDOG=1\nREADY=0");
  SendNotify(kName, std::string(NotifySocket::kMaxBytes + 1, 'x') + "\nREADY=1");
  SendNotify(kName, "STATUS=last");
  ASSERT_TRUE(RunUntil([&] { return !messages.empty(); }));
  ASSERT_EQ(messages.size(), 1);
  EXPECT_EQ(messages[0].said.status, "last");
}

// sd_notify_barrier(3) waits until we have closed what it sent.
TEST_F(NotifySocketTest, DescriptorsThatComeAlongAreClosed) {
  const auto socket = Open();
  const auto before = Descriptors();
  SendNotify(kName, "BARRIER=1", /*descriptor=*/STDIN_FILENO);
  SendNotify(kName, "READY=1", /*descriptor=*/STDIN_FILENO);
  ASSERT_TRUE(RunUntil([&] { return messages.size() == 1; }));
  EXPECT_EQ(Descriptors(), before);
}

TEST_F(NotifySocketTest, MayEndInItsOwnCallback) {
  std::unique_ptr<NotifySocket> socket;
  const std::string text = "kept by the callback until it returns";
  std::vector<std::string> seen;
  socket = std::move(*NotifySocket::Open(
      loop(), kName, [](int32_t) { return true; },
      [&socket, &seen, text](const NotifyMessage&, int32_t) {
        socket.reset();
        seen.push_back(text);
      }));
  SendNotify(kName, "READY=1");
  SendNotify(kName, "READY=1");
  ASSERT_TRUE(RunUntil([&] { return !seen.empty(); }));
  RunFor(2ms);
  EXPECT_THAT(seen, ElementsAre(text));
}

TEST_F(NotifySocketTest, NameIsFreeAgainAfterItsEnd) {
  Open().reset();
  const auto socket = Open();
  const auto second = NotifySocket::Open(
      loop(), kName, [](int32_t) { return true; }, [](const NotifyMessage&, int32_t) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kTransient);
}

TEST_F(NotifySocketTest, LongNamesStayApartAndFitIntoAnAddress) {
  const std::string one = NotifySocketName(std::string(300, 'x') + "1");
  const std::string two = NotifySocketName(std::string(300, 'x') + "2");
  EXPECT_NE(one, two);
  EXPECT_EQ(one, NotifySocketName(std::string(300, 'x') + "1"));
  for (const std::string& name : {one, two, NotifySocketName(""), NotifySocketName("a.b-c_d")}) {
    EXPECT_LE(name.size(), sizeof(sockaddr_un::sun_path));
    EXPECT_TRUE(NotifySocket::Open(
        loop(), name, [](int32_t) { return true; }, [](const NotifyMessage&, int32_t) {}));
  }
}

TEST(NotifyMessageTest, HoldsSeveralAssignments) {
  const NotifyMessage message =
      ParseNotifyMessage("STATUS=loading 10 %\nEXTEND_TIMEOUT_USEC=5000000\nX=1\nREADY=1\n");
  EXPECT_TRUE(message.ready);
  EXPECT_EQ(message.status, "loading 10 %");
  EXPECT_EQ(message.extend_timeout, std::chrono::seconds(5));
}

TEST(NotifyMessageTest, WhatIsNoneSaysNothing) {
  for (const char* text : {"", "\n\n", "=", "READY", "READY=", "READY=2", "ready=1", " READY=1",
                           "READY=1 ", "EXTEND_TIMEOUT_USEC=", "EXTEND_TIMEOUT_USEC=-1",
                           "EXTEND_TIMEOUT_USEC=99999999999999999999", "RELOADING=1"}) {
    EXPECT_EQ(ParseNotifyMessage(text), NotifyMessage()) << text;
  }
}

TEST(NotifyMessageTest, TextIsShortValidUtf8) {
  EXPECT_EQ(ParseNotifyMessage("STATUS=a\xFF").status, "a\xEF\xBF\xBD");
  EXPECT_EQ(ParseNotifyMessage("STATUS=").status, "");
  EXPECT_EQ(ParseNotifyMessage("STATUS=" + std::string(3000, 'x')).status->size(),
            NotifySocket::kStatusBytes);
}

TEST(NotifyMessageTest, ExtensionCanBeAddedToATime) {
  const auto most = ParseNotifyMessage("EXTEND_TIMEOUT_USEC=18446744073709551615").extend_timeout;
  ASSERT_TRUE(most);
  EXPECT_GT(RealClock().Now().boot + *most, RealClock().Now().boot);
}

}  // namespace
}  // namespace idlewatt
