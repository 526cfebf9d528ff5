#pragma once

#include <string>

namespace idlewatt {

// The history that a command means: `db_option`, or that of the default data folder when it is
// empty. It need not be there.
std::string DatabasePath(const std::string& db_option);

}  // namespace idlewatt
