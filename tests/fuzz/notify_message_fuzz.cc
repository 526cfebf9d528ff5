#include "base/clock.h"
#include "base/text.h"
#include "supervisor/probe/notify_socket.h"
#include "tests/fuzz/fuzz_support.h"

// A datagram of sd_notify, from whoever knows the socket's name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view datagram = FuzzInput(data, size).Rest();
  const NotifyMessage message = ParseNotifyMessage(datagram);
  if (message.ready) FUZZ_CHECK(datagram.find("READY=1") != std::string_view::npos);
  if (message.status) {
    FUZZ_CHECK(*message.status == ToValidUtf8(*message.status));
    FUZZ_CHECK(message.status->find('\n') == std::string::npos);
    FUZZ_CHECK(message.status->size() <= 3 * NotifySocket::kStatusBytes);
  }
  if (message.extend_timeout) {
    const BootTime now = RealClock().Now().boot;
    FUZZ_CHECK(now + *message.extend_timeout >= now);
  }
  // What was understood is said again in the form of the protocol.
  std::string again = message.ready ? "READY=1\n" : "";
  if (message.status) again += "STATUS=" + *message.status + "\n";
  if (message.extend_timeout) {
    again += "EXTEND_TIMEOUT_USEC=" + std::to_string(message.extend_timeout->count()) + "\n";
  }
  const bool fits = !message.status || message.status->size() <= NotifySocket::kStatusBytes;
  if (fits) FUZZ_CHECK(ParseNotifyMessage(again) == message);
  return 0;
}
