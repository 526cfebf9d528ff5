#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "supervisor/process/process_scan.h"
#include "supervisor/service_record.h"
#include "tests/e2e/daemon_fixture.h"

namespace idlewatt {

// The real daemon with services of the tests. Nothing that it started outlives a test.
class SupervisionTest : public testing::Test {
 protected:
  using Json = nlohmann::json;
  // Without waits for the disk, which may be busy.
  static constexpr const char* kFast =
      "[collector]\ninterval = \"200ms\"\n[storage]\nsynchronous = \"off\"\n";
  // Of a machine that is busy, under a sanitizer.
  static constexpr std::chrono::seconds kPatience{60};

  ~SupervisionTest() override {
    daemon_.reset();
    for (const pid_t pid : Recorded()) {
      ADD_FAILURE() << "process " << pid << " is left";
      ::kill(-pid, SIGKILL);
    }
    for (const pid_t pid : Marked()) {
      ADD_FAILURE() << "process " << pid << " is left";
      ::kill(pid, SIGKILL);
    }
  }

  // Starts the daemon, or the next one on the same data folder.
  void Start(const std::string& config,
             const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    daemon_.reset();
    daemon_.emplace(folder_, kFast + config, std::vector<std::string>{}, std::vector<std::string>{},
                    environment);
  }
  void Kill() { daemon_->KillMinusNine(); }

  // [[service]] that runs a line of shell; `more` are further lines.
  static std::string Shell(const std::string& name, const std::string& script,
                           const std::string& more = "") {
    return "[[service]]\nname = \"" + name + "\"\ncommand = [\"/bin/sh\", \"-c\", '''" + script +
           "''']\n" + more;
  }

  Json Row(const std::string& name) const { return daemon_->Service(name); }
  std::string StateOf(const std::string& name) const { return TextOf(Row(name), "state"); }
  pid_t PidOf(const std::string& name) const {
    const Json row = Row(name);
    return row.is_object() && row["pid"].is_number() ? row["pid"].get<pid_t>() : 0;
  }
  // A field of a row, empty when it is null.
  static std::string TextOf(const Json& row, const std::string& field) {
    return row.is_object() && row[field].is_string() ? row[field].get<std::string>() : "";
  }
  // Waits; tells of the service when it takes too long.
  testing::AssertionResult Reaches(const std::string& name, const std::string& state) const {
    return Becomes(name, [&](const Json& row) { return TextOf(row, "state") == state; })
           << "; wanted: " << state;
  }
  testing::AssertionResult Becomes(const std::string& name,
                                   const std::function<bool(const Json& row)>& done) const {
    Json row;
    if (Eventually([&] { return done(row = Row(name)); }, kPatience)) {
      return testing::AssertionSuccess();
    }
    return testing::AssertionFailure() << row.dump(1);
  }
  bool Metric(const std::string& line) const {
    return ("\n" + daemon_->Get("/metrics")).find("\n" + line + "\n") != std::string::npos;
  }

  // `idlewatt WORDS... --http` of the daemon, with its token.
  Outcome Cli(std::vector<std::string> words) const {
    words.insert(words.begin(), BinaryPath("idlewatt"));
    words.insert(words.end(), {"--http", daemon_->address()});
    return RunToEnd(words);
  }
  // The same, which must work; gives what it says.
  std::string MustCli(const std::vector<std::string>& words) const {
    const Outcome outcome = Cli(words);
    EXPECT_TRUE(outcome.status && outcome.status->code == 0) << words[0] << ": " << outcome.output;
    return outcome.output;
  }
  std::string Token() const { return std::string(Trim(folder_.Read("data/control.token"))); }

  // Waits for a number in a file that a service writes, at least `least`; 0 when it does not come.
  int64_t NumberIn(const std::string& file, int64_t least = 1) const {
    int64_t number = 0;
    const auto read = [&] {
      number = ParseNumber<int64_t>(Trim(folder_.Read(file))).value_or(0);
      return number >= least;
    };
    return Eventually(read, kPatience) ? number : 0;
  }
  std::string Log(const std::string& name) const {
    return folder_.Read("data/logs/" + name + ".log");
  }

  static bool IsAlive(pid_t pid) {
    const auto process = ReadProcess(*FileRoot::Open("/proc"), pid);
    return process && process->IsAlive();
  }
  static bool Ends(pid_t pid) {
    return Eventually([pid] { return !IsAlive(pid); }, kPatience);
  }
  static std::vector<pid_t> ChildrenOf(pid_t parent) {
    const FileRoot proc = *FileRoot::Open("/proc");
    const ProcessScan scan(proc);
    std::vector<pid_t> children;
    for (const ProcessInfo& process : scan.processes()) {
      if (process.parent == parent && process.IsAlive()) children.push_back(process.pid);
    }
    return children;
  }

  FakeTree folder_;
  std::optional<RunningDaemon> daemon_;

 private:
  // The roots that run, as the records say. Some programs write over their marks.
  std::vector<pid_t> Recorded() const {
    std::vector<pid_t> pids;
    std::error_code none;
    for (const auto& file :
         std::filesystem::directory_iterator(folder_.PathOf("data/services"), none)) {
      const std::string name = "data/services/" + file.path().filename().string();
      const auto record = ParseServiceRecord(folder_.Read(name));
      if (!record || !record->run) continue;
      const auto process = ReadProcess(*FileRoot::Open("/proc"), record->run->pid);
      if (process && process->IsAlive() && process->start_ticks == record->run->start_ticks) {
        pids.push_back(process->pid);
      }
    }
    return pids;
  }
  // The living processes that carry the mark of this test's data folder.
  std::vector<pid_t> Marked() const {
    std::error_code ignored;
    const auto data = std::filesystem::canonical(folder_.PathOf("data"), ignored);
    const FileRoot proc = *FileRoot::Open("/proc");
    std::vector<pid_t> pids;
    for (const auto& left : ProcessScan(proc).FindLeft(data.string())) {
      pids.push_back(left.process.pid);
    }
    return pids;
  }
};

}  // namespace idlewatt
