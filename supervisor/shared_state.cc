#include "supervisor/shared_state.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr size_t kMaxEnded = 1024;  // when nobody asks for them
constexpr size_t kMaxChanges = 4096;

}  // namespace

void SharedState::Post(Request request) {
  const MutexLock lock(mutex_);
  requests_.push_back(std::move(request));
  ++open_requests_;
}

std::vector<SharedState::Request> SharedState::Take() {
  const MutexLock lock(mutex_);
  return std::exchange(requests_, {});
}

void SharedState::Publish(Publication news) {
  const MutexLock lock(mutex_);
  if (news.layout) {
    statuses_ = std::move(news.layout->statuses);
    logs_ = std::move(news.layout->logs);
  }
  for (ServiceStatus& status : news.statuses) {
    const auto it = std::ranges::find(statuses_, status.name, &ServiceStatus::name);
    if (it != statuses_.end()) *it = std::move(status);
  }
  if (news.roots) roots_ = std::move(*news.roots);
  if (news.profiles) profiles_ = std::move(*news.profiles);
  for (EndedRoot& root : news.ended) ended_.push_back(std::move(root));
  while (ended_.size() > kMaxEnded) ended_.pop_front();
  for (StateChange& change : news.changes) {
    change.number = ++last_change_;
    changes_.push_back(std::move(change));
  }
  while (changes_.size() > kMaxChanges) changes_.pop_front();
  removed_run_ = news.removed_run;
  open_requests_ -= news.handled_requests;
  changed_.NotifyAll();
}

SharedState::Statuses SharedState::GetStatuses() const {
  const MutexLock lock(mutex_);
  return statuses_;
}

std::vector<ProfileStatus> SharedState::GetProfiles() const {
  const MutexLock lock(mutex_);
  return profiles_;
}

std::vector<SupervisedRoot> SharedState::GetRoots() const {
  const MutexLock lock(mutex_);
  return roots_;
}

std::vector<EndedRoot> SharedState::TakeEnded() {
  const MutexLock lock(mutex_);
  std::vector<EndedRoot> ended(ended_.begin(), ended_.end());
  ended_.clear();
  return ended;
}

std::shared_ptr<const LogTail> SharedState::GetLog(std::string_view service) const {
  const MutexLock lock(mutex_);
  const auto it = logs_.find(service);
  return it == logs_.end() ? nullptr : it->second;
}

Result<void> SharedState::CheckName(std::string_view service) const {
  std::vector<std::string> names;
  for (const ServiceStatus& status : GetStatuses()) names.push_back(status.name);
  if (std::ranges::find(names, service) != names.end()) return {};
  const std::string nearest = Nearest(service, names);
  return Error{ErrorCode::kInvalid, std::string(service), 0,
               nearest.empty() ? "no service has this name"
                               : "no service has this name; did you mean \"" + nearest + "\"?"};
}

StateNews SharedState::WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const {
  const MutexLock lock(mutex_);
  Wait([&]() REQUIRES(mutex_) { return last_change_ > after; }, timeout);
  StateNews news;
  news.missed = !changes_.empty() && changes_.front().number > after + 1;
  for (const StateChange& change : changes_) {
    if (change.number > after) news.changes.push_back(change);
  }
  return news;
}

bool SharedState::WaitFor(const std::function<bool(const Statuses&)>& done,
                          std::chrono::nanoseconds timeout) const {
  const MutexLock lock(mutex_);
  return Wait([&]() REQUIRES(mutex_) { return done(statuses_); }, timeout);
}

bool SharedState::WaitForAll(const std::function<bool(const Statuses&)>& done,
                             std::chrono::nanoseconds timeout) const {
  const MutexLock lock(mutex_);
  return Wait(
      [&]() REQUIRES(mutex_) { return open_requests_ == 0 && !removed_run_ && done(statuses_); },
      timeout);
}

bool SharedState::Wait(const std::function<bool()>& done, std::chrono::nanoseconds timeout) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!done()) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left.count() <= 0) return false;
    changed_.WaitFor(mutex_, left);
  }
  return true;
}

}  // namespace idlewatt
