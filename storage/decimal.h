// Doubles as whole numbers of a power of ten: 21.625 is 21625 at exponent 3.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace idlewatt {

inline constexpr size_t kDecimalExponents = 10;  // 0 to 9

namespace detail {
inline constexpr std::array<double, kDecimalExponents> kPowersOfTen = {1e0, 1e1, 1e2, 1e3, 1e4,
                                                                       1e5, 1e6, 1e7, 1e8, 1e9};
inline constexpr double kTwoTo53 = 9007199254740992.0;
}  // namespace detail

inline double FromDecimal(int64_t integer, size_t exponent) {
  return static_cast<double>(integer) / detail::kPowersOfTen[exponent];
}

// The integer that FromDecimal turns into `value` to the bit, |integer| < 2^53; nothing where there
// is none, as for NaN, infinities and negative zero.
inline std::optional<int64_t> ToDecimal(double value, size_t exponent) {
  const double scaled = std::nearbyint(value * detail::kPowersOfTen[exponent]);
  if (!(std::abs(scaled) < detail::kTwoTo53)) return std::nullopt;
  const auto integer = static_cast<int64_t>(scaled);
  const auto bits = std::bit_cast<uint64_t>(value);
  if (std::bit_cast<uint64_t>(FromDecimal(integer, exponent)) != bits) return std::nullopt;
  return integer;
}

// The decimal nearest to `value`; `value` itself where it is too large for one, or no number.
inline double RoundToDecimals(double value, size_t exponent) {
  const double scaled = std::nearbyint(value * detail::kPowersOfTen[exponent]);
  if (!(std::abs(scaled) < detail::kTwoTo53)) return value;
  return FromDecimal(static_cast<int64_t>(scaled), exponent);
}

}  // namespace idlewatt
