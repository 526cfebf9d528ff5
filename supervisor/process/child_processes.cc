#include "supervisor/process/child_processes.h"

#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/process/process_scan.h"

namespace idlewatt {

void ChildProcesses::ReapOrphans() const {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    if (!kept_.contains(info.si_pid)) {
      ::waitpid(info.si_pid, nullptr, WNOHANG);
      info.si_pid = 0;
      continue;
    }
    // waitid shows the same zombie again and again, and this one must stay: look behind it.
    const ProcessScan scan(proc_);
    for (const ProcessInfo& process : scan.processes()) {
      if (process.parent == ::getpid() && !process.IsAlive() && !kept_.contains(process.pid)) {
        ::waitpid(process.pid, nullptr, WNOHANG);
      }
    }
    return;
  }
}

}  // namespace idlewatt
