#include "app/idle_answer.h"

#include "app/idle_report_html.h"
#include "app/idle_report_text.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/support/html_check.h"

// Whatever a daemon answers, a report of it steers no terminal, and is a page in which its texts
// are no more than text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using idlewatt::HtmlCheck;
  const std::string answer(reinterpret_cast<const char*>(data), size);
  const auto report = idlewatt::IdleAnswer::Parse(answer);
  if (!report) return 0;
  const idlewatt::EnergyPrice price{0.3, "<EUR>"};
  const std::string text = idlewatt::IdleReportText(*report, {.price = price, .columns = 60});
  for (const char c : text)
    FUZZ_CHECK(c == '\n' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7f));
  FUZZ_CHECK(text.find("nan") == std::string::npos || answer.find("nan") != std::string::npos);
  for (const idlewatt::MaybePrice& maybe : {idlewatt::MaybePrice(price), idlewatt::MaybePrice()}) {
    const std::string page = idlewatt::IdleReportHtml(*report, maybe);
    FUZZ_CHECK(HtmlCheck::Problem(page).empty());
    FUZZ_CHECK(page.find("=\"nan") == std::string::npos &&
               page.find("=\"-nan") == std::string::npos &&
               page.find("=\"inf") == std::string::npos);
  }
  return 0;
}
