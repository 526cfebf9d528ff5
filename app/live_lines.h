#pragma once

#include <string>
#include <vector>

namespace idlewatt {

// A few lines at the end of a terminal, each of which can be written anew. Nothing else may be
// printed in between. Gives what is to be printed; no line is wider than the terminal.
// Threads: one.
class LiveLines {
 public:
  // `columns` of the terminal; 2 or more.
  LiveLines(std::vector<std::string> lines, size_t columns);

  // Draws all of them; the cursor stands below the last.
  std::string Begin() const;
  // Draws the line `index` anew.
  std::string Set(size_t index, std::string text);

 private:
  std::string Fitting(const std::string& text) const;

  std::vector<std::string> lines_;
  const size_t columns_;
};

}  // namespace idlewatt
