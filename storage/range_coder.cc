#include "storage/range_coder.h"

#include <algorithm>

namespace idlewatt {
namespace {

constexpr int kRawStep = 16;  // bits that are put at once: range / 2^16 must stay above zero

}  // namespace

void RangeEncoder::PutRaw(uint64_t bits, int count) {
  while (count > 0) {
    const int step = std::min(count, kRawStep);
    count -= step;
    range_ >>= step;
    low_ += ((bits >> count) & ((uint64_t{1} << step) - 1)) * range_;
    Normalize();
  }
}

// Moves the top byte of `low_` out, once no later carry can change it.
void RangeEncoder::ShiftLow() {
  const auto carry = static_cast<uint8_t>(low_ >> 32);
  const auto top = static_cast<uint8_t>(low_ >> 24);
  if (top == 0xff && carry == 0) {
    ++pending_;
  } else {
    if (!first_) out_ += static_cast<char>(cache_ + carry);
    first_ = false;
    out_.append(pending_, static_cast<char>(0xff + carry));
    pending_ = 0;
    cache_ = top;
  }
  low_ = static_cast<uint32_t>(low_) << 8;
}

void RangeEncoder::Finish() {
  for (int i = 0; i < 5; ++i) ShiftLow();
  while (out_.size() > start_ && out_.back() == '\0') out_.pop_back();
}

uint64_t RangeDecoder::TakeRaw(int count) {
  uint64_t bits = 0;
  while (count > 0) {
    const int step = std::min(count, kRawStep);
    count -= step;
    range_ >>= step;
    // A stream of ours never gives more than the step holds; another one may.
    const uint32_t part = std::min(code_ / range_, (1u << step) - 1);
    code_ -= part * range_;
    bits = bits << step | part;
    Normalize();
  }
  return bits;
}

}  // namespace idlewatt
