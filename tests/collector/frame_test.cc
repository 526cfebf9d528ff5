#include "collector/frame.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace idlewatt {
namespace {

TEST(RemedyTest, AFileThatMayNotBeReadSaysWhichCapabilityHelps) {
  SeriesRegistry registry;
  Readings readings(registry);
  readings.AddRefused("a", "b", ErrnoError(EACCES, "energy_uj"));
  EXPECT_EQ(readings.sources.at(0).remedy,
            "run as root, or: setcap cap_dac_read_search+ep $(command -v idlewatt)");
}

TEST(RemedyTest, TheOwnRemedyOfASourceCounts) {
  SeriesRegistry registry;
  Readings readings(registry);
  readings.AddRefused("a", "b", ErrnoError(EACCES, "energy_uj"), "ask");
  EXPECT_EQ(readings.sources.at(0).remedy, "ask");
}

TEST(RemedyTest, WhereNothingWouldHelpNothingIsSaid) {
  for (const int error : {EPERM, ENOENT, EIO, EAGAIN}) {
    EXPECT_EQ(RemedyFor(ErrnoError(error, "x")), "") << error;
  }
}

}  // namespace
}  // namespace idlewatt
