// The command line of idlewatt-demo-server.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace idlewatt::demo {

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  std::string model = "demo-model";
  std::chrono::duration<double> load{0};
  int64_t memory_bytes = 0;
  double burn = 0;               // in CPUs: 0.4 is 40 % of one
  double tokens_per_second = 0;  // 0: as fast as possible
  bool ignore_sigterm = false;
  std::optional<std::chrono::duration<double>> crash_after;  // since the start of the process
  int64_t flood_bytes_per_second = 0;
  int fork_children = 0;
};

// What `ParseOptions` decided: run with `options`, or leave with `exit_code` when it is set.
struct ParsedOptions {
  Options options;
  std::optional<int> exit_code;  // 0 after --help, 2 after wrong usage; the text is printed
};

ParsedOptions ParseOptions(int argc, char** argv);

}  // namespace idlewatt::demo
