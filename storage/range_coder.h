// An adaptive binary range coder: "Range coder" in docs/storage-format.md. A bit that its Bit model
// expects costs little more than nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace idlewatt {

// How likely the next bit of one kind is a zero, learnt from those before: fast at first, slowly
// once many were seen.
class BitModel {
 public:
  // Of 65,536; never so sure that a surprise becomes expensive.
  uint32_t zero_probability() const {
    if (zero_ < kLeast) return kLeast;
    return zero_ > 65536 - kLeast ? 65536 - kLeast : zero_;
  }
  void Learn(bool bit) {
    const uint32_t rate = kRates[seen_];
    if (seen_ < kRates.size() - 1) ++seen_;
    if (bit) {
      zero_ -= static_cast<uint16_t>((zero_ * rate) >> 16);
    } else {
      zero_ += static_cast<uint16_t>(((65535u - zero_) * rate) >> 16);
    }
  }

 private:
  static constexpr uint32_t kLeast = 32;
  static constexpr std::array<uint16_t, 251> kRates = [] {
    std::array<uint16_t, 251> rates{};
    for (uint32_t n = 0; n < rates.size(); ++n) {
      rates[n] = static_cast<uint16_t>(655360 / (10 * n + 16));
    }
    return rates;
  }();

  uint16_t zero_ = 1 << 15;
  uint8_t seen_ = 0;
};

class RangeEncoder {
 public:
  // Appends to `out`, which must outlive this object.
  explicit RangeEncoder(std::string& out) : out_(out) {}

  void Put(BitModel& model, bool bit) {
    const uint32_t split = (range_ >> 16) * model.zero_probability();
    if (bit) {
      low_ += split;
      range_ -= split;
    } else {
      range_ = split;
    }
    model.Learn(bit);
    Normalize();
  }
  // The lowest `count` bits (0 to 64) of `bits`, as they are.
  void PutRaw(uint64_t bits, int count);
  // Must be called once, at the end.
  void Finish();

 private:
  void Normalize() {
    while (range_ < (1u << 24)) {
      range_ <<= 8;
      ShiftLow();
    }
  }
  void ShiftLow();

  std::string& out_;
  size_t start_ = out_.size();
  uint64_t low_ = 0;
  uint32_t range_ = 0xffffffff;
  uint64_t pending_ = 0;  // bytes 0xff that a carry may still turn into 0x00
  uint8_t cache_ = 0;     // the byte before them
  bool first_ = true;     // the first byte is always 0 and not written
};

// Bytes that are missing at the end count as zeros, so any bytes can be read, for ever: what they
// mean must be checked by who reads.
class RangeDecoder {
 public:
  explicit RangeDecoder(std::string_view bytes)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()) {
    for (int i = 0; i < 4; ++i) code_ = code_ << 8 | NextByte();
  }

  bool Take(BitModel& model) {
    const uint32_t split = (range_ >> 16) * model.zero_probability();
    const bool bit = code_ >= split;
    if (bit) {
      code_ -= split;
      range_ -= split;
    } else {
      range_ = split;
    }
    model.Learn(bit);
    Normalize();
    return bit;
  }
  uint64_t TakeRaw(int count);
  // All bytes have been read; an honest stream ends so.
  bool at_end() const { return next_ == end_; }

 private:
  uint32_t NextByte() { return next_ == end_ ? 0 : static_cast<uint8_t>(*next_++); }
  void Normalize() {
    while (range_ < (1u << 24)) {
      range_ <<= 8;
      code_ = code_ << 8 | NextByte();
    }
  }

  const char* next_;
  const char* end_;
  uint32_t range_ = 0xffffffff;
  uint32_t code_ = 0;
};

}  // namespace idlewatt
