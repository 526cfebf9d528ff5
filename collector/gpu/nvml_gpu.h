#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "collector/frame.h"
#include "collector/gpu/gpu_board.h"
#include "collector/gpu/nvml_api.h"

namespace idlewatt {

// What one NVIDIA GPU gives, with what must be remembered from reading to reading.
// Source:  NVML.
// Units:   those of NVML as read (milliwatts, millijoules, percent); SI once published. Energy
//          starts at 0 at the first reading; a counter that fell is counted as a reset, and that
//          interval gives no energy.
// Errors:  what the GPU does not support, and blank or absurd numbers, give no value; a failing
//          call gives a refused row of its own.
// Threads: one at a time.
class NvmlGpu {
 public:
  struct Outcome {
    NvmlReturn failure = NvmlReturn::kSuccess;  // why nothing could be read
    bool idle = false;                          // nobody uses it: it might sleep
  };
  // Reads all of `device` and calls it `name`; appends its values and source rows to `out`, its
  // processes to `clients`. A failure leaves its row to the caller.
  Outcome Read(const NvmlApi& api, NvmlDevice device, const std::string& name,
               const std::string& driver, TimePoint now, Readings& out,
               std::vector<GpuClient>& clients);
  // It is not read for a while (it sleeps): the time until it is read again counts for nobody.
  void Pause() { last_busy_.reset(); }
  // It was lost: its counters may begin anywhere when it comes back.
  void Lose();

 private:
  struct Pass;                               // one reading
  using Memory = std::map<int32_t, double>;  // bytes of a process; not a number: unknown

  void ReadPower(Pass& pass);
  void ReadEnergy(Pass& pass);
  void ReadUtilization(Pass& pass);
  void ReadTemperature(Pass& pass);
  void ReadMemoryAndProcesses(Pass& pass);
  void ReadMigInstances(Pass& pass);
  static bool ReadMemory(Pass& pass, NvmlDevice device, const std::string& name);
  static std::optional<Memory> ReadProcesses(Pass& pass, NvmlDevice device,
                                             const std::string& name);
  bool AccountEnergy(double joules, BootTime now);
  void CountBusy(Pass& pass);
  void AddSamples(const std::vector<NvmlProcessSample>& samples, double elapsed,
                  unsigned long long latest_us);

  std::optional<double> last_energy_;  // joules as read
  BootTime last_energy_time_;
  double joules_ = 0;  // since the first reading
  double resets_ = 0;
  std::map<int32_t, double> busy_;     // seconds, of the processes that are listed
  std::optional<BootTime> last_busy_;  // when they were counted
  unsigned long long newest_sample_us_ = 0;
};

}  // namespace idlewatt
