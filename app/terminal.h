#pragma once

#include <cstddef>
#include <optional>

namespace idlewatt {

struct TerminalSize {
  size_t columns = 80;
  size_t rows = 24;
};

// Of the terminal behind `fd`; one that does not tell its size has 80 columns and 24 rows. Nothing
// when it is no terminal.
std::optional<TerminalSize> TerminalOf(int fd);

}  // namespace idlewatt
