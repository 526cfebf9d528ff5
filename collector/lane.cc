#include "collector/lane.h"

#include <pthread.h>

#include <string>

namespace idlewatt {
namespace {

using SteadyClock = std::chrono::steady_clock;

}  // namespace

Lane::Lane(std::unique_ptr<Sampler> sampler, SeriesRegistry& registry)
    : state_(std::make_shared<State>(std::move(sampler))),
      thread_([state = state_, &registry] { Run(state, registry); }) {
  // The kernel takes 15 bytes of a thread's name.
  const std::string name = "iw-" + std::string(state_->sampler->info().name);
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

Lane::~Lane() {
  if (thread_.joinable()) Stop(std::chrono::seconds(2));
}

void Lane::Run(const std::shared_ptr<State>& state, SeriesRegistry& registry) {
  for (;;) {
    TimePoint now;
    {
      const MutexLock lock(state->mutex);
      while (!state->request && !state->stop) state->changed.Wait(state->mutex);
      if (state->stop) {
        state->ended = true;
        state->changed.NotifyAll();
        return;
      }
      now = *state->request;
      state->request.reset();
      state->reading = true;
    }
    Outcome outcome{{}, Readings(registry), {}};
    const auto begin = SteadyClock::now();
    outcome.result = state->sampler->Read(now, outcome.readings);
    outcome.duration = SteadyClock::now() - begin;
    const MutexLock lock(state->mutex);
    state->reading = false;
    state->done = std::move(outcome);
    state->changed.NotifyAll();
  }
}

bool Lane::Request(TimePoint now) {
  const MutexLock lock(state_->mutex);
  if (state_->reading || state_->request) return false;
  state_->done.reset();
  state_->request = now;
  state_->changed.NotifyAll();
  return true;
}

std::optional<Lane::Outcome> Lane::Take(std::chrono::nanoseconds patience) {
  const auto deadline = SteadyClock::now() + patience;
  const MutexLock lock(state_->mutex);
  while (!state_->done) {
    const auto left = deadline - SteadyClock::now();
    if (left <= std::chrono::nanoseconds(0)) return std::nullopt;
    state_->changed.WaitFor(state_->mutex, left);
  }
  return std::exchange(state_->done, std::nullopt);
}

bool Lane::Stop(std::chrono::nanoseconds patience) {
  if (!thread_.joinable()) return true;
  bool ended = false;
  {
    const auto deadline = SteadyClock::now() + patience;
    const MutexLock lock(state_->mutex);
    state_->stop = true;
    state_->changed.NotifyAll();
    while (!state_->ended && SteadyClock::now() < deadline) {
      state_->changed.WaitFor(state_->mutex, deadline - SteadyClock::now());
    }
    ended = state_->ended;
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return ended;
}

}  // namespace idlewatt
