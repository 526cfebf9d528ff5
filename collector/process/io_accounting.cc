#include "collector/process/io_accounting.h"

#include <utility>

namespace idlewatt {
namespace {

// Longer chains of parents exist only in a damaged scan.
constexpr int kMaxDepth = 256;

double Growth(uint64_t now, uint64_t before, uint64_t counted) {
  return now > before + counted ? static_cast<double>(now - before - counted) : 0.0;
}

}  // namespace

std::vector<std::optional<IoBytes>> IoAccounting::Read(const std::vector<Process>& processes,
                                                       const std::vector<bool>& marked) {
  for (auto& [pid, known] : known_) known.seen = false;
  std::vector<std::pair<size_t, PidIo>> readings;
  for (size_t i = 0; i < processes.size(); ++i) {
    if (!marked[i]) continue;
    const Process& process = processes[i];
    if (!proc_.ReadInto(std::to_string(process.pid) + "/io", buffer_)) continue;
    const Result<PidIo> io = ParsePidIo(buffer_);
    if (!io) continue;
    readings.emplace_back(i, *io);
    const auto it = known_.find(process.pid);
    if (it != known_.end() && it->second.start == process.start) it->second.seen = true;
  }
  const std::unordered_map<int32_t, PidIo> inherited = Inherited();
  std::erase_if(known_, [](const auto& item) { return !item.second.seen; });
  std::vector<std::optional<IoBytes>> used(processes.size());
  for (const auto& [i, io] : readings) {
    const Process& process = processes[i];
    Known& known = known_[process.pid];  // all zero for one that is new
    const auto from_ended = inherited.find(process.pid);
    const PidIo counted = from_ended == inherited.end() ? PidIo{} : from_ended->second;
    used[i] = {Growth(io.read_bytes, known.io.read_bytes, counted.read_bytes),
               Growth(io.write_bytes, known.io.write_bytes, counted.write_bytes)};
    known = {process.start, io, process.parent, true};
  }
  return used;
}

std::unordered_map<int32_t, PidIo> IoAccounting::Inherited() const {
  std::unordered_map<int32_t, PidIo> inherited;
  for (const auto& [pid, known] : known_) {
    if (known.seen) continue;
    int32_t heir = known.parent;
    for (int depth = 0; depth < kMaxDepth; ++depth) {
      const auto it = known_.find(heir);
      if (it == known_.end() || it->second.seen) break;
      heir = it->second.parent;
    }
    inherited[heir].read_bytes += known.io.read_bytes;
    inherited[heir].write_bytes += known.io.write_bytes;
  }
  return inherited;
}

}  // namespace idlewatt
