// idlewatt_docs [--check]: writes the generated pages of docs/, or says which are stale (exit 1).
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "app/reference.h"

namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc > 1 && std::string_view(argv[1]) == "--check";
  const std::string path = IDLEWATT_SOURCE_DIR "/docs/metrics.md";
  const std::string page = idlewatt::MetricsPage();
  if (ReadFile(path) == page) return 0;
  if (check) {
    std::fprintf(stderr, "docs/metrics.md is stale; renew it with build/dev/idlewatt_docs\n");
    return 1;
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << page;
  std::printf("wrote docs/metrics.md\n");
  return 0;
}
