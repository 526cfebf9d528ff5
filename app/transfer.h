// The subcommands that take a history out of a database and put one in. Exit codes as in
// app/commands.h.
#pragma once

#include <string>
#include <vector>

namespace idlewatt {

struct ExportArguments {
  std::string format = "openmetrics";  // or csv, jsonl
  std::string db;                      // empty: that of the daemon
  std::string since;                   // empty: from the first sample
  std::string until;                   // empty: to the last sample
  std::vector<std::string> match;      // selectors; what any of them means. Empty: all
  std::string output;                  // empty: standard output
};
int ExportCommand(const ExportArguments& arguments);

struct ImportArguments {
  std::string format = "openmetrics";
  std::string file;  // "-": standard input
  std::string db;    // empty: that of the daemon. Made when it is not there
};
// 1 also when lines were refused; all others are imported then.
int ImportCommand(const ImportArguments& arguments);

}  // namespace idlewatt
