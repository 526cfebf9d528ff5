#include <algorithm>
#include <vector>

#include "collector/socket_sampler.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

uint16_t TakePort(idlewatt::FuzzInput& input) {
  const unsigned high = input.Byte();
  return static_cast<uint16_t>(high << 8 | input.Byte());
}

}  // namespace

// Two ports, two bytes each; then what recv() gave.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  FuzzInput input(data, size);
  std::vector<uint16_t> ports{TakePort(input), TakePort(input)};
  std::sort(ports.begin(), ports.end());
  // Of the exact size and aligned, as the buffer of recv() is.
  const std::vector<char> messages(input.Rest().begin(), input.Rest().end());
  std::vector<TcpConnection> connections;
  const auto done = TakeSockDiagMessages({messages.data(), messages.size()}, ports, connections);
  if (!done) FUZZ_CHECK(done.error().sys_errno > 0);
  constexpr size_t kSmallest = 16 + 72;  // nlmsghdr, inet_diag_msg
  FUZZ_CHECK(connections.size() * kSmallest <= messages.size());
  for (const TcpConnection& connection : connections) {
    FUZZ_CHECK(std::binary_search(ports.begin(), ports.end(), connection.port));
    const size_t addresses = connection.key.size() - 4;  // without the ports
    FUZZ_CHECK(addresses == 8 || addresses == 20 || addresses == 32);
    if (connection.ended) FUZZ_CHECK(connection.bytes_in == 0 && connection.bytes_out == 0);
  }
  return 0;
}
