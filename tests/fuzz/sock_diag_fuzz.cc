#include <vector>

#include "collector/sock_diag_message.h"
#include "tests/fuzz/fuzz_support.h"

// What recv() gave.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  // Of the exact size, so that a byte behind it is found.
  const std::vector<char> datagram(data, data + size);
  size_t sockets = 0;
  const SockDiagEnd end =
      ForEachSocket({datagram.data(), datagram.size()}, [&](const SocketMessage& socket) {
        ++sockets;
        for (const std::string_view address : {socket.near_address, socket.far_address}) {
          FUZZ_CHECK(address.size() == 4 || address.size() == 16);
          FUZZ_CHECK(address.data() >= datagram.data());
          FUZZ_CHECK(address.data() + address.size() <= datagram.data() + datagram.size());
        }
      });
  constexpr size_t kSmallest = 16 + 72;  // nlmsghdr, inet_diag_msg
  FUZZ_CHECK(sockets * kSmallest <= datagram.size());
  if (end.error) FUZZ_CHECK(*end.error > 0);
  return 0;
}
