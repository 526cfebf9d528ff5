#include "analysis/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

namespace idlewatt {
namespace {

// A series of mean 0 and spread 1 in which a sample has the share `r` of the one before.
class Series {
 public:
  explicit Series(unsigned seed) : random_(seed) {}

  std::vector<double> Draw(size_t count, double r, double mean = 0, double noise = 0) {
    std::vector<double> samples;
    double value = normal_(random_);
    for (size_t i = 0; i < count; ++i) {
      samples.push_back(mean + value + noise * normal_(random_));
      value = r * value + std::sqrt(1 - r * r) * normal_(random_);
    }
    return samples;
  }
  // A load that is on a fifth of the time, for about `length` samples each.
  std::vector<double> DrawBursts(size_t count, double length) {
    std::vector<double> samples;
    bool on = uniform_(random_) < 0.2;
    for (size_t i = 0; i < count; ++i) {
      samples.push_back(on ? 10 : 0);
      if (uniform_(random_) < (on ? 1 / length : 0.25 / length)) on = !on;
    }
    return samples;
  }

 private:
  std::mt19937 random_;
  std::normal_distribution<double> normal_;
  std::uniform_real_distribution<double> uniform_;
};

Comparison CompareSamples(const std::vector<double>& before, const std::vector<double>& after) {
  return Compare(EstimateMean(before), EstimateMean(after));
}

// What became of a thousand comparisons of which the truth is known.
struct Tally {
  int given = 0;  // an interval
  int held = 0;   // the truth
  double width = 0;
  double Coverage() const { return static_cast<double>(held) / given; }
};
constexpr int kRuns = 1000;

template <typename Draw>
Tally TallyOf(Draw draw) {
  Tally tally;
  for (int i = 0; i < kRuns; ++i) {
    const std::vector<double> before = draw();
    const Comparison comparison = CompareSamples(before, draw());
    if (!comparison.interval) continue;
    ++tally.given;
    tally.held += comparison.interval->low <= 0 && comparison.interval->high >= 0 ? 1 : 0;
    tally.width += (comparison.interval->high - comparison.interval->low) / 2 / kRuns;
  }
  return tally;
}

TEST(ComparisonTest, TheIntervalHoldsTheTruthHoweverTheSamplesHangTogether) {
  Series series(1);
  for (const double r : {0.0, 0.5, 0.8, 0.9, 0.95}) {
    const Tally tally = TallyOf([&] { return series.Draw(480, r); });
    EXPECT_GT(tally.given, 0.8 * kRuns) << r;
    EXPECT_GE(tally.Coverage(), 0.93) << r;
    EXPECT_LE(tally.Coverage(), 0.99) << r;
    // Nobody could do better than this: the true error of a mean of as many samples.
    const double least = 1.96 * std::sqrt(2.0 / 480 * (1 + r) / (1 - r));
    EXPECT_LT(tally.width, 1.6 * least) << r;
  }
}

TEST(ComparisonTest, TheIntervalHoldsTheTruthInShortWindowsToo) {
  Series series(2);
  constexpr std::array<std::pair<size_t, double>, 6> kCases{
      {{12, 0}, {24, 0}, {24, 0.5}, {60, 0}, {60, 0.5}, {60, 0.8}}};
  for (const auto& [count, r] : kCases) {
    const Tally tally = TallyOf([&, n = count, share = r] { return series.Draw(n, share); });
    EXPECT_GE(tally.Coverage(), 0.93) << count << " " << r;
    EXPECT_LE(tally.Coverage(), 0.99) << count << " " << r;
  }
}

TEST(ComparisonTest, NoiseDoesNotHideASlowChange) {
  Series series(3);
  for (const double r : {0.8, 0.95}) {
    const Tally tally = TallyOf([&] { return series.Draw(480, r, 0, 2); });
    EXPECT_GE(tally.Coverage(), 0.93) << r;
    EXPECT_LE(tally.Coverage(), 0.99) << r;
  }
}

TEST(ComparisonTest, TheIntervalHoldsTheTruthOfALoadThatComesInBursts) {
  Series series(4);
  for (const double length : {1.0, 3.0, 8.0}) {
    const Tally tally = TallyOf([&] { return series.DrawBursts(480, length); });
    EXPECT_GT(tally.given, 0.85 * kRuns) << length;
    EXPECT_GE(tally.Coverage(), 0.93) << length;
    EXPECT_LE(tally.Coverage(), 0.99) << length;
  }
}

// Most of these windows are refused; few of those that are not may claim a difference.
TEST(ComparisonTest, FalseAlarmsAreRareEvenWhereTheWindowIsTooShort) {
  Series series(5);
  for (const double r : {0.95, 0.99, 0.999}) {
    const Tally tally = TallyOf([&] { return series.Draw(60, r); });
    EXPECT_LT(tally.given - tally.held, 0.05 * kRuns) << r;
  }
}

TEST(ComparisonTest, FindsARealDifference) {
  Series series(6);
  int found = 0;
  for (int i = 0; i < 200; ++i) {
    const Comparison comparison =
        CompareSamples(series.Draw(720, 0.9, 14), series.Draw(720, 0.9, 12.5));
    found += comparison.verdict == Verdict::kLess ? 1 : 0;
    EXPECT_NE(comparison.verdict, Verdict::kMore);
    EXPECT_NEAR(comparison.relative.value(), -1.5 / 14, 0.06);
  }
  EXPECT_GT(found, 180);
}

TEST(ComparisonTest, WindowsMayHaveDifferentLengths) {
  Series series(7);
  Tally tally;
  for (int i = 0; i < kRuns; ++i) {
    const Comparison comparison = CompareSamples(series.Draw(90, 0.5), series.Draw(480, 0.9));
    if (!comparison.interval) continue;
    ++tally.given;
    tally.held += comparison.interval->low <= 0 && comparison.interval->high >= 0 ? 1 : 0;
  }
  EXPECT_GE(tally.Coverage(), 0.92);
  EXPECT_LE(tally.Coverage(), 0.99);
}

TEST(ComparisonTest, SamplesMayStandForDifferentTimes) {
  const MeanEstimate estimate =
      EstimateMean(std::vector<double>{10, 20}, std::vector<double>{3, 1});
  EXPECT_EQ(estimate.samples, 2U);
  EXPECT_DOUBLE_EQ(estimate.mean, 12.5);
  EXPECT_DOUBLE_EQ(EstimateMean(std::vector<double>(24, 7), std::vector<double>(24, 2)).mean, 7);

  Series series(11);
  std::mt19937 random(12);
  std::uniform_real_distribution<double> uniform(0.2, 1);
  Tally tally;
  for (int i = 0; i < kRuns; ++i) {
    const auto draw = [&] {
      const std::vector<double> samples = series.Draw(60, 0);
      std::vector<double> weights;
      for (size_t j = 0; j < samples.size(); ++j) weights.push_back(uniform(random));
      return EstimateMean(samples, weights);
    };
    const MeanEstimate before = draw();
    const Comparison comparison = Compare(before, draw());
    if (!comparison.interval) continue;
    ++tally.given;
    tally.held += comparison.interval->low <= 0 && comparison.interval->high >= 0 ? 1 : 0;
  }
  EXPECT_GT(tally.given, 0.8 * kRuns);
  EXPECT_GE(tally.Coverage(), 0.93);
  EXPECT_LE(tally.Coverage(), 0.99);
}

TEST(ComparisonTest, MoreIsTheOtherWayRound) {
  Series series(8);
  const std::vector<double> low = series.Draw(240, 0, 10);
  const std::vector<double> high = series.Draw(240, 0, 12);
  const Comparison more = CompareSamples(low, high);
  const Comparison less = CompareSamples(high, low);
  EXPECT_EQ(more.verdict, Verdict::kMore);
  EXPECT_EQ(less.verdict, Verdict::kLess);
  EXPECT_DOUBLE_EQ(more.difference, -less.difference);
  EXPECT_NEAR(more.interval->low, -less.interval->high, 1e-12);
}

TEST(ComparisonTest, FewSamplesAreTooLittle) {
  Series series(9);
  const std::vector<double> enough = series.Draw(100, 0);
  const Comparison comparison = CompareSamples(series.Draw(11, 0, 50), enough);
  EXPECT_EQ(comparison.verdict, Verdict::kTooLittleData);
  EXPECT_FALSE(comparison.interval.has_value());
  EXPECT_NEAR(comparison.difference, -50, 2) << "the means are told all the same";
  EXPECT_EQ(CompareSamples(enough, series.Draw(11, 0)).verdict, Verdict::kTooLittleData);
}

TEST(ComparisonTest, ASingleStepInAWindowIsTooLittle) {
  std::vector<double> step(60, 10);
  std::fill(step.begin() + 30, step.end(), 20);
  EXPECT_LT(EstimateMean(step).independent_batches, 3);
  EXPECT_EQ(CompareSamples(step, std::vector<double>(60, 30)).verdict, Verdict::kTooLittleData);
}

TEST(ComparisonTest, ValuesThatNeverChangeAreCompared) {
  const std::vector<double> tenth(60, 0.1);
  const std::vector<double> longer(1440, 0.1);
  EXPECT_EQ(CompareSamples(tenth, longer).verdict, Verdict::kNoDifferenceShown)
      << "their means differ by rounding";
  const Comparison less = CompareSamples(longer, std::vector<double>(60, 0.09));
  EXPECT_EQ(less.verdict, Verdict::kLess);
  EXPECT_NEAR(less.interval->low, less.interval->high, 1e-6);
  const Comparison nothing = CompareSamples(std::vector<double>(60, 0), std::vector<double>(60, 0));
  EXPECT_EQ(nothing.verdict, Verdict::kNoDifferenceShown);
  EXPECT_FALSE(nothing.relative.has_value());
}

}  // namespace
}  // namespace idlewatt
