#include <array>

#include "collector/proc_text.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

std::string Row(const idlewatt::TcpListener& listener) {
  std::array<char, 8> port{};
  std::snprintf(port.data(), port.size(), "%04X", unsigned{listener.port});
  return "   0: 0100007F:" + std::string(port.data()) +
         " 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 " +
         std::to_string(listener.inode) + " 1 0000000000000000 100 0 0 10 0\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const FuzzInput input(data, size);
  const std::vector<TcpListener> listeners = ParseTcpListeners(input.Rest());
  FUZZ_CHECK(listeners.size() * 10 <= size);  // a row has ten fields
  std::string text;
  for (const TcpListener& listener : listeners) text += Row(listener);
  const std::vector<TcpListener> again = ParseTcpListeners(text);
  FUZZ_CHECK(again.size() == listeners.size());
  for (size_t i = 0; i < again.size(); ++i) {
    FUZZ_CHECK(again[i].port == listeners[i].port && again[i].inode == listeners[i].inode);
  }
  return 0;
}
