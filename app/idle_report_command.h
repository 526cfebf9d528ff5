// `idlewatt report idle`. Exit code as in app/commands.h.
#pragma once

#include <string>

namespace idlewatt {

struct IdleReportArguments {
  std::string since = "24h";
  std::string until = "now";
  std::string format = "text";  // or json, html
  std::string price_per_kwh;    // empty: no costs
  std::string currency;         // may be empty
  std::string output;           // empty: standard output
  std::string http;
  std::string db;  // a database file instead of a daemon
};
int IdleReportCommand(const IdleReportArguments& arguments);

}  // namespace idlewatt
