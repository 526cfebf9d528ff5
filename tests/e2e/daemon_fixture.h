#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tests/support/child_process.h"
#include "tests/support/fake_tree.h"
#include "tests/support/http_client.h"

namespace idlewatt {

inline std::string BinaryPath(std::string_view name) {
  return std::string(IDLEWATT_BINARY_DIR) + "/" + std::string(name);
}

// Asks `done` until it says yes. For what shows only over HTTP, where no event can be waited for.
inline bool Eventually(const std::function<bool()>& done,
                       std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::poll(nullptr, 0, 20);
  }
  return true;
}

// The real program, on a port and in folders of its own.
class RunningDaemon {
 public:
  // `config` is TOML; data_dir and listen address are given on the command line.
  RunningDaemon(FakeTree& folder, const std::string& config,
                const std::vector<std::string>& more_arguments = {},
                const std::vector<std::string>& prefix = {},
                const std::vector<std::pair<std::string, std::string>>& environment = {})
      : folder_(folder) {
    folder_.Write("idlewatt.toml", config);
    std::vector<std::string> command = prefix;
    for (const std::string& word :
         {BinaryPath("idlewatt"), std::string("run"), std::string("--config"),
          folder_.PathOf("idlewatt.toml"), std::string("--data-dir"), folder_.PathOf("data"),
          std::string("--http"), std::string("127.0.0.1:0")}) {
      command.push_back(word);
    }
    command.insert(command.end(), more_arguments.begin(), more_arguments.end());
    process_ = std::make_unique<ChildProcess>(command, environment);
    const auto line = process_->WaitForLine("page, API and metrics at", kPatience);
    if (!line) {
      ADD_FAILURE() << "the daemon did not start:\n" << process_->output();
      return;
    }
    const size_t colon = line->rfind(':');
    port_ = ParseNumber<uint16_t>(Trim(line->substr(colon + 1, line->rfind('/') - colon - 1)))
                .value_or(0);
  }

  RunningDaemon(const RunningDaemon&) = delete;
  RunningDaemon& operator=(const RunningDaemon&) = delete;
  // Ends the daemon as a user does: killed, it would leave its services running.
  ~RunningDaemon() {
    process_->Signal(SIGTERM);
    if (!process_->Wait(kPatience)) ADD_FAILURE() << "the daemon did not end";
  }

  ChildProcess& process() { return *process_; }
  uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  // Body of a GET that must succeed.
  std::string Get(const std::string& path) const {
    const auto response = client::SendHttp(port_, {.path = path, .timeout = kPatience});
    if (!response) {
      ADD_FAILURE() << path << ": " << response.error().ToString();
      return "";
    }
    EXPECT_EQ(response->status, 200) << path << "\n" << response->body;
    return response->body;
  }
  nlohmann::json GetJson(const std::string& path) const {
    return nlohmann::json::parse(Get(path), nullptr, false);
  }
  // Waits until something has been measured.
  bool WaitReady() const {
    return Eventually([this] {
      const auto response = client::HttpGet(port_, "/-/ready");
      return response && response->status == 200;
    });
  }
  // Dies without a chance to stop anything.
  void KillMinusNine() {
    process_->Signal(SIGKILL);
    if (!process_->Wait(kPatience)) ADD_FAILURE() << "the daemon outlived SIGKILL";
  }
  // The row of a service; null when it is not listed.
  nlohmann::json Service(const std::string& name) const {
    const nlohmann::json all = GetJson("/api/v1/services");
    for (const auto& row : all.at("services")) {
      if (row["name"] == name) return row;
    }
    return nullptr;
  }

  static constexpr std::chrono::seconds kPatience{60};

 private:
  FakeTree& folder_;
  std::unique_ptr<ChildProcess> process_;
  uint16_t port_ = 0;
};

// What a program that must end by itself said, and how it ended.
struct Outcome {
  std::optional<ExitStatus> status;
  std::string output;
};
inline Outcome RunToEnd(const std::vector<std::string>& command) {
  ChildProcess process(command);
  const auto status = process.Wait(std::chrono::seconds(30));
  return {status, process.output()};
}

// [[service]] for a demo server of ours.
inline std::string DemoService(const std::string& name, uint16_t port, const std::string& more) {
  return "[[service]]\nname = \"" + name + "\"\nport = " + std::to_string(port) +
         "\ncommand = [\"" + BinaryPath("idlewatt-demo-server") +
         "\", \"--port\", \"${PORT}\", \"--load-seconds\", \"0\", \"--memory\", \"1MiB\"" + more +
         "]\n";
}

}  // namespace idlewatt
