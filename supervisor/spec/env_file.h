#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace idlewatt {

using Variables = std::map<std::string, std::string>;

// The variables of an env_file, by the rules of systemd's EnvironmentFile: NAME=value lines; '#'
// and
// ';' begin a comment line; '...' and "..." hold any text, over several lines too; a backslash
// keeps the next character as it is, and at the end of a line continues it. "export NAME=value" is
// allowed. The last of several values holds. Other than there a line that is no assignment is an
// error: kInvalid, with the line.
Result<Variables> ParseEnvFile(std::string_view text);

// Of a regular file of at most 1 MiB. kInvalid, with the path, for what cannot be read or parsed.
// Never waits for another process, as an open of a FIFO would.
Result<Variables> ReadEnvFile(const std::string& path);

}  // namespace idlewatt
