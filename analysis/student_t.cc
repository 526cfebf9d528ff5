#include "analysis/student_t.h"

#include <math.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace idlewatt {
namespace {

// Beyond, differences of ln Γ would lose digits.
constexpr double kMostDegrees = 100'000;

// ln Γ(x). std::lgamma also writes to a global variable, which would be a race.
double LogGamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// The i-th numerator of the continued fraction of the incomplete beta function (Abramowitz and
// Stegun, 26.5.8).
double BetaNumerator(double a, double b, double x, int i) {
  const int half = i / 2;
  const double m = half;
  const double at = a + i;
  return i % 2 == 0 ? m * (b - m) * x / ((at - 1) * at)
                    : -(a + m) * (a + b + m) * x / ((at - 1) * at);
}

// 1 + n1/(1 + n2/(1 + …)), from the front (Lentz). Settles fast for x < (a + 1)/(a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr int kMostTerms = 10'000;
  constexpr double kTiny = 1e-300;
  const auto non_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double fraction = 1;
  double above = 1;
  double below = 0;
  for (int i = 1; i < kMostTerms; ++i) {
    const double numerator = BetaNumerator(a, b, x, i);
    below = 1 / non_zero(1 + numerator * below);
    above = non_zero(1 + numerator / above);
    fraction *= above * below;
    if (std::abs(above * below - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return fraction;
}

// The regularized incomplete beta function I_x(a, b); `rest` is 1 - x, given for its digits.
double IncompleteBeta(double a, double b, double x, double rest) {
  if (x <= 0) return 0;
  if (rest <= 0) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - IncompleteBeta(b, a, rest, x);
  const double log_front =
      a * std::log(x) + b * std::log(rest) + LogGamma(a + b) - LogGamma(a) - LogGamma(b);
  return std::exp(log_front) / (a * BetaFraction(a, b, x));
}

// How likely t is above `value`, which is not negative.
double UpperTail(double value, double degrees) {
  const double square = value * value;
  const double sum = degrees + square;
  return IncompleteBeta(degrees / 2, 0.5, degrees / sum, square / sum) / 2;
}

}  // namespace

double StudentTQuantile(double probability, double degrees) {
  constexpr double kExact = 1e-12;
  const double tail = 1 - probability;
  const double known_degrees = std::clamp(degrees, 1.0, kMostDegrees);
  double low = 0;
  double high = 1;
  while (UpperTail(high, known_degrees) > tail) {
    low = high;
    high *= 2;
  }
  while (high - low > kExact * high) {
    const double middle = low + (high - low) / 2;
    (UpperTail(middle, known_degrees) > tail ? low : high) = middle;
  }
  return high;
}

}  // namespace idlewatt
