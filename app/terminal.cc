#include "app/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace idlewatt {

std::optional<TerminalSize> TerminalOf(int fd) {
  if (::isatty(fd) != 1) return std::nullopt;
  TerminalSize size;
  winsize told{};
  if (::ioctl(fd, TIOCGWINSZ, &told) == 0) {
    if (told.ws_col > 1) size.columns = told.ws_col;
    if (told.ws_row > 1) size.rows = told.ws_row;
  }
  return size;
}

}  // namespace idlewatt
