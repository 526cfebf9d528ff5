#include "supervisor/spec/env_file.h"

#include "base/text.h"
#include "tests/fuzz/fuzz_support.h"

namespace idlewatt {
namespace {

// As `value` is written so that it is read as it is.
std::string InShellQuotes(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (std::string_view("\"\\`$").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out + "\"";
}

void CheckError(std::string_view why, std::string_view text) {
  constexpr std::string_view kLine = "line ";
  FUZZ_CHECK(why.starts_with(kLine));
  why.remove_prefix(kLine.size());
  const auto line = ParseNumber<size_t>(why.substr(0, why.find(':')));
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  FUZZ_CHECK(line && *line >= 1 && *line <= lines);
}

}  // namespace
}  // namespace idlewatt

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace idlewatt;
  const std::string_view text = FuzzInput(data, size).Rest();
  const Result<Variables> variables = ParseEnvFile(text);
  if (!variables) {
    CheckError(variables.error().text, text);
    return 0;
  }
  std::string written;
  for (const auto& [name, value] : *variables) {
    FUZZ_CHECK(!name.empty() && name.find_first_of("= \n") == std::string::npos);
    FUZZ_CHECK(value.size() <= text.size() && value.find('\0') == std::string::npos);
    written += name + "=" + InShellQuotes(value) + "\n";
  }
  const Result<Variables> again = ParseEnvFile(written);
  FUZZ_CHECK(again.ok() && *again == *variables);
  return 0;
}
