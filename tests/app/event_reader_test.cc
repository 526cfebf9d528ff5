#include "app/event_reader.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

std::vector<std::string> Texts(const std::vector<ServerEvent>& events) {
  std::vector<std::string> texts;
  for (const ServerEvent& event : events) texts.push_back(event.name + "=" + event.data);
  return texts;
}

constexpr std::string_view kText =
    "event: snapshot\ndata: {\"a\":1}\n\n: still here\n\nevent: tick\r\ndata:one\r\ndata: "
    "two\r\n\r\n"
    "event: nothing\n\nid: 7\ndata\n\ndata: last\n";

TEST(EventReaderTest, FindsEventsAndSkipsTheRest) {
  EventReader reader;
  EXPECT_EQ(Texts(reader.Take(kText)),
            (std::vector<std::string>{"snapshot={\"a\":1}", "tick=one\ntwo", "="}));
  EXPECT_EQ(Texts(reader.Take("\n")), (std::vector<std::string>{"=last"}));
}

TEST(EventReaderTest, HoweverTheyAreCut) {
  EventReader reader;
  std::vector<std::string> texts;
  for (const char c : kText) {
    for (std::string& text : Texts(reader.Take({&c, 1}))) texts.push_back(std::move(text));
  }
  EventReader whole;
  EXPECT_EQ(texts, Texts(whole.Take(kText)));
}

}  // namespace
}  // namespace idlewatt
