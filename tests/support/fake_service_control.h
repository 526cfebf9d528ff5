#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "supervisor/service_control.h"

namespace idlewatt {

// A supervisor without processes: tests say what it shows, and see what it was asked for.
// Threads: any.
class FakeServiceControl final : public ServiceControl {
 public:
  static constexpr size_t kMostChanges = 8;  // that it remembers

  ServiceStatus& Add(const std::string& name, ServiceState state = ServiceState::kStopped) {
    const MutexLock lock(mutex_);
    ServiceStatus& status = statuses_.emplace_back();
    status.name = name;
    status.state = state;
    logs_[name] = std::make_shared<LogTail>(1024);
    return status;  // until the next one is added
  }
  void Remove(const std::string& name) {
    const MutexLock lock(mutex_);
    std::erase_if(statuses_, [&](const ServiceStatus& status) { return status.name == name; });
    logs_.erase(name);
  }
  void Change(const std::string& name, ServiceState to, const std::string& reason = "test") {
    const MutexLock lock(mutex_);
    for (ServiceStatus& status : statuses_) {
      if (status.name != name) continue;
      changes_.push_back({++last_number_, WallTime(), name, status.state, to, reason});
      status.state = to;
      status.ready = to == ServiceState::kReady;
    }
    while (changes_.size() > kMostChanges) changes_.pop_front();
    changed_.NotifyAll();
  }
  LogTail& LogOf(const std::string& name) {
    const MutexLock lock(mutex_);
    return *logs_.at(name);
  }
  // What the next requests get in the place of success.
  void Refuse(std::optional<Error> error) {
    const MutexLock lock(mutex_);
    refusal_ = std::move(error);
  }
  std::vector<std::string> TakeRequests() {
    const MutexLock lock(mutex_);
    return std::exchange(requests_, {});
  }
  mutable std::atomic<int> log_calls = 0;
  // Set before threads start.
  std::vector<ProfileStatus> profiles;
  std::function<void(const std::string&)> on_request;  // after each, of those that are taken

  Result<void> Start(std::string_view name) override { return Take("start", name); }
  Result<void> Stop(std::string_view name) override { return Take("stop", name); }
  Result<void> Restart(std::string_view name) override { return Take("restart", name); }
  Result<void> Swap(std::string_view name, const SwapRequest& request) override {
    std::string text = "swap";
    if (request.model) text += " model=" + *request.model;
    if (request.command) {
      for (const std::string& word : *request.command) text += " [" + word + "]";
    }
    return Take(text, name);
  }
  std::vector<ProfileStatus> Profiles() const override { return profiles; }
  Result<void> ActivateProfile(std::string_view name) override {
    const MutexLock lock(mutex_);
    requests_.push_back("activate " + std::string(name));
    for (const ProfileStatus& profile : profiles) {
      if (profile.name == name) return {};
    }
    return Error{ErrorCode::kInvalid, std::string(name), 0, "there is no such profile"};
  }
  std::vector<ServiceStatus> Status() const override {
    const MutexLock lock(mutex_);
    return {statuses_.begin(), statuses_.end()};
  }
  std::shared_ptr<const LogTail> Log(std::string_view name) const override {
    ++log_calls;
    const MutexLock lock(mutex_);
    const auto it = logs_.find(std::string(name));
    return it == logs_.end() ? nullptr : it->second;
  }
  StateNews WaitForChanges(uint64_t after, std::chrono::nanoseconds timeout) const override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const MutexLock lock(mutex_);
    while (last_number_ <= after && std::chrono::steady_clock::now() < deadline) {
      changed_.WaitFor(mutex_, deadline - std::chrono::steady_clock::now());
    }
    StateNews news;
    news.missed = after + changes_.size() < last_number_;
    for (const StateChange& change : changes_) {
      if (change.number > after) news.changes.push_back(change);
    }
    return news;
  }

 private:
  Result<void> Take(const std::string& request, std::string_view name) {
    const std::string text = request + " " + std::string(name);
    {
      const MutexLock lock(mutex_);
      requests_.push_back(text);
      if (refusal_) return *refusal_;
      const bool is_there =
          std::any_of(statuses_.begin(), statuses_.end(),
                      [&](const ServiceStatus& status) { return status.name == name; });
      if (!is_there) {
        return Error{ErrorCode::kInvalid, std::string(name), 0, "there is no such service"};
      }
    }
    if (on_request) on_request(text);
    return {};
  }

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::deque<ServiceStatus> statuses_ GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<LogTail>> logs_ GUARDED_BY(mutex_);
  std::deque<StateChange> changes_ GUARDED_BY(mutex_);
  uint64_t last_number_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> refusal_ GUARDED_BY(mutex_);
  std::vector<std::string> requests_ GUARDED_BY(mutex_);
};

}  // namespace idlewatt
