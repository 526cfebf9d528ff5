// The subcommands of `idlewatt`. Each gives the exit code: 0 done, 1 it could not be done (one
// sentence on stderr), 2 wrong usage.
#pragma once

#include <optional>
#include <string>

namespace idlewatt {

struct RunArguments {
  std::string config;    // empty: defaults
  std::string http;      // empty: as configured
  std::string data_dir;  // empty: as configured
  std::string procfs = "/proc";
  std::string sysfs = "/sys";
};
int RunCommand(const RunArguments& arguments);

int CheckConfigCommand(const std::string& path);

struct SensorsArguments {
  std::string config;
  std::string procfs = "/proc";
  std::string sysfs = "/sys";
  bool json = false;
};
int SensorsCommand(const SensorsArguments& arguments);

int StatusCommand(const std::string& http, bool json);

struct QueryRangeArguments {
  std::string selector;
  std::string since = "1h";
  std::string until = "now";
  std::string step;      // empty: as measured
  std::string function;  // empty: average of a gauge, last value of a counter
  std::string http;
  std::string db;  // a database file instead of a daemon
  std::string format = "table";
};
int QueryRangeCommand(const QueryRangeArguments& arguments);

struct QuerySeriesArguments {
  std::string selector;  // empty: all
  std::string http;
  std::string db;  // a database file instead of a daemon
  std::string format = "table";
};
int QuerySeriesCommand(const QuerySeriesArguments& arguments);

struct QuerySqlArguments {
  std::string sql;
  std::string db;  // empty: see app/database_path.h
  std::string format = "table";
};
int QuerySqlCommand(const QuerySqlArguments& arguments);

}  // namespace idlewatt
