#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "supervisor/service_spec.h"

namespace idlewatt {

// The environment of every process we start says whose it is, and its descendants inherit that.
inline constexpr std::string_view kServiceVariable = "IDLEWATT_SERVICE";
inline constexpr std::string_view kDataDirVariable = "IDLEWATT_DATA_DIR";

// A child that was started and not yet waited for: until somebody does, its pid, its process group
// and its session (the same number) are not given to others.
struct SpawnedProcess {
  pid_t pid = 0;
  UniqueFd pidfd;   // readable once the process has ended
  UniqueFd output;  // read end of its stdout and stderr; non-blocking
};

// Starts `spec`, which must be expanded already, as leader of a new session with no blocked or
// ignored signal, stdin from /dev/null and no descriptor above 2. Returns after exec: success means
// that the program runs. A program without '/' is looked for in the daemon's PATH.
// Errors: kInvalid when the command or the working directory is at fault, which a retry does not
//         mend; the subject is that command or directory. kTransient for a lack of resources.
// No PR_SET_PDEATHSIG: it fires when the spawning thread ends, not the process.
Result<SpawnedProcess> Spawn(const ServiceSpec& spec, const std::string& data_dir);

}  // namespace idlewatt
