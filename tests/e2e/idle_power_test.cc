// The question that idlewatt exists for, asked of the real program on this machine: which service
// burns power while nobody uses it?
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <thread>

#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;

constexpr double kIdleWatts = 5;
constexpr double kMaxWatts = 25;

constexpr const char* kConfig =
    "[collector]\ninterval = \"500ms\"\n"
    "[collector.power.model]\nidle_watts = 5\nmax_watts = 25\n"
    "[storage]\nflush_interval = \"1s\"\n"
    "[idle]\nafter = \"3s\"\n"
    "[[alert]]\nbuiltin = \"IdleServiceCpu\"\nfor = \"2s\"\n";

// Asks a server again and again while it lives.
class Asker {
 public:
  explicit Asker(uint16_t port)
      : thread_([port](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            (void)client::HttpGet(port, "/health");
            ::poll(nullptr, 0, 100);
          }
        }) {}

 private:
  std::jthread thread_;
};

class IdlePowerTest : public testing::Test {
 protected:
  IdlePowerTest()
      : daemon_(folder_, std::string(kConfig) + DemoService("quiet", client::FreePort(), "") +
                             DemoService("used", used_port_, ", \"--burn\", \"0.2\"") +
                             DemoService("burner", client::FreePort(), ", \"--burn\", \"0.5\"")),
        asker_(used_port_) {}

  nlohmann::json Alert(const std::string& service, const std::string& severity) const {
    const nlohmann::json alerts = daemon_.GetJson("/api/v1/alerts").at("alerts");
    for (const auto& alert : alerts) {
      if (alert["alert"] == "IdleServiceCpu" && alert["service"] == service &&
          alert["severity"] == severity) {
        return alert;
      }
    }
    return nullptr;
  }
  nlohmann::json Ask(const std::vector<std::string>& more) const {
    std::vector<std::string> command = {
        BinaryPath("idlewatt"), "query", "idle-power", "--since", "5m", "--format", "json"};
    command.insert(command.end(), more.begin(), more.end());
    const Outcome outcome = RunToEnd(command);
    return nlohmann::json::parse(outcome.output, nullptr, false);
  }
  nlohmann::json AskDaemon() const { return Ask({"--http", daemon_.address()}); }
  // Used by its only process since it was started.
  double CpuSeconds(const std::string& service) const {
    const int pid = daemon_.Service(service)["pid"];
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    const auto fields = Split(std::string_view(line).substr(line.rfind(')') + 2), ' ');
    const double ticks = ParseNumber<double>(fields.at(11)).value_or(0) +
                         ParseNumber<double>(fields.at(12)).value_or(0);
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  // Of both states, in the last five minutes.
  double Joules(const std::string& service) const {
    const auto row = RowOf(AskDaemon(), service);
    return row["idle_joules"].get<double>() + row["active_joules"].get<double>();
  }
  static nlohmann::json RowOf(const nlohmann::json& report, const std::string& service) {
    for (const auto& row : report.at("services")) {
      if (row["service"] == service) return row;
    }
    return nullptr;
  }

  FakeTree folder_;
  const uint16_t used_port_ = client::FreePort();
  RunningDaemon daemon_;
  Asker asker_;
};

TEST_F(IdlePowerTest, TheBurnerIsFoundRankedAndExplained) {
  ASSERT_TRUE(Eventually([&] {
    const auto alert = Alert("burner", "critical");
    return !alert.is_null() && alert["state"] == "firing";
  }));
  EXPECT_THAT(Alert("burner", "critical")["advice"].get<std::string>(), HasSubstr("busy loop"));
  const double cpu_before = CpuSeconds("burner");
  const double joules_before = Joules("burner");
  ASSERT_TRUE(Eventually([&] {
    const auto row = RowOf(AskDaemon(), "burner");
    return !row.is_null() && row["idle_seconds"].is_number() && row["idle_seconds"] > 15;
  }));
  const nlohmann::json report = AskDaemon();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["meter"], "model");
  EXPECT_EQ(report["services"][0]["service"], "burner");
  // Of the model's dynamic power each CPU has its share. How much of one the burner got on a busy
  // machine is asked of the kernel.
  const auto cpus = static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  const double expected = (kMaxWatts - kIdleWatts) / cpus * (CpuSeconds("burner") - cpu_before);
  EXPECT_NEAR(Joules("burner") - joules_before, expected, 0.1 * expected);
  const auto row = RowOf(report, "burner");
  EXPECT_GT(row["idle_joules"], 2 * row["active_joules"].get<double>());
  // The one that is used is not called idle, though it burns as well.
  EXPECT_EQ(daemon_.Service("used")["idle"], false);
  EXPECT_TRUE(Alert("used", "warning").is_null());
  const auto used = RowOf(report, "used");
  EXPECT_LT(used["idle_joules"].get<double>(), 0.1 * used["active_joules"].get<double>()) << used;
  // The quiet one is idle, and costs nearly nothing.
  EXPECT_EQ(daemon_.Service("quiet")["idle"], true);
  EXPECT_LT(RowOf(report, "quiet")["idle_joules"].get<double>(), 0.05 * expected);
}

}  // namespace
}  // namespace idlewatt
