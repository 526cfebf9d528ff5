// For tools/bench: holds as many real processes as it is told to, until its input ends. For each
// number that it reads it runs that many more, one after the other, which end at once.
#include <cstdio>
#include <iostream>

#include "base/text.h"
#include "tests/support/process_herd.h"

int main(int argc, char** argv) {
  const auto count = idlewatt::ParseNumber<uint32_t>(argc > 1 ? argv[1] : "");
  if (argc != 2 || !count) {
    std::fprintf(stderr, "usage: process_herd COUNT\n");
    return 2;
  }
  const idlewatt::ProcessHerd herd(*count);
  std::cout << herd.size() << std::endl;
  for (int more = 0; std::cin >> more;) {
    for (int i = 0; i < more; ++i) idlewatt::RunShortLivedProcess();
    std::cout << more << std::endl;
  }
  return 0;
}
