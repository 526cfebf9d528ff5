#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_root.h"
#include "collector/gpu/gpu_board.h"
#include "collector/gpu/nvml_api.h"
#include "collector/gpu/nvml_gpu.h"
#include "collector/sampler.h"

namespace idlewatt {

// Power, energy, use, memory and temperature of the NVIDIA GPUs; what each process uses of them
// goes to the board.
// A GPU that sleeps is not woken: /sys tells of its sleep, and NVML is then not asked about it, nor
// started for it. One that could sleep but for our questions is left alone for a while.
// Source:  NVML, loaded at the first reading; the GPUs and their numbers from /sys.
// Units:   as NvmlGpu.
// Errors:  kNoData without the library, its driver or a GPU; kPermission when the driver refuses
//          us. A GPU that fails is a refused row and hides no other.
// Threads: its lane only: a call into the driver can hang.
// Owns:    the library. `sys` must outlive this object.
class NvmlSampler final : public Sampler {
 public:
  NvmlSampler(const FileRoot& sys, std::shared_ptr<GpuBoard> board,
              std::string library = "libnvidia-ml.so.1");
  ~NvmlSampler() override;
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  enum class Rest { kNone, kAsleep, kLeftAlone };
  struct Gpu {
    std::string name;                            // "gpu0"
    std::string folder;                          // below /sys; empty when /sys does not list it
    bool present = true;                         // at the last look at /sys
    NvmlDevice device = nullptr;                 // of this session; null when it is not known
    NvmlReturn refusal = NvmlReturn::kNotFound;  // why not
    NvmlGpu values;
    Rest rest = Rest::kNone;  // at this reading
    // For one that is idle: when it is due a rest from us, how long after the last, and until when.
    std::optional<BootTime> rest_due;
    std::chrono::nanoseconds rest_wait{0};
    std::optional<BootTime> rests_until;
  };
  void FindListed(BootTime now);
  Rest RestOf(Gpu& gpu, BootTime now) const;
  void NoteIdle(Gpu& gpu, bool idle, BootTime now) const;
  std::optional<NvmlFault> Open();
  void Close();
  void Connect(bool may_wake_all);
  void ConnectByIndex();
  Result<void> ReadGpus(const std::vector<Gpu*>& gpus, TimePoint now, Readings& out,
                        std::vector<GpuClient>& clients);

  const FileRoot& sys_;
  const std::shared_ptr<GpuBoard> board_;
  const std::string library_;

  std::map<std::string, Gpu> gpus_;  // by PCI address, or "#index" when /sys does not list it
  size_t gpus_in_sys_ = 0;           // of all drivers: the next free number
  BootTime next_look_;
  std::optional<BootTime> all_rest_since_;

  std::unique_ptr<NvmlApi> api_;
  bool open_ = false;      // NVML is initialised
  bool numbered_ = false;  // and all of its devices were looked at
  size_t strangers_ = 0;   // devices that NVML counts, can't open, and /sys does not list
  NvmlReturn strangers_refusal_ = NvmlReturn::kSuccess;
  std::string driver_;  // its version
};

}  // namespace idlewatt
