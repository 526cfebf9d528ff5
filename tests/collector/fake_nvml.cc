// A library that stands for NVML in tests; its state is that of fake_nvml.h. The layouts are
// written here once more on purpose, so that a slip in those of nvml_api.h shows.
// FAKE_NVML_VERSION: which version of the calls that list processes it has.
#include "tests/collector/fake_nvml.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace {

using idlewatt::FakeNvml;
using idlewatt::FakeNvmlGpu;
using idlewatt::FakeNvmlProcess;
using idlewatt::FakeNvmlSample;

constexpr int kSuccess = 0;
constexpr int kUninitialized = 1;
constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;

struct Pci {
  char legacy[16];
  uint32_t domain, bus, device, id, subsystem;
  char bus_id[32];
};
static_assert(sizeof(Pci) == 68);
struct Rates {
  uint32_t gpu, memory;
};
struct Memory {
  uint64_t total, free, used;
};
struct Memory2 {
  uint32_t version;
  uint64_t total, reserved, free, used;
};
static_assert(sizeof(Memory2) == 40);
struct Sample {
  uint32_t pid;
  uint64_t time_us;
  uint32_t sm, memory, encoder, decoder;
};
static_assert(sizeof(Sample) == 32);

FakeNvml& State() {
  static FakeNvml state = [] {
    FakeNvml first;
    const char* result = std::getenv("FAKE_NVML_INIT_RESULT");
    if (result != nullptr) first.init_result = idlewatt::ParseNumber<int>(result).value_or(0);
    return first;
  }();
  return state;
}

int Begin(FakeNvmlGpu* gpu, const char* call, bool of_instances = false) {
  if (State().started == 0) return kUninitialized;
  ++gpu->calls;
  if (gpu->failure != kSuccess) return gpu->failure;
  const auto failure = gpu->failures.find(call);
  if (failure != gpu->failures.end()) return failure->second;
  return gpu->is_instance && !of_instances ? kNotSupported : kSuccess;
}

int Text(const std::string& text, char* out, unsigned size) {
  if (text.size() + 1 > size) return kInsufficientSize;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return kSuccess;
}

int Processes(FakeNvmlGpu* gpu, const char* call, bool FakeNvmlProcess::*listed, unsigned* count,
              void* out) {
  if (const int code = Begin(gpu, call, true); code != kSuccess) return code;
  const size_t usual = FAKE_NVML_VERSION == 1 ? 16 : 24;
  const size_t size = State().entry_size > 0 ? State().entry_size : usual;
  const auto needed = static_cast<unsigned>(
      std::count_if(gpu->processes.begin(), gpu->processes.end(),
                    [&](const FakeNvmlProcess& process) { return process.*listed; }));
  const unsigned room = *count;
  *count = needed;
  if (room < needed) return kInsufficientSize;
  auto* at = static_cast<char*>(out);
  for (const FakeNvmlProcess& process : gpu->processes) {
    if (!(process.*listed)) continue;
    const uint32_t no_instance = 0xFFFFFFFF;
    std::memset(at, 0, size);
    std::memcpy(at, &process.pid, 4);
    std::memcpy(at + 8, &process.memory, 8);
    if (size >= 24) std::memcpy(at + 16, &no_instance, 4);
    if (size >= 24) std::memcpy(at + 20, &no_instance, 4);
    at += size;
  }
  return kSuccess;
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): the names are those of NVML.
extern "C" {

FakeNvml* FakeNvmlState() { return &State(); }

int nvmlInit_v2() {
  ++State().inits;
  if (State().init_result == kSuccess) ++State().started;
  return State().init_result;
}

int nvmlShutdown() {
  if (State().started == 0) return kUninitialized;
  --State().started;
  return kSuccess;
}

const char* nvmlErrorString(int code) { return code == 999 ? "Unknown Error" : "Some Error"; }

int nvmlSystemGetDriverVersion(char* out, unsigned size) { return Text("550.54.14", out, size); }

int nvmlDeviceGetCount_v2(unsigned* count) {
  if (State().started == 0) return kUninitialized;
  *count = static_cast<unsigned>(State().gpus.size());
  return kSuccess;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, FakeNvmlGpu** device) {
  if (index >= State().gpus.size()) return 2;
  *device = &State().gpus[index];
  return Begin(*device, "handle");
}

int nvmlDeviceGetHandleByPciBusId_v2(const char* address, FakeNvmlGpu** device) {
  if (State().by_address_result != kSuccess) return State().by_address_result;
  for (FakeNvmlGpu& gpu : State().gpus) {
    std::string lower = gpu.bus_id.substr(4);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower != address) continue;
    *device = &gpu;
    return Begin(&gpu, "handle");
  }
  return kNotFound;
}

int nvmlDeviceGetPciInfo_v3(FakeNvmlGpu* gpu, Pci* out) {
  if (const int code = Begin(gpu, "pci"); code != kSuccess) return code;
  return Text(gpu->bus_id, out->bus_id, sizeof out->bus_id);
}

int nvmlDeviceGetUUID(FakeNvmlGpu* gpu, char* out, unsigned size) {
  if (const int code = Begin(gpu, "uuid", true); code != kSuccess) return code;
  return Text(gpu->uuid, out, size);
}

int nvmlDeviceGetName(FakeNvmlGpu* gpu, char* out, unsigned size) {
  if (const int code = Begin(gpu, "name", true); code != kSuccess) return code;
  return Text(gpu->name, out, size);
}

int nvmlDeviceGetPowerUsage(FakeNvmlGpu* gpu, unsigned* out) {
  const int code = Begin(gpu, "power");
  if (code == kSuccess) *out = gpu->milliwatts;
  return code;
}

int nvmlDeviceGetUtilizationRates(FakeNvmlGpu* gpu, Rates* out) {
  const int code = Begin(gpu, "utilization");
  if (code == kSuccess) *out = {gpu->percent, 99};
  return code;
}

int nvmlDeviceGetTemperature(FakeNvmlGpu* gpu, int sensor, unsigned* out) {
  const int code = sensor == 0 ? Begin(gpu, "temperature") : 2;
  if (code == kSuccess) *out = gpu->celsius;
  return code;
}

// What the driver keeps for itself is counted here.
int nvmlDeviceGetMemoryInfo(FakeNvmlGpu* gpu, Memory* out) {
  const int code = Begin(gpu, "memory", true);
  if (code == kSuccess) *out = {gpu->total, 0, gpu->used + (1U << 20U)};
  return code;
}

#if FAKE_NVML_VERSION > 1
int nvmlDeviceGetTotalEnergyConsumption(FakeNvmlGpu* gpu, unsigned long long* out) {
  const int code = Begin(gpu, "energy");
  if (code == kSuccess) *out = gpu->millijoules;
  return code;
}

int nvmlDeviceGetMemoryInfo_v2(FakeNvmlGpu* gpu, Memory2* out) {
  if (out->version != 0x02000028) return 25;  // NVML_ERROR_ARGUMENT_VERSION_MISMATCH
  const int code = Begin(gpu, "memory_v2", true);
  if (code == kSuccess) *out = {out->version, gpu->total, 1U << 20U, 0, gpu->used};
  return code;
}

int nvmlDeviceGetProcessUtilization(FakeNvmlGpu* gpu, Sample* out, unsigned* count,
                                    unsigned long long since) {
  if (const int code = Begin(gpu, "samples"); code != kSuccess) return code;
  State().asked_since = since;
  const unsigned room = *count;
  *count = 0;
  for (const FakeNvmlSample& sample : gpu->samples) {
    if (sample.time_us <= since) continue;
    if (*count < room) out[*count] = {sample.pid, sample.time_us, sample.percent, 0, 0, 0};
    ++*count;
  }
  if (*count == 0) return kNotFound;
  return *count > room ? kInsufficientSize : kSuccess;
}

int nvmlDeviceGetMigMode(FakeNvmlGpu* gpu, unsigned* current, unsigned* pending) {
  const int code = Begin(gpu, "mig");
  if (code == kSuccess) *current = *pending = gpu->mig ? 1 : 0;
  return code;
}

int nvmlDeviceGetMaxMigDeviceCount(FakeNvmlGpu* gpu, unsigned* count) {
  const int code = Begin(gpu, "mig");
  if (code == kSuccess) *count = 7;
  return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(FakeNvmlGpu* gpu, unsigned index, FakeNvmlGpu** device) {
  if (const int code = Begin(gpu, "mig"); code != kSuccess) return code;
  for (FakeNvmlGpu& instance : gpu->instances) {
    if (instance.index != index) continue;
    *device = &instance;
    return Begin(&instance, "handle", true);
  }
  return kNotFound;
}
#endif

#if FAKE_NVML_VERSION == 1
#define VERSIONED(name) name
#elif FAKE_NVML_VERSION == 2
#define VERSIONED(name) name##_v2
#else
#define VERSIONED(name) name##_v3
#endif

int VERSIONED(nvmlDeviceGetComputeRunningProcesses)(FakeNvmlGpu* gpu, unsigned* count, void* out) {
  return Processes(gpu, "compute", &FakeNvmlProcess::computes, count, out);
}

int VERSIONED(nvmlDeviceGetGraphicsRunningProcesses)(FakeNvmlGpu* gpu, unsigned* count, void* out) {
  return Processes(gpu, "graphics", &FakeNvmlProcess::draws, count, out);
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
