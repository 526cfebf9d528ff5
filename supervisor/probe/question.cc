#include "supervisor/probe/question.h"

#include <optional>
#include <utility>

#include "supervisor/probe/port_guard.h"
#include "supervisor/process/command.h"

namespace idlewatt {
namespace {

// Of the port of the run, or of another server that a URL names.
class PortQuestion final : public Question {
 public:
  PortQuestion(const QuestionContext& context, std::string name, Result<ProbeTarget> target)
      : loop_(context.loop), name_(std::move(name)), target_(std::move(target)), later_(loop_) {
    if (target_ && target_->port == context.run.spec.port) {
      guard_.emplace(context.proc, target_->port, context.run.is_member);
    }
  }

  void Ask(std::chrono::milliseconds timeout, Done done) override {
    done_ = std::move(done);
    if (target_) {
      probe_.emplace(loop_, *target_, timeout, [this](const Answer& answer) { OnAnswer(answer); });
    } else {
      later_.Set(loop_.Now(), [this] { Finish({false, target_.error().ToString()}); });
    }
  }
  const std::string& name() const override { return name_; }
  bool is_command() const override { return false; }

 private:
  void OnAnswer(const Answer& answer) {
    const auto stranger =
        answer.good && guard_ ? guard_->WhyStranger(loop_.Now()) : std::optional<std::string>();
    if (stranger) return Finish({false, name_ + ": " + *stranger});
    Finish({answer.good, name_ + " " + answer.text});
  }
  void Finish(Answer answer) {
    const Done done = std::move(done_);
    done(std::move(answer));  // may destroy this
  }

  EventLoop& loop_;
  const std::string name_;
  const Result<ProbeTarget> target_;
  EventLoop::Timer later_;
  std::optional<PortGuard> guard_;
  std::optional<Probe> probe_;
  Done done_;
};

class ExecQuestion final : public Question {
 public:
  ExecQuestion(const QuestionContext& context, std::vector<std::string> command)
      : context_(context), argv_(std::move(command)), later_(context.loop) {}

  void Ask(std::chrono::milliseconds timeout, Done done) override {
    done_ = std::move(done);
    // Looked up once: a user's name may be asked of a server.
    if (!plan_) plan_ = MakeSpawnPlan(context_.run.spec, argv_, context_.run.marks);
    if (*plan_) {
      command_.emplace(context_.loop, context_.children, **plan_, timeout,
                       [this](const Result<void>& result) { Finish(result); });
    } else {
      later_.Set(context_.loop.Now(), [this] {
        const Error error = std::exchange(plan_, std::nullopt)->error();
        Finish(error);
      });
    }
  }
  const std::string& name() const override { return name_; }
  bool is_command() const override { return true; }

 private:
  void Finish(const Result<void>& result) {
    const Done done = std::move(done_);
    Answer answer{result.ok(), result ? "exec succeeded" : "exec " + result.error().ToString()};
    done(std::move(answer));  // may destroy this
  }

  const QuestionContext context_;
  const std::vector<std::string> argv_;
  const std::string name_ = "exec";
  EventLoop::Timer later_;
  std::optional<Result<SpawnPlan>> plan_;
  std::optional<Command> command_;
  Done done_;
};

}  // namespace

std::vector<std::unique_ptr<Question>> MakeQuestions(const QuestionContext& context,
                                                     const std::string& http_get, bool tcp_socket,
                                                     const std::vector<std::string>& exec) {
  const std::optional<uint16_t> port = context.run.spec.port;
  std::vector<std::unique_ptr<Question>> questions;
  if (!http_get.empty()) {
    questions.push_back(std::make_unique<PortQuestion>(context, "http_get " + http_get,
                                                       HttpTarget(http_get, port)));
  }
  if (tcp_socket) {
    questions.push_back(std::make_unique<PortQuestion>(
        context, "tcp_socket",
        port ? Result<ProbeTarget>(TcpTarget(*port))
             : Error{ErrorCode::kInvalid, "tcp_socket", 0, "the service has no port"}));
  }
  if (!exec.empty()) questions.push_back(std::make_unique<ExecQuestion>(context, exec));
  return questions;
}

}  // namespace idlewatt
