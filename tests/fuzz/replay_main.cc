// Runs a fuzz target without libFuzzer: over each file of its corpus, and over a fixed number of
// mutations of them, the same ones in every run. `NAME_fuzz FOLDER_OR_FILE...`; a file that is
// named is run as it is.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutations = 3000;
constexpr size_t kMaxSize = 64 * 1024;

// What is run now, for the report of a crash.
std::string* running = nullptr;
const std::string* running_input = nullptr;

// Called in a signal handler or by a sanitizer: system calls only.
void TellWhatRan() {
  if (running == nullptr || running_input == nullptr) return;
  const auto put = [](std::string_view text) {
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
  };
  put("\nthe target failed on: ");
  put(*running);
  put("\n---- input ----\n");
  put(*running_input);
  put("\n---------------\n");
}

void OnSignal(int signal) {
  TellWhatRan();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void Run(const std::string& what, const std::string& input) {
  // A copy of the exact size, so that a sanitizer sees one byte too far.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  *running = what;
  running_input = &input;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  running_input = nullptr;
}

// Changes inputs as kernels, disks and people would at their worst.
class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  std::string Mutate(std::string text, const std::string& other) {
    for (size_t steps = 1 + Below(4); steps > 0; --steps) Step(text, other);
    if (text.size() > kMaxSize) text.resize(kMaxSize);
    return text;
  }

 private:
  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Step(std::string& text, const std::string& other) {
    const size_t at = Below(text.size() + 1);
    switch (Below(6)) {
      case 0:  // a bit flips
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << Below(8)));
        break;
      case 1:  // cut short
        text.resize(at);
        break;
      case 2:  // a piece is missing
        text.erase(at, Below(16));
        break;
      case 3:  // a piece of another input
        text.insert(at, other, Below(other.size() + 1), Below(64));
        break;
      case 4:  // something ugly in between
        text.insert(at, Ugly());
        break;
      default:  // a number becomes something ugly
        ReplaceNumber(text, at);
    }
  }
  std::string_view Ugly() {
    using std::string_view_literals::operator""sv;
    static constexpr std::array kUgly{"-9223372036854775808"sv,
                                      "9223372036854775807"sv,
                                      "18446744073709551615"sv,
                                      "18446744073709551616"sv,
                                      "9223372036854775794"sv,
                                      "-1"sv,
                                      "0"sv,
                                      "1e308"sv,
                                      "nan"sv,
                                      " "sv,
                                      "\t"sv,
                                      "\n"sv,
                                      "\n\n"sv,
                                      ")"sv,
                                      ") R 1"sv,
                                      "\0"sv,
                                      "\xFF\xFE"sv,
                                      "\xED\xA0\x80"sv,
                                      ":"sv,
                                      "/"sv,
                                      "\""sv,
                                      "\\"sv,
                                      "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv,
                                      "\0\0\0\0\0\0\0\0"sv};
    return kUgly[Below(kUgly.size())];
  }
  void ReplaceNumber(std::string& text, size_t at) {
    constexpr std::string_view kDigits = "0123456789";
    const size_t first = text.find_first_of(kDigits, at);
    if (first == std::string::npos) return;
    const size_t end = std::min(text.find_first_not_of(kDigits, first), text.size());
    text.replace(first, end - first, Ugly());
  }

  std::mt19937 random_;
};

std::string Load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void RunFolder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const auto& file : files) {
    inputs.push_back(Load(file));
    Run(file.string(), inputs.back());
  }
  if (inputs.empty()) {
    std::fprintf(stderr, "%s holds no input\n", folder.c_str());
    std::exit(1);
  }
  Run("nothing", "");
  for (uint32_t seed = 0; seed < kMutations; ++seed) {
    const size_t which = seed % inputs.size();
    const std::string& other = inputs[(seed / inputs.size()) % inputs.size()];
    Run(files[which].string() + ", mutation " + std::to_string(seed),
        Mutator(seed).Mutate(inputs[which], other));
  }
  std::printf("%zu inputs and %d mutations of them\n", inputs.size(), kMutations);
}

}  // namespace

// Of the sanitizers, where the program is built with one.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER_OR_FILE...\n", argv[0]);
    return 2;
  }
  // Thousands of trees of files would take minutes on a disk.
  if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 0);
  std::string what;
  running = &what;
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(&TellWhatRan);
  std::signal(SIGABRT, OnSignal);
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      RunFolder(argv[i]);
    } else {
      Run(argv[i], Load(argv[i]));
    }
  }
  return 0;
}
