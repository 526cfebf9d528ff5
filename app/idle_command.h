// `idlewatt query idle-power`: the idle report as a table, JSON or CSV.
#pragma once

#include <string>

#include "base/result.h"

namespace idlewatt {

struct IdlePowerView {
  std::string by = "service";    // "service", "hour" or "day"
  std::string service;           // only this one; empty: all
  std::string format = "table";  // "table", "json" or "csv"
};

// From a body of /api/v1/idle whose buckets are hours or days where `by` says so. Pure. kParse when
// it is not what we expect.
Result<std::string> IdlePowerText(const std::string& answer, const IdlePowerView& view);

struct QueryIdlePowerArguments {
  IdlePowerView view;
  std::string since = "24h";
  std::string until = "now";
  std::string http;
  std::string db;  // a database file instead of a daemon
};
// The exit code. No data is no failure.
int QueryIdlePowerCommand(const QueryIdlePowerArguments& arguments);

}  // namespace idlewatt
