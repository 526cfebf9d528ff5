// The part of NVIDIA's management library (NVML) that we use, in declarations of our own: NVML is
// opened while the program runs, so nothing of NVIDIA's is needed to build it or to run without.
// Names, numbers and layouts are those of the NVML API reference.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace idlewatt {

// nvmlReturn_t, as far as it makes a difference to us. Others may come.
enum class NvmlReturn : int {
  kSuccess = 0,
  kUninitialized = 1,
  kNotSupported = 3,
  kNoPermission = 4,
  kNotFound = 6,
  kInsufficientSize = 7,
  kDriverNotLoaded = 9,
  kFunctionNotFound = 13,
  kGpuIsLost = 15,
  kResetRequired = 16,
  kVersionMismatch = 18,  // NVML_ERROR_LIB_RM_VERSION_MISMATCH
  kNoData = 21,
};

// Is it an answer, "there is none", and no failure?
bool NvmlHasNoValue(NvmlReturn code);

struct NvmlDeviceTag;
using NvmlDevice = NvmlDeviceTag*;  // nvmlDevice_t; of a GPU or of a MIG instance

struct NvmlPciInfo {
  char bus_id_legacy[16];
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned pci_device_id;
  unsigned pci_subsystem_id;
  char bus_id[32];
};
struct NvmlUtilization {
  unsigned gpu;  // percent
  unsigned memory;
};
struct NvmlMemoryV1 {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;  // with what the driver keeps for itself
};
struct NvmlMemoryV2 {
  unsigned version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
struct NvmlProcessSample {
  unsigned pid;
  unsigned long long time_us;  // of the wall clock
  unsigned sm_percent;
  unsigned memory_percent;
  unsigned encoder_percent;
  unsigned decoder_percent;
};

// One entry of nvmlDeviceGet*RunningProcesses. Its size is that of the API's version (16, 24 or,
// in some drivers of the 535 series, 32 bytes); these two fields stand in all of them.
struct NvmlProcess {
  unsigned pid = 0;
  unsigned long long memory_bytes = 0;
};

// NVML puts numbers near the top of a type's range where there is no value.
constexpr bool IsNvmlBlank(unsigned value) { return value >= 0x7FFFFFF0U; }
constexpr bool IsNvmlBlank(unsigned long long value) { return value >= 0x7FFFFFFFFFFFFFF0ULL; }

// "00000000:01:00.0" of NVML as /sys has it, "0000:01:00.0"; empty when it is none.
std::string PciAddressOf(std::string_view bus_id);

// Entries of `entry_size` bytes each at the front of `buffer`, at most `count`. Where the library
// wrote entries of another known size, to be seen from where the `fill` byte begins again, that
// size counts.
std::vector<NvmlProcess> ParseNvmlProcesses(std::span<const std::byte> buffer, size_t count,
                                            size_t entry_size, std::byte fill);

// What a failure means and what would help.
struct NvmlFault {
  Error error;
  std::string remedy;
};

// The loaded library. A function that it lacks gives kFunctionNotFound.
// Errors:  those of NVML, as they come.
// Threads: one at a time.
// Owns:    the library; it is let go at the end. Init must have succeeded before anything is asked
//          of a device, and Shutdown may be called only then.
class NvmlApi {
 public:
  // kNoData when there is no such library.
  static Result<std::unique_ptr<NvmlApi>> Load(const std::string& library);
  NvmlApi(const NvmlApi&) = delete;
  NvmlApi& operator=(const NvmlApi&) = delete;
  ~NvmlApi();

  NvmlReturn Init() const;
  NvmlReturn Shutdown() const;
  NvmlFault Explain(NvmlReturn code, std::string subject) const;

  std::string DriverVersion() const;  // empty when it is not known
  NvmlReturn DeviceCount(unsigned& count) const;
  // Either wakes that GPU, if it sleeps.
  NvmlReturn DeviceByIndex(unsigned index, NvmlDevice& device) const;
  NvmlReturn DeviceByPciAddress(const std::string& address, NvmlDevice& device) const;

  NvmlReturn PciAddress(NvmlDevice device, std::string& address) const;
  std::string Uuid(NvmlDevice device) const;  // empty when it is not known
  std::string Name(NvmlDevice device) const;
  NvmlReturn PowerMilliwatts(NvmlDevice device, unsigned& milliwatts) const;
  NvmlReturn EnergyMillijoules(NvmlDevice device, unsigned long long& millijoules) const;
  NvmlReturn UtilizationPercent(NvmlDevice device, unsigned& percent) const;
  NvmlReturn TemperatureCelsius(NvmlDevice device, unsigned& celsius) const;
  NvmlReturn MemoryBytes(NvmlDevice device, unsigned long long& used,
                         unsigned long long& total) const;
  // Of compute and of graphics, a process in both lists twice. Fails when one of the lists does; a
  // list that is not supported is empty.
  NvmlReturn Processes(NvmlDevice device, std::vector<NvmlProcess>& processes) const;
  // Samples later than `since_us`; kNotFound when there is none.
  NvmlReturn ProcessSamples(NvmlDevice device, unsigned long long since_us,
                            std::vector<NvmlProcessSample>& samples) const;

  NvmlReturn IsMigEnabled(NvmlDevice device, bool& enabled) const;
  NvmlReturn MigDeviceLimit(NvmlDevice device, unsigned& limit) const;
  // kNotFound where that index has no instance.
  NvmlReturn MigDevice(NvmlDevice device, unsigned index, NvmlDevice& instance) const;

 private:
  using ProcessesFunction = NvmlReturn (*)(NvmlDevice, unsigned*, void*);

  explicit NvmlApi(void* library);
  template <typename F>
  void Find(F& function, const char* name) const;
  size_t FindProcesses(ProcessesFunction& function, const std::string& name) const;
  static NvmlReturn ProcessesOf(ProcessesFunction function, size_t entry_size, NvmlDevice device,
                                std::vector<NvmlProcess>& out);

  void* const library_;
  NvmlReturn (*init_)() = nullptr;
  NvmlReturn (*shutdown_)() = nullptr;
  const char* (*error_string_)(NvmlReturn) = nullptr;
  NvmlReturn (*driver_version_)(char*, unsigned) = nullptr;
  NvmlReturn (*count_)(unsigned*) = nullptr;
  NvmlReturn (*by_index_)(unsigned, NvmlDevice*) = nullptr;
  NvmlReturn (*by_pci_)(const char*, NvmlDevice*) = nullptr;
  NvmlReturn (*pci_info_)(NvmlDevice, NvmlPciInfo*) = nullptr;
  NvmlReturn (*uuid_)(NvmlDevice, char*, unsigned) = nullptr;
  NvmlReturn (*name_)(NvmlDevice, char*, unsigned) = nullptr;
  NvmlReturn (*power_)(NvmlDevice, unsigned*) = nullptr;
  NvmlReturn (*energy_)(NvmlDevice, unsigned long long*) = nullptr;
  NvmlReturn (*utilization_)(NvmlDevice, NvmlUtilization*) = nullptr;
  NvmlReturn (*temperature_)(NvmlDevice, int, unsigned*) = nullptr;
  NvmlReturn (*memory_v1_)(NvmlDevice, NvmlMemoryV1*) = nullptr;
  NvmlReturn (*memory_v2_)(NvmlDevice, NvmlMemoryV2*) = nullptr;
  NvmlReturn (*samples_)(NvmlDevice, NvmlProcessSample*, unsigned*, unsigned long long) = nullptr;
  NvmlReturn (*mig_mode_)(NvmlDevice, unsigned*, unsigned*) = nullptr;
  NvmlReturn (*mig_limit_)(NvmlDevice, unsigned*) = nullptr;
  NvmlReturn (*mig_device_)(NvmlDevice, unsigned, NvmlDevice*) = nullptr;
  ProcessesFunction compute_ = nullptr;
  ProcessesFunction graphics_ = nullptr;
  size_t compute_entry_ = 0;
  size_t graphics_entry_ = 0;
};

}  // namespace idlewatt
