#include "app/live_lines.h"

#include <gtest/gtest.h>

namespace idlewatt {
namespace {

TEST(LiveLinesTest, WritesOneLineAnewAndComesBack) {
  LiveLines lines({"a  asked", "b  asked"}, 80);
  EXPECT_EQ(lines.Begin(), "a  asked\nb  asked\n");
  EXPECT_EQ(lines.Set(0, "a  ready"), "\x1b[2A\r\x1b[2Ka  ready\x1b[2B\r");
  EXPECT_EQ(lines.Set(1, "b  ready"), "\x1b[1A\r\x1b[2Kb  ready\x1b[1B\r");
  EXPECT_EQ(lines.Set(1, "b  ready"), "") << "it stands there already";
}

TEST(LiveLinesTest, NoLineBreaksAtTheEdge) {
  LiveLines lines({"0123456789"}, 10);
  EXPECT_EQ(lines.Begin(), "01234567…\n");
  EXPECT_EQ(lines.Set(0, "ä123456789"), "\x1b[1A\r\x1b[2Kä1234567…\x1b[1B\r");
}

}  // namespace
}  // namespace idlewatt
