#pragma once

#include <string>
#include <string_view>

namespace idlewatt {

// What somebody asked of a service.
enum class ServiceRequest { kStart, kStop, kRestart };
// "start": as in the path of the API.
std::string_view ServiceRequestName(ServiceRequest request);

// Knows from the states of a service when a request is through: a start or restart with ready, or
// with the end of a program that ends by itself; a stop with stopped. A service that crashed and
// will be tried again is waited for. Threads: one.
class ServiceWait {
 public:
  enum class Outcome { kWaiting, kDone, kFailed };

  // `state` is that of before the request.
  ServiceWait(ServiceRequest request, std::string_view state);

  // The service went to `state`.
  void OnState(std::string_view state);
  // Changes were missed; this is how it is now.
  void OnSnapshot(std::string_view state);

  Outcome outcome() const { return outcome_; }
  const std::string& state() const { return state_; }

 private:
  const ServiceRequest request_;
  std::string state_;
  bool begun_ = false;  // what the request started: an end before that was of an earlier run
  Outcome outcome_ = Outcome::kWaiting;
};

}  // namespace idlewatt
