#include "analysis/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "analysis/student_t.h"

namespace idlewatt {
namespace {

constexpr size_t kBatches = 24;
constexpr size_t kLeastSamples = 12;
constexpr double kLeastIndependent = 3;
constexpr double kProbability = 0.975;  // below the upper end of the interval
constexpr double kMostCorrelation = 0.999;
// Means of equal values differ by rounding, which shows nothing.
constexpr double kRounding = 1e-9;

struct Batch {
  double mean = 0;
  double weight = 0;
};

Batch BatchOf(std::span<const double> samples, std::span<const double> weights) {
  Batch batch;
  for (size_t i = 0; i < samples.size(); ++i) {
    const double weight = weights.empty() ? 1 : weights[i];
    batch.weight += weight;
    batch.mean += weight * samples[i];
  }
  batch.mean /= batch.weight;
  return batch;
}

// Sum of the products of what differs from `mean`, each with the one `lag` later.
double Products(std::span<const Batch> batches, double mean, size_t lag) {
  double sum = 0;
  for (size_t i = lag; i < batches.size(); ++i) {
    const Batch &a = batches[i - lag], &b = batches[i];
    sum += std::sqrt(a.weight * b.weight) * (a.mean - mean) * (b.mean - mean);
  }
  return sum;
}

bool IsEnough(const MeanEstimate& estimate) {
  return estimate.samples >= kLeastSamples && estimate.independent_batches >= kLeastIndependent;
}

// Degrees of freedom of the difference, after Welch and Satterthwaite.
double DegreesOfFreedom(const MeanEstimate& a, const MeanEstimate& b) {
  const double sum = a.variance + b.variance;
  if (sum <= 0) return a.independent_batches + b.independent_batches - 2;
  return sum * sum /
         (a.variance * a.variance / (a.independent_batches - 1) +
          b.variance * b.variance / (b.independent_batches - 1));
}

}  // namespace

MeanEstimate EstimateMean(std::span<const double> samples, std::span<const double> weights) {
  std::array<Batch, kBatches> space{};
  const size_t count = std::min(samples.size(), kBatches);
  double weight = 0, square_weight = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * samples.size() / count;
    const size_t size = (i + 1) * samples.size() / count - begin;
    space[i] = BatchOf(samples.subspan(begin, size),
                       weights.empty() ? weights : weights.subspan(begin, size));
    weight += space[i].weight;
    square_weight += space[i].weight * space[i].weight;
  }
  const auto batches = std::span<const Batch>(space).first(count);
  const double mean = BatchOf(samples, weights).mean;
  const double squares = Products(batches, mean, 0) / weight;
  const double n = weight * weight / square_weight;

  MeanEstimate estimate{samples.size(), mean, 0, n};
  const double rounding = kRounding * std::abs(mean);
  if (squares <= rounding * rounding) return estimate;  // all are the same
  const double seen = Products(batches, mean, 1) / weight / squares;
  const double r = std::clamp(seen + (1 + 3 * seen) / n, 0.0, kMostCorrelation);
  estimate.independent_batches = n * (1 - r) / (1 + r);
  // The spread of a series that hangs together is seen too small by as many independent values as
  // the mean takes away: one.
  if (estimate.independent_batches > 1) {
    estimate.variance = squares / (estimate.independent_batches - 1);
  }
  return estimate;
}

Comparison Compare(const MeanEstimate& before, const MeanEstimate& after) {
  Comparison comparison;
  comparison.difference = after.mean - before.mean;
  if (before.mean != 0) comparison.relative = comparison.difference / std::abs(before.mean);
  if (!IsEnough(before) || !IsEnough(after)) return comparison;
  const double error = std::sqrt(before.variance + after.variance);
  const double margin = StudentTQuantile(kProbability, DegreesOfFreedom(before, after)) * error +
                        kRounding * std::max(std::abs(before.mean), std::abs(after.mean));
  comparison.interval = {comparison.difference - margin, comparison.difference + margin};
  comparison.verdict = comparison.interval->high < 0  ? Verdict::kLess
                       : comparison.interval->low > 0 ? Verdict::kMore
                                                      : Verdict::kNoDifferenceShown;
  return comparison;
}

}  // namespace idlewatt
