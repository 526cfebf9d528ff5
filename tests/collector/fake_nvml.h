// What the library fake_nvml, which stands for libnvidia-ml.so.1, says. A test loads it too and
// changes its state. FAKE_NVML_INIT_RESULT in the environment is the first init_result.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace idlewatt {

struct FakeNvmlProcess {
  unsigned pid = 0;
  unsigned long long memory = 0;
  bool computes = true;
  bool draws = false;
};

struct FakeNvmlSample {
  unsigned pid = 0;
  unsigned long long time_us = 0;
  unsigned percent = 0;
};

// A GPU, or a MIG instance of one.
struct FakeNvmlGpu {
  std::string bus_id = "00000000:01:00.0";
  std::string uuid = "GPU-01234567-89ab-cdef-0123-456789abcdef";
  std::string name = "NVIDIA Fake 4090";
  unsigned milliwatts = 120'500;
  unsigned long long millijoules = 5'000'000;
  unsigned percent = 25;
  unsigned celsius = 61;
  unsigned long long used = 2ULL << 30;
  unsigned long long total = 8ULL << 30;
  std::vector<FakeNvmlProcess> processes;
  std::vector<FakeNvmlSample> samples;
  bool mig = false;
  std::vector<FakeNvmlGpu> instances;
  unsigned index = 0;        // of an instance
  bool is_instance = false;  // they have no power, temperature and utilization
  int failure = 0;           // nvmlReturn_t of every call
  // nvmlReturn_t of single calls: handle, pci, name, uuid, power, energy, utilization,
  // temperature, memory, memory_v2, compute, graphics, samples, mig.
  std::map<std::string, int> failures;
  int calls = 0;  // each of them wakes it
};

struct FakeNvml {
  int init_result = 0;
  int by_address_result = 0;
  int started = 0;  // nvmlInit less nvmlShutdown
  int inits = 0;
  std::vector<FakeNvmlGpu> gpus{FakeNvmlGpu()};
  size_t entry_size = 0;  // of a process; 0: as the version says
  unsigned long long asked_since = 0;
};

}  // namespace idlewatt

extern "C" idlewatt::FakeNvml* FakeNvmlState();
