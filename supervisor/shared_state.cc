#include "supervisor/shared_state.h"

#include <utility>

namespace idlewatt {

void SharedState::Post(Command command) {
  const MutexLock lock(mutex_);
  commands_.push_back(command);
  ++open_commands_;
}

std::vector<Command> SharedState::Take() {
  const MutexLock lock(mutex_);
  return std::exchange(commands_, {});
}

void SharedState::Publish(std::vector<Change> changes, std::vector<EndedRoot> ended,
                          size_t handled_commands) {
  constexpr size_t kMaxEnded = 1024;  // when nobody asks for them
  const MutexLock lock(mutex_);
  roots_.resize(statuses_.size());
  for (Change& change : changes) {
    statuses_[change.service] = std::move(change.status);
    roots_[change.service] = std::move(change.root);
  }
  for (EndedRoot& root : ended) ended_.push_back(std::move(root));
  while (ended_.size() > kMaxEnded) ended_.pop_front();
  open_commands_ -= handled_commands;
  changed_.NotifyAll();
}

SharedState::Statuses SharedState::GetStatuses() const {
  const MutexLock lock(mutex_);
  return statuses_;
}

std::vector<SupervisedRoot> SharedState::GetRoots() const {
  const MutexLock lock(mutex_);
  std::vector<SupervisedRoot> roots;
  for (const auto& root : roots_) {
    if (root) roots.push_back(*root);
  }
  return roots;
}

std::vector<EndedRoot> SharedState::TakeEnded() {
  const MutexLock lock(mutex_);
  std::vector<EndedRoot> ended(ended_.begin(), ended_.end());
  ended_.clear();
  return ended;
}

bool SharedState::WaitFor(const std::function<bool(const Statuses&)>& done,
                          std::chrono::nanoseconds timeout, Requests requests) const {
  const MutexLock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while ((requests == Requests::kHandled && open_commands_ > 0) || !done(statuses_)) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left.count() <= 0) return false;
    changed_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace idlewatt
