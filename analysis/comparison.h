#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace idlewatt {

// The mean of samples that belong together in time, and how sure it is.
struct MeanEstimate {
  size_t samples = 0;
  double mean = 0;
  double variance = 0;             // of the mean, not of the samples
  double independent_batches = 0;  // what the window is worth; see EstimateMean
};

// The mean of `samples`, which stand in the order of time; must not be empty. `weights` are above 0
// and as many, such as the time for which each sample stands; without them all weigh the same.
//
// Power, CPU and memory hang together over time: the next minute is mostly like the last, so that
// 60 minutes say far less than 60 dice would, and the usual standard error is much too small. Here
// the window is cut into 24 batches of equal length (each sample is one where there are fewer).
// The means of long batches hardly hang together; what is left of it is measured by their
// autocorrelation r from one to the next, of which a small sample shows too little: 1/n + 3r/n are
// added (Kendall). n batches are then worth n (1 - r)/(1 + r) independent ones.
// Why 24: twice as many hang together more and let fast noise hide slow changes, half as many leave
// r too uncertain. In windows of 480 samples, of which each shares from 0 to 95 % with the one
// before, with noise or bursts on top or without, the 95 % interval held the truth in 95 to 98 of
// 100 runs, and was a sixth to a half wider than the best that can be known (see the tests). In a
// window as short as what comes and goes in it, noise on top, it held in as few as 60: what did not
// happen in a window can't be seen in it.
// Batches that do not weigh the same are worth fewer: the square of the sum of their weights by the
// sum of the squares (Kish).
// A pure function.
MeanEstimate EstimateMean(std::span<const double> samples, std::span<const double> weights = {});

enum class Verdict { kLess, kMore, kNoDifferenceShown, kTooLittleData };

// What came of a change: `after` less `before`.
struct Comparison {
  double difference = 0;
  std::optional<double> relative;  // to the mean before; nothing when that is 0
  // Of the difference, 95 %; nothing with too little data.
  struct Interval {
    double low = 0;
    double high = 0;
  };
  std::optional<Interval> interval;
  Verdict verdict = Verdict::kTooLittleData;
};

// By Welch and Student's t, with the degrees of freedom of the independent batches. Too little data
// are fewer than 12 samples on one side, or such that are worth fewer than 3 independent ones: the
// autocorrelation itself is then a guess. A pure function.
Comparison Compare(const MeanEstimate& before, const MeanEstimate& after);

}  // namespace idlewatt
