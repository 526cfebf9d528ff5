#include "analysis/student_t.h"

#include <gtest/gtest.h>

#include <array>

namespace idlewatt {
namespace {

// From the usual tables: 0.95, 0.975 and 0.995.
struct Row {
  double degrees;
  std::array<double, 3> values;
};
constexpr std::array<Row, 12> kTable{{{1, {6.314, 12.706, 63.657}},
                                      {2, {2.920, 4.303, 9.925}},
                                      {3, {2.353, 3.182, 5.841}},
                                      {4, {2.132, 2.776, 4.604}},
                                      {5, {2.015, 2.571, 4.032}},
                                      {10, {1.812, 2.228, 3.169}},
                                      {15, {1.753, 2.131, 2.947}},
                                      {30, {1.697, 2.042, 2.750}},
                                      {60, {1.671, 2.000, 2.660}},
                                      {120, {1.658, 1.980, 2.617}},
                                      {1000, {1.646, 1.962, 2.581}},
                                      {1e9, {1.645, 1.960, 2.576}}}};

TEST(StudentTTest, QuantilesAreThoseOfTheTables) {
  for (const Row& row : kTable) {
    EXPECT_NEAR(StudentTQuantile(0.95, row.degrees), row.values[0], 0.0005) << row.degrees;
    EXPECT_NEAR(StudentTQuantile(0.975, row.degrees), row.values[1], 0.0005) << row.degrees;
    EXPECT_NEAR(StudentTQuantile(0.995, row.degrees), row.values[2], 0.0005) << row.degrees;
  }
}

// With one degree it is tan(π (p - 1/2)), with two (2p - 1) sqrt(2 / (4p (1 - p))).
TEST(StudentTTest, IsRightToNineDigitsWhereAFormulaIsKnown) {
  EXPECT_NEAR(StudentTQuantile(0.975, 1), 12.7062047361747, 1e-9);
  EXPECT_NEAR(StudentTQuantile(0.75, 1), 1, 1e-10);
  EXPECT_NEAR(StudentTQuantile(0.975, 2), 4.30265272974946, 1e-9);
  EXPECT_NEAR(StudentTQuantile(0.75, 2), 0.816496580927726, 1e-10);
}

TEST(StudentTTest, DegreesNeedNotBeWhole) {
  const double value = StudentTQuantile(0.975, 2.5);
  EXPECT_LT(value, StudentTQuantile(0.975, 2.4));
  EXPECT_GT(value, StudentTQuantile(0.975, 2.6));
}

TEST(StudentTTest, TheMedianIsZero) { EXPECT_NEAR(StudentTQuantile(0.5, 7), 0, 1e-9); }

}  // namespace
}  // namespace idlewatt
