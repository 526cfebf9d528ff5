#include <algorithm>
#include <utility>

#include "supervisor/probe/question.h"
#include "supervisor/probe/readiness.h"

namespace idlewatt {

class Liveness::Impl {
 public:
  Impl(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
       Callbacks callbacks)
      : loop_(loop),
        run_(std::move(run)),
        spec_(*run_.spec.liveness),
        callbacks_(std::move(callbacks)),
        next_(loop) {
    auto questions =
        MakeQuestions({loop, children, proc, run_}, spec_.http_get, spec_.tcp_socket, spec_.exec);
    if (questions.empty()) return;
    question_ = std::move(questions.front());
    asked_at_ = loop_.Now();
    AskAfterPeriod();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

 private:
  // Of the question before; an answer that took longer is followed by the next question at once.
  void AskAfterPeriod() {
    next_.Set(std::max(asked_at_ + spec_.period, loop_.Now()), [this] {
      asked_at_ = loop_.Now();
      question_->Ask(spec_.timeout, [this](Answer answer) { OnAnswer(std::move(answer)); });
    });
  }

  void OnAnswer(Answer answer) {
    AskAfterPeriod();
    if (answer.good && failures_ == 0) return;
    failures_ = answer.good ? 0 : failures_ + 1;
    const auto on_change = callbacks_.on_change;
    on_change(failures_, answer.good ? "" : std::move(answer.text));  // may destroy this
  }

  EventLoop& loop_;
  const ProbedRun run_;
  const LivenessSpec& spec_;
  const Callbacks callbacks_;
  EventLoop::Timer next_;
  BootTime asked_at_;
  std::unique_ptr<Question> question_;
  int failures_ = 0;
};

Liveness::Liveness(EventLoop& loop, ChildProcesses& children, const FileRoot& proc, ProbedRun run,
                   Callbacks callbacks)
    : impl_(std::make_unique<Impl>(loop, children, proc, std::move(run), std::move(callbacks))) {}
Liveness::~Liveness() = default;

}  // namespace idlewatt
