#include "app/http_answer.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

struct Taken {
  std::string body;
  int status = 0;
  bool failed = false;
  bool may_end_here = false;
  bool operator==(const Taken&) const = default;
};

Taken TakeInPieces(std::string_view text, size_t piece) {
  idlewatt::HttpAnswer answer;
  Taken taken;
  while (!text.empty() && !taken.failed && !answer.is_whole()) {
    taken.failed = !answer.Take(text.substr(0, piece), taken.body);
    text.remove_prefix(std::min(piece, text.size()));
  }
  FUZZ_CHECK(!answer.has_head() || (answer.status() >= 100 && answer.status() <= 599));
  taken.status = answer.has_head() ? answer.status() : 0;
  taken.may_end_here = answer.may_end_here();
  return taken;
}

}  // namespace

// However an answer is cut, it is the same answer.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  idlewatt::FuzzInput input(data, size);
  const size_t piece = input.Byte() + size_t{1};
  const std::string_view text = input.Rest();
  const Taken whole = TakeInPieces(text, text.size() + 1);
  const Taken cut = TakeInPieces(text, piece);
  FUZZ_CHECK(whole.body.size() <= text.size());
  FUZZ_CHECK(whole.failed == cut.failed);
  if (!whole.failed) FUZZ_CHECK(whole == cut);
  return 0;
}
