// The secret that whoever controls the daemon must show: a file in its data folder.
#pragma once

#include <string>

#include "base/result.h"
#include "storage/data_dir.h"

namespace idlewatt {

inline constexpr const char* kControlTokenFile = "control.token";

// The token of `folder`: 64 hexadecimal digits of 32 random bytes, made when there is none, for the
// daemon's user alone. One that is there may be of any kind that ReadControlToken takes, and be
// readable by a group; kInvalid, and the daemon must not start, when everybody may read it.
Result<std::string> LoadControlToken(const DataDir& folder);

// The token in the file `path`, without blanks around it. kGone when there is none, kPermission
// when it may not be read, kInvalid when it has less than 32 characters or others than letters,
// digits and
// "-._~+/=".
Result<std::string> ReadControlToken(const std::string& path);

// What a command shows to the daemon at `address`: IDLEWATT_TOKEN, else what is in the file beside
// the history that the daemon says it writes. The error of a file that may not be read says who
// may.
Result<std::string> ControlTokenFor(const std::string& address);

}  // namespace idlewatt
