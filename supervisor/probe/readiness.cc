#include "supervisor/probe/readiness.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/text.h"
#include "supervisor/probe/log_matcher.h"
#include "supervisor/probe/notify_socket.h"
#include "supervisor/probe/question.h"

namespace idlewatt {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kProbeTimeout{2};
constexpr std::chrono::seconds kCommandTimeout{10};

// How long to wait after an answer: what is not ready after a while will not be within the next
// milliseconds.
milliseconds Pause(bool is_command, std::chrono::nanoseconds age) {
  if (age < std::chrono::seconds(10)) return milliseconds(is_command ? 100 : 50);
  if (age < std::chrono::minutes(1) && !is_command) return milliseconds(250);
  return milliseconds(1000);
}

std::string Text(std::chrono::nanoseconds duration) {
  return FormatDuration(std::chrono::floor<milliseconds>(duration));
}

// FNV-1a: the same in each build, because a later daemon must find the socket's name again.
uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

}  // namespace

class Readiness::Impl {
 public:
  Impl(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
       BootTime started, Callbacks callbacks)
      : loop_(loop),
        run_(std::move(run)),
        spec_(*run_.spec.ready),
        started_(started),
        created_(loop.Now()),
        last_output_(created_),
        callbacks_(std::move(callbacks)),
        delay_(loop),
        deadline_(loop) {
    for (auto& question : MakeQuestions({loop, children, proc, run_}, spec_.http_get,
                                        spec_.tcp_socket, spec_.exec)) {
      asked_.push_back(std::make_unique<Asked>(loop, std::move(question)));
      AskAt(created_, *asked_.back());
    }
    MatchLog();
    ListenToNotify();
    if (spec_.delay) {
      delay_.Set(started_ + *spec_.delay, [this] { Ready("it ran for " + Text(*spec_.delay)); });
    }
    ArmDeadline();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void OnOutput(std::string_view data) {
    if (ended_) return;
    last_output_ = loop_.Now();
    if (!matcher_) return;
    const auto line = matcher_->Feed(data);
    if (line) Ready("log line \"" + *line + "\"");
  }

 private:
  // A question that is asked until it is answered well.
  struct Asked {
    Asked(EventLoop& loop, std::unique_ptr<Question> asked_question)
        : question(std::move(asked_question)), next(loop) {}
    std::unique_ptr<Question> question;
    EventLoop::Timer next;
    std::string last_answer;
  };

  void AskAt(BootTime when, Asked& asked) {
    asked.next.Set(when, [this, &asked] {
      const milliseconds timeout =
          asked.question->is_command() ? milliseconds(kCommandTimeout) : kProbeTimeout;
      asked.question->Ask(timeout,
                          [this, &asked](const Answer& answer) { OnAnswer(asked, answer); });
    });
  }

  void OnAnswer(Asked& asked, const Answer& answer) {
    if (answer.good) return Ready(answer.text);
    asked.last_answer = answer.text;
    const BootTime now = loop_.Now();
    AskAt(now + Pause(asked.question->is_command(), now - started_), asked);
  }

  void MatchLog() {
    if (spec_.log_patterns.empty()) return;
    Result<LogMatcher> matcher = LogMatcher::Create(spec_.log_patterns);
    if (matcher) {
      matcher_ = std::move(*matcher);
    } else {
      log_failure_ = matcher.error().ToString();
    }
  }

  void ListenToNotify() {
    if (!spec_.notify) return;
    auto notify = NotifySocket::Open(
        loop_, run_.marks.notify_socket, run_.is_member,
        [this](const NotifyMessage& message, int32_t pid) { OnNotify(message, pid); });
    if (notify) {
      notify_ = std::move(*notify);
    } else {
      notify_failure_ = notify.error().ToString();
    }
  }

  void OnNotify(const NotifyMessage& message, int32_t pid) {
    if (message.extend_timeout) {
      extended_until_ = loop_.Now() + *message.extend_timeout;
      ArmDeadline();
    }
    if (message.status && callbacks_.on_status) {
      const auto on_status = callbacks_.on_status;
      const std::weak_ptr<bool> alive = alive_;
      on_status(*message.status);  // may destroy this
      if (alive.expired()) return;
    }
    if (message.ready) Ready("READY=1 of process " + std::to_string(pid));
  }

  // One that was over before we could ask (an adopted run) leaves time for one more answer.
  BootTime Deadline() const {
    BootTime deadline = started_ + spec_.timeout;
    if (deadline < created_) deadline = created_ + kProbeTimeout;
    if (spec_.stall_timeout) deadline = std::max(deadline, last_output_ + *spec_.stall_timeout);
    return std::max(deadline, extended_until_);
  }

  void ArmDeadline() {
    deadline_.Set(Deadline(), [this] {
      // Output came meanwhile, or an extension.
      if (Deadline() > loop_.Now()) return ArmDeadline();
      TimeOut();
    });
  }

  void Ready(std::string how) {
    const auto on_ready = std::move(callbacks_.on_ready);
    End();
    on_ready(std::move(how));  // may destroy this
  }

  void TimeOut() {
    std::string why = "not ready after " + Text(Deadline() - started_) + ": " + LastAnswers();
    const auto on_timeout = std::move(callbacks_.on_timeout);
    End();
    on_timeout(std::move(why));  // may destroy this
  }

  std::string LastAnswers() const {
    std::string text;
    const auto add = [&](const std::string& answer) {
      text += (text.empty() ? "" : "; ") + answer;
    };
    for (const auto& asked : asked_) {
      const std::string& last = asked->last_answer;
      add(last.empty() ? asked->question->name() + " has no answer yet" : last);
    }
    if (!spec_.log_patterns.empty()) {
      add(log_failure_.empty() ? "no log line matched" : log_failure_);
    }
    if (spec_.notify) add(LastNotify());
    if (spec_.delay) add("its delay of " + Text(*spec_.delay) + " is not over");
    return text;
  }

  std::string LastNotify() const {
    if (!notify_) return notify_failure_;
    if (const auto stranger = notify_->stranger()) {
      return "READY=1 came from process " + std::to_string(*stranger) +
             " only, which is not of this service";
    }
    return "no READY=1 came";
  }

  // Nothing is asked or listened to any more.
  void End() {
    ended_ = true;
    asked_.clear();
    matcher_.reset();
    notify_.reset();
    delay_.Cancel();
    deadline_.Cancel();
  }

  EventLoop& loop_;
  const ProbedRun run_;
  const ReadySpec& spec_;
  const BootTime started_;
  const BootTime created_;
  BootTime last_output_;
  BootTime extended_until_;
  Callbacks callbacks_;
  std::vector<std::unique_ptr<Asked>> asked_;
  std::optional<LogMatcher> matcher_;
  std::string log_failure_;
  std::unique_ptr<NotifySocket> notify_;
  std::string notify_failure_;
  EventLoop::Timer delay_;
  EventLoop::Timer deadline_;
  bool ended_ = false;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>();
};

Readiness::Readiness(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
                     BootTime started, Callbacks callbacks)
    : impl_(std::make_unique<Impl>(loop, children, proc, std::move(run), started,
                                   std::move(callbacks))) {}
Readiness::~Readiness() = default;

void Readiness::OnOutput(std::string_view data) { impl_->OnOutput(data); }

std::string NotifySocketName(std::string_view run) {
  constexpr std::string_view kPrefix = "@idlewatt/notify/";
  constexpr size_t kRunBytes = 80;  // an address has room for 107 in all
  std::string name(kPrefix);
  if (run.size() <= kRunBytes) return name.append(run);
  return name.append(run.substr(0, kRunBytes - 17)) + "#" + std::to_string(Hash(run));
}

}  // namespace idlewatt
