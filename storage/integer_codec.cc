#include "storage/integer_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <numeric>

#include "storage/range_coder.h"
#include "storage/varint.h"

namespace idlewatt {
namespace {

// How a value is foretold. The numbers are part of the format.
enum class Predictor : uint8_t {
  kLast,        // the value before: what stands still or walks
  kLinear,      // as far on as the last step: what moves evenly
  kSlope,       // as far on as the mean of the last steps: a counter
  kSlowSlope,   // the same over more steps: a counter of something noisy
  kMean,        // the mean of the last values: noise around a level
  kMeanOfBoth,  // half way between the value before and their mean
};
constexpr size_t kPredictors = 6;

// All sums are of unsigned numbers and may wrap, the same way in both directions, so that every
// sequence can be kept and no hostile one does harm.
class Foreteller {
 public:
  explicit Foreteller(Predictor predictor) : predictor_(predictor) {}

  int64_t Next() const {
    switch (predictor_) {
      case Predictor::kLast:
        return last_;
      case Predictor::kLinear:
      case Predictor::kSlope:
      case Predictor::kSlowSlope:
        return Add(last_, Rounded(slope_));
      case Predictor::kMean:
        return Rounded(mean_);
      case Predictor::kMeanOfBoth:
        return Add(last_, Sub(Rounded(mean_), last_) >> 1);
    }
    return 0;
  }
  void Saw(int64_t value) {
    const int64_t step = Scale(Sub(value, last_));
    const int64_t level = Scale(value);
    slope_ = seen_ == 1 ? step : Add(slope_, Sub(step, slope_) >> SlopeShift());
    mean_ = Add(mean_, Sub(level, mean_) >> kMeanShift);
    if (seen_ == 0) {
      slope_ = 0;
      mean_ = level;
    }
    if (seen_ < 2) ++seen_;
    last_ = value;
  }

 private:
  static constexpr int kFraction = 6;  // bits behind the point of slope and mean
  static constexpr int kMeanShift = 3;

  static int64_t Add(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
  static int64_t Sub(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  }
  static int64_t Scale(int64_t value) {
    return static_cast<int64_t>(static_cast<uint64_t>(value) << kFraction);
  }
  static int64_t Rounded(int64_t scaled) {
    return Add(scaled, int64_t{1} << (kFraction - 1)) >> kFraction;
  }
  int SlopeShift() const {
    if (predictor_ == Predictor::kLinear) return 0;
    return predictor_ == Predictor::kSlope ? 3 : 5;
  }

  const Predictor predictor_;
  int seen_ = 0;
  int64_t last_ = 0, slope_ = 0, mean_ = 0;
};

// What is left of a value once it was foretold: zero or not, sign, number of bits, the two bits
// after the highest one, the rest as it is.
class Residuals {
 public:
  template <typename Coder>
  int64_t Code(Coder& coder, int64_t residual) {
    BitModel& zero = zero_[std::min(zeros_, kZeroRuns - 1)][std::min(Context(), kZeroContexts - 1)];
    if (!coder.Bit(zero, residual != 0)) {
      ++zeros_;
      last_sign_ = 0;
      size_ = size_ / 2;
      return 0;
    }
    zeros_ = 0;
    const bool negative = coder.Bit(sign_[last_sign_], residual < 0);
    last_sign_ = negative ? 1 : 2;
    const uint64_t given =
        negative ? uint64_t{0} - static_cast<uint64_t>(residual) : static_cast<uint64_t>(residual);
    const uint64_t magnitude = Magnitude(coder, given);
    return static_cast<int64_t>(negative ? uint64_t{0} - magnitude : magnitude);
  }

 private:
  static constexpr size_t kContexts = 32, kZeroRuns = 16, kZeroContexts = 4;
  static constexpr size_t kMostBits = 64;

  size_t Context() const { return std::min((size_ + 8) / 16, kContexts - 1); }

  template <typename Coder>
  uint64_t Magnitude(Coder& coder, uint64_t given) {
    auto& lengths = length_[Context()];
    const auto given_bits = static_cast<size_t>(std::bit_width(given));
    size_t bits = 1;
    while (bits < kMostBits && coder.Bit(lengths[bits], bits < given_bits)) ++bits;
    size_ = (size_ + 32 * bits) / 2;
    uint64_t magnitude = 1;
    int left = static_cast<int>(bits) - 1;
    for (size_t node = 1; left > 0 && node < 4;) {
      --left;
      const bool bit = coder.Bit(high_[bits][node], ((given >> left) & 1) != 0);
      magnitude = magnitude << 1 | static_cast<uint64_t>(bit);
      node = node * 2 + static_cast<size_t>(bit);
    }
    if (left > 0) magnitude = magnitude << left | coder.Raw(given, left);
    return magnitude;
  }

  size_t zeros_ = 0;      // residuals of zero just before
  size_t last_sign_ = 0;  // 0: it was zero; 1: negative; 2: positive
  size_t size_ = 0;  // how many bits the last residuals had, in 32nds, the newest counting half
  std::array<std::array<BitModel, kZeroContexts>, kZeroRuns> zero_{};
  std::array<BitModel, 3> sign_{};
  std::array<std::array<BitModel, kMostBits>, kContexts> length_{};
  std::array<std::array<BitModel, 4>, kMostBits + 1> high_{};
};

// The two directions of Residuals::Code: one takes the bits it is given, the other gives them.
struct Writing {
  RangeEncoder encoder;
  bool Bit(BitModel& model, bool bit) {
    encoder.Put(model, bit);
    return bit;
  }
  uint64_t Raw(uint64_t bits, int count) {
    encoder.PutRaw(bits, count);
    return bits & ((uint64_t{1} << count) - 1);
  }
};
struct Reading {
  RangeDecoder decoder;
  bool Bit(BitModel& model, bool /*unused*/) { return decoder.Take(model); }
  uint64_t Raw(uint64_t /*unused*/, int count) { return decoder.TakeRaw(count); }
};

int64_t Difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

// The largest number that divides all differences to the first value: pages, sectors, the grain of
// a sensor. At least 1.
uint64_t GrainOf(std::span<const int64_t> values) {
  uint64_t grain = 0;
  for (const int64_t value : values) {
    const int64_t difference = Difference(value, values.front());
    const auto magnitude = difference < 0 ? uint64_t{0} - static_cast<uint64_t>(difference)
                                          : static_cast<uint64_t>(difference);
    grain = std::gcd(grain, magnitude);
    if (grain == 1) break;
  }
  return std::max<uint64_t>(grain, 1);
}

std::vector<int64_t> InGrains(std::span<const int64_t> values, uint64_t grain) {
  std::vector<int64_t> out;
  out.reserve(values.size());
  for (const int64_t value : values) {
    const int64_t difference = Difference(value, values.front());
    // A grain of 2^63 has no signed form; its only multiples are 0 and 2^63.
    out.push_back(grain >> 63 != 0 ? difference >> 63 : difference / static_cast<int64_t>(grain));
  }
  return out;
}

// The one that leaves the fewest bits.
Predictor BestPredictor(std::span<const int64_t> values) {
  std::array<size_t, kPredictors> cost{};
  for (size_t p = 0; p < kPredictors; ++p) {
    Foreteller foreteller(static_cast<Predictor>(p));
    for (const int64_t value : values) {
      cost[p] += static_cast<size_t>(std::bit_width(ZigZag(Difference(value, foreteller.Next()))));
      foreteller.Saw(value);
    }
  }
  return static_cast<Predictor>(std::min_element(cost.begin(), cost.end()) - cost.begin());
}

Error Damaged(std::string_view what) {
  return {ErrorCode::kParse, "integers", 0, std::string(what)};
}

}  // namespace

void EncodeIntegers(std::span<const int64_t> values, std::string& out) {
  PutVarint(ZigZag(values.front()), out);
  const uint64_t grain = GrainOf(values);
  PutVarint(grain, out);
  const std::vector<int64_t> grains = InGrains(values, grain);
  const Predictor predictor = BestPredictor(grains);
  out += static_cast<char>(predictor);
  const auto residuals = std::make_unique<Residuals>();
  Writing writing{RangeEncoder(out)};
  Foreteller foreteller(predictor);
  foreteller.Saw(0);
  for (const int64_t value : std::span(grains).subspan(1)) {
    residuals->Code(writing, Difference(value, foreteller.Next()));
    foreteller.Saw(value);
  }
  writing.encoder.Finish();
}

Result<void> DecodeIntegers(std::string_view bytes, size_t count, std::vector<int64_t>& values) {
  ByteReader reader(bytes);
  const auto first = reader.Varint();
  const auto grain = first ? reader.Varint() : std::nullopt;
  const auto predictor = grain ? reader.Bytes(1) : std::nullopt;
  if (!predictor) return Damaged("cut short");
  if (static_cast<uint8_t>(predictor->front()) >= kPredictors) return Damaged("unknown predictor");
  values.clear();
  values.reserve(count);
  values.push_back(UnZigZag(*first));
  const auto residuals = std::make_unique<Residuals>();
  Reading reading{RangeDecoder(reader.rest())};
  Foreteller foreteller(static_cast<Predictor>(predictor->front()));
  foreteller.Saw(0);
  const auto base = static_cast<uint64_t>(values.front());
  while (values.size() < count) {
    const auto residual = static_cast<uint64_t>(residuals->Code(reading, 0));
    const uint64_t value = static_cast<uint64_t>(foreteller.Next()) + residual;
    foreteller.Saw(static_cast<int64_t>(value));
    values.push_back(static_cast<int64_t>(base + value * *grain));
  }
  if (!reading.decoder.at_end()) return Damaged("bytes left over");
  return {};
}

}  // namespace idlewatt
