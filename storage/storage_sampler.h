#pragma once

#include "collector/sampler.h"
#include "storage/history.h"
#include "storage/ring.h"

namespace idlewatt {

// What ring and history hold, and how writing goes.
// Source:  their own statistics; no file.
// Errors:  none.
// Threads: sampler thread only.
class StorageSampler final : public Sampler {
 public:
  // Both must outlive this object.
  StorageSampler(const History& history, const Ring& ring) : history_(history), ring_(ring) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  const History& history_;
  const Ring& ring_;
};

}  // namespace idlewatt
