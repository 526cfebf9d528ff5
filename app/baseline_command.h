// `idlewatt baseline`: what the idle machine should draw. Exit codes as in app/commands.h.
#pragma once

#include <string>

namespace idlewatt {

struct BaselineArguments {
  std::string http;
  std::string name;
  std::string since = "1h";
  std::string until = "now";
  bool json = false;
};
int BaselineSetCommand(const BaselineArguments& arguments);
int BaselineShowCommand(const BaselineArguments& arguments);
int BaselineClearCommand(const BaselineArguments& arguments);

}  // namespace idlewatt
