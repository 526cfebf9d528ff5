#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/probe/probe.h"
#include "supervisor/probe/readiness.h"

namespace idlewatt {

// A question that can be asked of a run again and again.
// Threads: loop only.
class Question {
 public:
  using Done = std::function<void(Answer)>;

  virtual ~Question() = default;
  // `done` is called once, from the loop and never within this call, with a text that says how it
  // was asked: "http_get /health answered 503". It may destroy the question. Must not be asked
  // again before. Destroyed earlier, the question ends without a call.
  virtual void Ask(std::chrono::milliseconds timeout, Done done) = 0;
  // "http_get /health", "tcp_socket", "exec".
  virtual const std::string& name() const = 0;
  // Runs a program, which costs much more than a connection.
  virtual bool is_command() const = 0;
};

// What questions need; all must outlive them.
struct QuestionContext {
  EventLoop& loop;
  ChildProcesses& children;
  const FileRoot& proc;
  const ProbedRun& run;
};

// One question for each of the ways that is set.
std::vector<std::unique_ptr<Question>> MakeQuestions(const QuestionContext& context,
                                                     const std::string& http_get, bool tcp_socket,
                                                     const std::vector<std::string>& exec);

}  // namespace idlewatt
