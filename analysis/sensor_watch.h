#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "collector/snapshot.h"

namespace idlewatt {

// Sources that could be read and can't be read any more, or are gone.
// Threads: one.
class SensorWatch {
 public:
  // A source that was lost for longer is not told of: somebody took it away.
  static constexpr std::chrono::hours kForgetAfter{24};

  // When sources could be read in earlier runs of the daemon. Before the first Update.
  void Remember(std::map<std::string, WallTime, std::less<>> past) { past_ = std::move(past); }

  // Takes the tick in `snapshot`.
  void Update(const Snapshot& snapshot);
  // By name; as of the last tick.
  const std::vector<std::string>& lost() const { return lost_; }

 private:
  std::map<std::string, WallTime, std::less<>> past_;
  std::map<std::string, BootTime, std::less<>> read_;  // last
  std::vector<std::string> lost_;
};

}  // namespace idlewatt
