#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "supervisor/event_loop.h"
#include "supervisor/process/child_processes.h"
#include "supervisor/process/spawner.h"

namespace idlewatt {

// A short command that runs beside a service: a probe of readiness or a stop_command.
// Ends with 0: success. Else an error whose text says how it ended and the last line that it wrote.
// What it leaves behind in its process group is killed when it ends. After `timeout` the whole
// group is killed, and the error says so.
// Threads: supervisor loop only.
// Owns:    the process and a pipe for its output, which is drained and of which 4 KiB are kept;
//          destroyed earlier, the group is killed without a call of `done`. A killed process that
//          is not gone at once is left to ChildProcesses::ReapOrphans: the loop never waits for it.
class Command {
 public:
  using Done = std::function<void(Result<void>)>;
  // `done` is called once, from the loop and never within this call; it may destroy the command.
  Command(EventLoop& loop, ChildProcesses& children, const SpawnPlan& plan,
          std::chrono::milliseconds timeout, Done done);
  ~Command();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace idlewatt
