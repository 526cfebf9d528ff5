#include "app/service_wait.h"

#include <array>

namespace idlewatt {

std::string_view ServiceRequestName(ServiceRequest request) {
  constexpr std::array<std::string_view, 3> kNames = {"start", "stop", "restart"};
  return kNames[static_cast<size_t>(request)];
}

ServiceWait::ServiceWait(ServiceRequest request, std::string_view state)
    : request_(request), state_(state) {
  const bool is_under_way = state == "pending" || state == "starting";
  begun_ = request == ServiceRequest::kStart && is_under_way;
  const bool is_so_already = request == ServiceRequest::kStart ? state == "ready"
                             : request == ServiceRequest::kStop
                                 ? state == "stopped" || state == "disabled"
                                 : false;
  if (is_so_already) outcome_ = Outcome::kDone;
}

void ServiceWait::OnState(std::string_view state) {
  state_ = state;
  if (outcome_ != Outcome::kWaiting) return;
  if (request_ == ServiceRequest::kStop) {
    if (state == "stopped" || state == "disabled") outcome_ = Outcome::kDone;
    return;
  }
  begun_ = begun_ || state == "pending" || state == "starting";
  if (!begun_) return;
  if (state == "ready" || state == "exited") outcome_ = Outcome::kDone;
  // Stopped: by somebody else.
  if (state == "failed" || state == "stopped" || state == "disabled") outcome_ = Outcome::kFailed;
}

void ServiceWait::OnSnapshot(std::string_view state) {
  begun_ = true;
  OnState(state);
}

}  // namespace idlewatt
