#include "packaging/demo/options.h"

#include <CLI/CLI.hpp>

#include "base/duration.h"

namespace idlewatt::demo {
namespace {

constexpr char kAbout[] =
    "A small server that behaves like a model server: it loads, gets ready, answers the OpenAI\n"
    "chat API with made-up words, holds memory and burns CPU as told. It runs no model.";

// As a CLI11 check: the text is empty when `text` is a size.
std::string CheckSize(const std::string& text) {
  const Result<int64_t> size = ParseSize(text);
  return size ? std::string() : size.error().ToString();
}

// The texts of options that CLI11 does not convert itself.
struct RawOptions {
  double load_seconds = 0;
  std::string memory = "0B";
  std::string flood = "0B";
  double crash_after_seconds = -1;
};

void AddOptions(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_option("--host", options.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", options.port, "TCP port; 0 takes a free one")->capture_default_str();
  app.add_option("--model", options.model, "Name shown by /v1/models")->capture_default_str();
  app.add_option("--load-seconds", raw.load_seconds,
                 "Answer 503 for so long before the server is ready")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--memory", raw.memory, "Memory to hold, every page written, such as 200MiB")
      ->check(CheckSize)
      ->capture_default_str();
  app.add_option("--burn", options.burn, "CPU to burn all the time: 0.4 is 40 % of one CPU")
      ->check(CLI::Range(0.0, 1024.0))
      ->capture_default_str();
  app.add_option("--tokens-per-second", options.tokens_per_second,
                 "Speed of answers; 0 is as fast as possible")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddMisbehaviour(CLI::App& app, Options& options, RawOptions& raw) {
  app.add_flag("--ignore-sigterm", options.ignore_sigterm, "End on SIGINT and SIGKILL only");
  app.add_option("--crash-after", raw.crash_after_seconds,
                 "Exit with status 3 so many seconds after the start")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--flood", raw.flood, "Log lines to write each second, in bytes, such as 1MiB")
      ->check(CheckSize)
      ->capture_default_str();
  app.add_option("--fork-children", options.fork_children,
                 "Idle child processes; they outlive a server that is killed or crashes")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
}

void Convert(const RawOptions& raw, Options& options) {
  using Seconds = std::chrono::duration<double>;
  options.load = Seconds(raw.load_seconds);
  options.memory_bytes = ParseSize(raw.memory).value_or(0);
  options.flood_bytes_per_second = ParseSize(raw.flood).value_or(0);
  if (raw.crash_after_seconds >= 0) options.crash_after = Seconds(raw.crash_after_seconds);
}

}  // namespace

ParsedOptions ParseOptions(int argc, char** argv) {
  CLI::App app(kAbout, "idlewatt-demo-server");
  ParsedOptions parsed;
  RawOptions raw;
  AddOptions(app, parsed.options, raw);
  AddMisbehaviour(app, parsed.options, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : 2;
    return parsed;
  }
  Convert(raw, parsed.options);
  return parsed;
}

}  // namespace idlewatt::demo
