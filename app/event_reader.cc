#include "app/event_reader.h"

#include <algorithm>
#include <utility>

namespace idlewatt {

std::vector<ServerEvent> EventReader::Take(std::string_view text) {
  std::vector<ServerEvent> events;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    rest_ += text.substr(0, end);
    text.remove_prefix(end + 1);
    if (rest_.ends_with('\r')) rest_.pop_back();
    TakeLine(rest_, events);
    rest_.clear();
  }
  rest_ += text;
  return events;
}

void EventReader::TakeLine(std::string_view line, std::vector<ServerEvent>& events) {
  if (line.empty()) {
    if (has_data_) events.push_back(std::move(event_));
    event_ = {};
    has_data_ = false;
    return;
  }
  const size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") event_.name = value;
  if (field != "data") return;
  if (has_data_) event_.data += '\n';
  event_.data += value;
  has_data_ = true;
}

}  // namespace idlewatt
