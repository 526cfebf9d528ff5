#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

namespace idlewatt {

// The way to the client of an answer that goes on.
// Threads: one.
class HttpStream {
 public:
  virtual ~HttpStream() = default;
  // Sends `data` now. False, then and from then on, once nothing more can be sent: the client is
  // gone or took nothing for too long, or the server stops.
  virtual bool Write(std::string_view data) = 0;
  // Is the client still there, and does the server go on? To be asked at least every 100 ms while
  // nothing is written; costs a system call.
  virtual bool IsOpen() = 0;
};

// A stream over a socket in chunks of HTTP/1.1.
// Owns:    nothing; the socket is open as long as this object lives.
class SocketStream final : public HttpStream {
 public:
  // A client that takes nothing for `patience` is given up.
  SocketStream(int socket, std::chrono::milliseconds patience, std::stop_token stop)
      : socket_(socket), patience_(patience), stop_(std::move(stop)) {}

  bool Write(std::string_view data) override;
  bool IsOpen() override;
  // Sends the last chunk, if all before it were sent. Nothing may be written after it.
  void Finish();
  bool finished() const { return finished_; }

 private:
  bool Send(std::string_view bytes);
  bool WaitUntilWritable();

  const int socket_;
  const std::chrono::milliseconds patience_;
  const std::stop_token stop_;
  bool failed_ = false;
  bool finished_ = false;
};

// civetweb keeps the descriptors of its connections to itself: they are found by their two ends.
// The descriptor of this process whose TCP connection goes from our `local_port` to the IPv4
// `remote` address and port; -1 when there is none.
int FindConnection(uint16_t local_port, const std::string& remote, uint16_t remote_port);
// Ends the reading of every such connection from `local_port`, so that nobody waits for a request.
void EndReading(uint16_t local_port);

}  // namespace idlewatt
