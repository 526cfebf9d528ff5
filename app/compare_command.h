#pragma once

#include <string>

#include "base/result.h"

namespace idlewatt {

struct CompareArguments {
  std::string before;  // SINCE..UNTIL
  std::string after;
  std::string service;  // empty: the machine alone
  std::string http;
  std::string db;  // a database file instead of a daemon
  std::string format = "table";
};
// `idlewatt compare`. Gives the exit code, as those of commands.h.
int CompareCommand(const CompareArguments& arguments);

// What it prints, from the body of /api/v1/compare, as "table" or "json". A table ends with a
// sentence that says what came of it. kParse when the body is not what we expect. A pure function.
Result<std::string> CompareText(const std::string& answer, const std::string& format);

}  // namespace idlewatt
