#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace idlewatt {

// One of the server-sent events of /api/v1/stream.
struct ServerEvent {
  std::string name;
  std::string data;  // its lines, joined by newlines
};

// Finds server-sent events in what comes, however it is cut. Comments, ids and retry times are
// skipped; so is an event without data.
// Threads: one.
class EventReader {
 public:
  // The events that are whole now, in their order.
  std::vector<ServerEvent> Take(std::string_view text);

 private:
  void TakeLine(std::string_view line, std::vector<ServerEvent>& events);

  std::string rest_;   // of a line that has no end yet
  ServerEvent event_;  // that has no end yet
  bool has_data_ = false;
};

}  // namespace idlewatt
