#include "supervisor/process/command.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include "base/duration.h"
#include "base/text.h"

namespace idlewatt {
namespace {

constexpr size_t kKeptBytes = size_t{4} << 10;
constexpr size_t kTurnBytes = size_t{64} << 10;  // of output, so that a flood starves nobody
constexpr size_t kShownBytes = 200;

std::string DescribeEnd(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return "exited with code " + std::to_string(info.si_status);
  const char* name = ::sigabbrev_np(info.si_status);
  return "was killed by " +
         (name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(info.si_status));
}

}  // namespace

class Command::Impl {
 public:
  Impl(EventLoop& loop, ChildProcesses& children, const SpawnPlan& plan,
       std::chrono::milliseconds timeout, Done done)
      : loop_(loop),
        children_(children),
        plan_(plan),
        timeout_(timeout),
        done_(std::move(done)),
        timer_(loop) {
    if (Result<void> started = Start(); !started) {
      Abandon();
      timer_.Set(loop_.Now(), [this, error = std::move(started).error()] { Finish(error); });
    } else {
      timer_.SetAfter(timeout_, [this] { OnDeadline(); });
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { Abandon(); }

 private:
  Result<void> Start() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return Error{ErrorCode::kTransient, plan_.argv.front(), errno, "no pipe for its output"};
    }
    output_.reset(ends[0]);
    const UniqueFd child_end(ends[1]);
    // Of our end only: the child's stays blocking, as programs expect of stdout.
    ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    ASSIGN_OR_RETURN(process_, Spawn(plan_, child_end.get()));
    children_.Keep(process_.pid);
    ASSIGN_OR_RETURN(output_watch_,
                     loop_.WatchFd(output_.get(), EPOLLIN, [this](uint32_t) { OnOutput(); }));
    ASSIGN_OR_RETURN(end_watch_,
                     loop_.WatchFd(process_.pidfd.get(), EPOLLIN, [this](uint32_t) { OnEnd(); }));
    return {};
  }

  void OnOutput() {
    if (Drain(kTurnBytes)) return;
    output_watch_.Reset();
    output_.reset();
  }

  // At most so many bytes of what is there; false when nobody can write any more.
  bool Drain(size_t most) {
    std::array<char, 16384> buffer;
    for (size_t taken = 0; taken < most;) {
      const ssize_t count = ::read(output_.get(), buffer.data(), buffer.size());
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      if (count == 0) return false;
      taken += static_cast<size_t>(count);
      text_.append(buffer.data(), static_cast<size_t>(count));
      if (text_.size() > kKeptBytes) text_.erase(0, text_.size() - kKeptBytes);
    }
    return true;
  }

  void OnEnd() {
    siginfo_t info{};
    const int status =
        ::waitid(P_PID, static_cast<id_t>(process_.pid), &info, WEXITED | WNOHANG | WNOWAIT);
    if (status == 0 && info.si_pid == 0) return;
    const Result<void> executed = ReadExecReport(plan_, process_.report.get());
    Abandon();  // what it left behind too: a probe must not pile up processes
    if (!executed) return Finish(executed.error());
    if (info.si_code == CLD_EXITED && info.si_status == 0) return Finish({});
    Finish(Failure(DescribeEnd(info)));
  }

  void OnDeadline() {
    Abandon();
    Finish(Failure("did not end within " + FormatDuration(timeout_) + " and was killed"));
  }

  // Kills the group, and takes leave of it. A process that cannot die yet (a dead network disk)
  // must not hold up the loop: as an orphan it is reaped at SIGCHLD.
  void Abandon() {
    timer_.Cancel();
    end_watch_.Reset();
    output_watch_.Reset();
    if (output_) Drain(kTurnBytes);
    output_.reset();
    if (process_.pid == 0) return;
    // It alone too: before its setsid(2) it is in our group.
    ::kill(process_.pid, SIGKILL);
    ::kill(-process_.pid, SIGKILL);
    ::waitpid(process_.pid, nullptr, WNOHANG);
    children_.Release(process_.pid);
    process_ = {};
  }

  Error Failure(std::string how) const {
    const std::string last = LastLine();
    if (!last.empty()) how += ": " + last;
    return {ErrorCode::kTransient, "", 0, std::move(how)};
  }

  std::string LastLine() const {
    std::string_view text = Trim(text_);
    const size_t newline = text.rfind('\n');
    if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
    return ToValidUtf8(Trim(text).substr(0, kShownBytes));
  }

  void Finish(Result<void> result) {
    const Done done = std::move(done_);
    done(std::move(result));  // may destroy this
  }

  EventLoop& loop_;
  ChildProcesses& children_;
  const SpawnPlan plan_;
  const std::chrono::milliseconds timeout_;
  Done done_;
  EventLoop::Timer timer_;
  SpawnedProcess process_;
  UniqueFd output_;
  EventLoop::Watch output_watch_;
  EventLoop::Watch end_watch_;
  std::string text_;  // the last that it wrote
};

Command::Command(EventLoop& loop, ChildProcesses& children, const SpawnPlan& plan,
                 std::chrono::milliseconds timeout, Done done)
    : impl_(std::make_unique<Impl>(loop, children, plan, timeout, std::move(done))) {}
Command::~Command() = default;

}  // namespace idlewatt
