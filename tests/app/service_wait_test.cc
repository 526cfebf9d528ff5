#include "app/service_wait.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace idlewatt {
namespace {

using Outcome = ServiceWait::Outcome;
using States = std::vector<std::string>;

// After the last of `states`; before it the request must not have been through.
Outcome After(ServiceRequest request, const std::string& before, const States& states) {
  ServiceWait wait(request, before);
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_EQ(wait.outcome(), Outcome::kWaiting) << before << ", before " << states[i];
    wait.OnState(states[i]);
    EXPECT_EQ(wait.state(), states[i]);
  }
  return wait.outcome();
}

TEST(ServiceWaitTest, AStartIsThroughWithReady) {
  using enum ServiceRequest;
  EXPECT_EQ(After(kStart, "stopped", {"pending", "starting", "ready"}), Outcome::kDone);
  EXPECT_EQ(After(kStart, "failed", {"pending", "starting", "ready"}), Outcome::kDone);
  EXPECT_EQ(After(kStart, "starting", {"ready"}), Outcome::kDone) << "it was under way";
  EXPECT_EQ(After(kStart, "ready", {}), Outcome::kDone) << "nothing will change";
  EXPECT_EQ(After(kStart, "stopped", {"pending", "starting", "exited"}), Outcome::kDone)
      << "a program that ends by itself";
}

TEST(ServiceWaitTest, AStartFailsWithTheServiceButWaitsForAnotherTry) {
  using enum ServiceRequest;
  EXPECT_EQ(After(kStart, "stopped", {"pending", "failed"}), Outcome::kFailed);
  EXPECT_EQ(After(kStart, "stopped", {"pending", "starting", "backoff"}), Outcome::kWaiting);
  EXPECT_EQ(After(kStart, "stopped", {"pending", "starting", "backoff", "starting", "ready"}),
            Outcome::kDone);
  EXPECT_EQ(After(kStart, "stopped", {"pending", "stopping", "stopped"}), Outcome::kFailed)
      << "somebody else stopped it";
}

TEST(ServiceWaitTest, TheEndOfAnEarlierRunIsNotThatOfTheRequest) {
  using enum ServiceRequest;
  EXPECT_EQ(After(kStart, "stopping", {"stopped", "pending", "starting", "ready"}), Outcome::kDone);
  EXPECT_EQ(After(kRestart, "ready", {"stopping", "stopped", "pending", "starting", "ready"}),
            Outcome::kDone);
  EXPECT_EQ(After(kRestart, "ready", {"stopping", "pending", "starting", "failed"}),
            Outcome::kFailed);
  EXPECT_EQ(After(kRestart, "starting", {"stopping", "pending", "starting", "ready"}),
            Outcome::kDone);
}

TEST(ServiceWaitTest, AStopIsThroughWithStopped) {
  using enum ServiceRequest;
  EXPECT_EQ(After(kStop, "ready", {"stopping", "stopped"}), Outcome::kDone);
  EXPECT_EQ(After(kStop, "failed", {"stopping", "stopped"}), Outcome::kDone);
  EXPECT_EQ(After(kStop, "stopped", {}), Outcome::kDone);
  EXPECT_EQ(After(kStop, "disabled", {}), Outcome::kDone);
  EXPECT_EQ(After(kStop, "ready", {"failed", "stopping"}), Outcome::kWaiting);
}

TEST(ServiceWaitTest, AfterMissedChangesOnlyWhatIsNowCounts) {
  ServiceWait start(ServiceRequest::kStart, "stopped");
  start.OnSnapshot("failed");
  EXPECT_EQ(start.outcome(), Outcome::kFailed);
  ServiceWait restart(ServiceRequest::kRestart, "ready");
  restart.OnSnapshot("stopping");
  EXPECT_EQ(restart.outcome(), Outcome::kWaiting);
  restart.OnSnapshot("ready");
  EXPECT_EQ(restart.outcome(), Outcome::kDone);
}

}  // namespace
}  // namespace idlewatt
