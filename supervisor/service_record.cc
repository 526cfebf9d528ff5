#include "supervisor/service_record.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "supervisor/process/process_scan.h"
#include "supervisor/process/spawner.h"

namespace idlewatt {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::string_view kSuffix = ".json";
constexpr std::string_view kFreshSuffix = ".new";  // while it is written

// Times outside of these are of nobody's clock; sums with them could overflow.
constexpr int64_t kMaxBootNanoseconds = 3'000'000'000'000'000'000;  // 95 years
constexpr int64_t kMaxWallMilliseconds = 9'000'000'000'000;         // the year 2255

constexpr std::array<std::pair<LastExit::Kind, std::string_view>, 4> kExitKinds = {
    {{LastExit::Kind::kCode, "code"},
     {LastExit::Kind::kSignal, "signal"},
     {LastExit::Kind::kOutOfMemory, "out of memory"},
     {LastExit::Kind::kUnknown, "unknown"}}};

// A T to be written or to be read.
template <typename Record, typename T>
concept Either = std::same_as<std::remove_const_t<Record>, T>;

// Every field of a record, once for both directions: what is written is what is read.
void EachField(Either<StartDurations> auto& r, auto&& field) {
  field("counts", r.counts);
  field("sum_seconds", r.sum_seconds);
}

void EachField(Either<LastExit> auto& r, auto&& field) {
  field("kind", r.kind);
  field("value", r.value);
  field("at", r.at);
  field("text", r.text);
  field("lines", r.lines);
}

void EachField(Either<RunRecord> auto& r, auto&& field) {
  field("run", r.run);
  field("pid", r.pid);
  field("start_ticks", r.start_ticks);
  field("fifo", r.fifo);
  field("cgroup", r.cgroup);
  field("cgroup_id", r.cgroup_id);
  field("port", r.port);
  field("model", r.model);
  field("started", r.started);
  field("started_boot", r.started_boot);
  field("ready_boot", r.ready_boot);
}

void EachField(Either<ServiceRecord> auto& r, auto&& field) {
  field("boot_id", r.boot_id);
  field("state", r.state);
  field("run", r.run);
  field("others", r.others);
  field("fingerprint", r.fingerprint);
  field("model", r.model);
  field("command", r.command);
  field("restart_times", r.restart_times);
  field("restart_attempts", r.restart_attempts);
  field("next_retry", r.next_retry);
  field("restarts", r.restarts);
  field("start_durations", r.start_durations);
  field("last_exit", r.last_exit);
  field("failure", r.failure);
  field("stopped_by_operator", r.stopped_by_operator);
}

struct Writer {
  template <typename T>
  static Json Write(
      const T& value) requires std::is_arithmetic_v<T> || std::same_as<T, std::string> {
    return value;
  }
  static Json Write(ServiceState state) { return ServiceStateName(state); }
  static Json Write(LastExit::Kind kind) {
    for (const auto& [value, name] : kExitKinds) {
      if (value == kind) return name;
    }
    return "unknown";
  }
  static Json Write(BootTime time) { return time.time_since_epoch().count(); }
  static Json Write(WallTime time) { return time.time_since_epoch().count(); }
  template <typename T>
  static Json Write(const std::optional<T>& value) {
    return value ? Write(*value) : Json(nullptr);
  }
  template <typename T>
  static Json Write(const std::vector<T>& values) {
    return WriteArray(values);
  }
  template <typename T, size_t size>
  static Json Write(const std::array<T, size>& values) {
    return WriteArray(values);
  }
  static Json WriteArray(const auto& values) {
    Json json = Json::array();
    for (const auto& value : values) json.push_back(Write(value));
    return json;
  }
  template <typename T>
  static Json Write(const std::map<std::string, T>& values) {
    Json json = Json::object();
    for (const auto& [name, value] : values) json[name] = Write(value);
    return json;
  }
  template <typename T>
  static Json Write(const T& record) requires requires {
    EachField(record, [](const char*, const auto&) {});
  }
  {
    Json json = Json::object();
    EachField(record, [&json](const char* name, const auto& value) { json[name] = Write(value); });
    return json;
  }
};

// Each Read gives false, and perhaps a part of the value, when `json` is not what it should be.
struct Reader {
  static bool Read(const Json& json, std::string& out) {
    if (!json.is_string()) return false;
    out = json.get<std::string>();
    return true;
  }
  static bool Read(const Json& json, bool& out) {
    if (!json.is_boolean()) return false;
    out = json.get<bool>();
    return true;
  }
  static bool Read(const Json& json, double& out) {
    if (!json.is_number()) return false;
    out = json.get<double>();
    return std::isfinite(out) && out >= 0;
  }
  // None of our integers is negative.
  template <std::integral T>
  static bool Read(const Json& json, T& out) {
    if (!json.is_number_unsigned()) return false;
    const auto value = json.get<uint64_t>();
    out = static_cast<T>(value);
    return value <= static_cast<uint64_t>(std::numeric_limits<T>::max());
  }
  static bool Read(const Json& json, ServiceState& out) {
    for (size_t i = 0; i < kServiceStateCount; ++i) {
      out = static_cast<ServiceState>(i);
      if (json == ServiceStateName(out)) return true;
    }
    return false;
  }
  static bool Read(const Json& json, LastExit::Kind& out) {
    for (const auto& [kind, name] : kExitKinds) {
      out = kind;
      if (json == name) return true;
    }
    return false;
  }
  static bool Read(const Json& json, BootTime& out) {
    int64_t nanoseconds = 0;
    if (!Read(json, nanoseconds) || nanoseconds > kMaxBootNanoseconds) return false;
    out = BootTime(std::chrono::nanoseconds(nanoseconds));
    return true;
  }
  static bool Read(const Json& json, WallTime& out) {
    int64_t milliseconds = 0;
    if (!Read(json, milliseconds) || milliseconds > kMaxWallMilliseconds) return false;
    out = WallTime(std::chrono::milliseconds(milliseconds));
    return true;
  }
  template <typename T>
  static bool Read(const Json& json, std::optional<T>& out) {
    out.reset();
    if (json.is_null()) return true;
    T value{};
    if (!Read(json, value)) return false;
    out = std::move(value);
    return true;
  }
  template <typename T>
  static bool Read(const Json& json, std::vector<T>& out) {
    out.clear();
    if (!json.is_array()) return false;
    for (const Json& item : json) {
      if (!Read(item, out.emplace_back())) return false;
    }
    return true;
  }
  template <typename T, size_t size>
  static bool Read(const Json& json, std::array<T, size>& out) {
    if (!json.is_array() || json.size() != size) return false;
    for (size_t i = 0; i < size; ++i) {
      if (!Read(json[i], out[i])) return false;
    }
    return true;
  }
  template <typename T>
  static bool Read(const Json& json, std::map<std::string, T>& out) {
    out.clear();
    if (!json.is_object()) return false;
    for (const auto& [name, value] : json.items()) {
      if (!Read(value, out[name])) return false;
    }
    return true;
  }
  template <typename T>
  static bool Read(const Json& json, T& out) requires requires {
    EachField(out, [](const char*, auto&) {});
  }
  { return json.is_object() && WrongField(json, out).empty(); }

  // The name of the first field of `record` that `json`, an object, lacks or has wrong; else empty.
  static std::string WrongField(const Json& json, auto& record) {
    std::string wrong;
    EachField(record, [&](const char* name, auto& value) {
      if (!wrong.empty()) return;
      const auto field = json.find(name);
      if (field == json.end() || !Read(*field, value)) wrong = name;
    });
    return wrong;
  }
};

Result<void> WriteFile(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError(errno, path);
  while (!text.empty()) {
    const ssize_t count = ::write(fd.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError(errno, path);
    text.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

// In one step, so that a daemon that is killed in the middle leaves the old text or the new one.
// Without fsync: what is written survives our death in the page cache, and when the machine dies
// the processes that the record is about die with it.
Result<void> ReplaceFile(const std::string& path, std::string_view text) {
  const std::string fresh = path + std::string(kFreshSuffix);
  Result<void> done = WriteFile(fresh, text);
  // A file system that must keep a renamed file whole beyond a power cut (ext4) starts to write it
  // out when it replaces another: a millisecond that nobody needs here. So nothing is replaced, and
  // Load knows what it may find in between.
  if (done) ::unlink(path.c_str());
  if (done && ::rename(fresh.c_str(), path.c_str()) != 0) done = ErrnoError(errno, path);
  if (!done) ::unlink(fresh.c_str());
  return done;
}

// Of a daemon that died between the removal of a record and the renaming of its successor.
void FinishReplacements(const FileRoot& folder) {
  const Result<std::vector<std::string>> names = folder.List(".");
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.ends_with(kFreshSuffix)) continue;
    const std::string base = name.substr(0, name.size() - kFreshSuffix.size());
    if (!folder.Exists(base)) std::rename(folder.PathOf(name).c_str(), folder.PathOf(base).c_str());
  }
}

Error Refusal(const RunRecord& run, ErrorCode code, std::string text) {
  return {code, "process " + std::to_string(run.pid), 0, std::move(text)};
}

// Is there a living process with the number and the start time of `run`?
Result<void> CheckAlive(const FileRoot& proc, const RunRecord& run) {
  ASSIGN_OR_RETURN(const std::string text, proc.Read(std::to_string(run.pid) + "/stat"));
  ASSIGN_OR_RETURN(const ProcessInfo process, ParseStat(text));
  if (process.start_ticks != run.start_ticks) {
    return Refusal(run, ErrorCode::kGone, "is another one with the same number");
  }
  if (!process.IsAlive()) return Refusal(run, ErrorCode::kGone, "has ended");
  // Ours began with a session of its own, which a process cannot leave without a fork.
  if (process.session != run.pid) return Refusal(run, ErrorCode::kInvalid, "leads no session");
  return {};
}

Result<ServiceRecord> LoadRecord(const FileRoot& folder, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string text, folder.Read(name));
  Result<ServiceRecord> record = ParseServiceRecord(text);
  if (!record) record.error().subject = folder.PathOf(name);
  return record;
}

using Marks = std::array<std::pair<std::string_view, std::string>, 3>;  // names and values

Result<void> CheckMarks(std::string_view environment, const RunRecord& run, const Marks& marks) {
  for (const std::string_view entry : Split(environment, '\0')) {
    for (const auto& [name, value] : marks) {
      const bool is_mark = entry.starts_with(name) && entry.substr(name.size()).starts_with('=');
      if (!is_mark || entry.substr(name.size() + 1) == value) continue;
      return Refusal(run, ErrorCode::kInvalid, "its environment says " + ToValidUtf8(entry));
    }
  }
  return {};
}

bool HasAnyMark(std::string_view environment, const Marks& marks) {
  return std::ranges::any_of(marks, [&](const auto& mark) {
    return environment.find(mark.first) != std::string_view::npos;
  });
}

bool IsInOwnCgroup(const FileRoot& proc, const RunRecord& run) {
  const Result<std::string> text = proc.Read(std::to_string(run.pid) + "/cgroup");
  if (!text) return false;
  const std::string line = "0::" + run.cgroup;
  return std::ranges::any_of(Split(*text, '\n'), [&](std::string_view entry) {
    return entry == line || entry.starts_with(line + "/");
  });
}

}  // namespace

std::string FormatServiceRecord(const ServiceRecord& record) {
  Json json = {{"version", kVersion}};
  json.update(Writer::Write(record));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ServiceRecord> ParseServiceRecord(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error{ErrorCode::kParse, "", 0, "is not a record of a service"};
  int version = 0;
  const auto found = json.find("version");
  if (found == json.end() || !Reader::Read(*found, version)) {
    return Error{ErrorCode::kParse, "", 0, "says no version"};
  }
  if (version != kVersion) {
    return Error{ErrorCode::kParse, "", 0,
                 "is of version " + std::to_string(version) + ", only " + std::to_string(kVersion) +
                     " is known"};
  }
  ServiceRecord record;
  const std::string wrong = Reader::WrongField(json, record);
  if (wrong.empty()) return record;
  return Error{ErrorCode::kParse, "", 0, "\"" + wrong + "\" is missing or wrong"};
}

Result<ServiceRecords> ServiceRecords::Open(std::string folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, folder, "cannot be made");
  }
  RETURN_IF_ERROR(FileRoot::Open(folder));
  return ServiceRecords(std::move(folder));
}

std::map<std::string, ServiceRecord> ServiceRecords::Load() const {
  std::map<std::string, ServiceRecord> records;
  const Result<FileRoot> root = FileRoot::Open(folder_);
  if (root) FinishReplacements(*root);
  const auto names = root ? root->List(".") : Result<std::vector<std::string>>(root.error());
  if (!names) {
    spdlog::error("{}", names.error().ToString());
    return records;
  }
  for (const std::string& name : *names) {
    if (!name.ends_with(kSuffix)) continue;
    Result<ServiceRecord> record = LoadRecord(*root, name);
    if (record) {
      records.emplace(name.substr(0, name.size() - kSuffix.size()), std::move(*record));
      continue;
    }
    const std::string path = root->PathOf(name);
    std::rename(path.c_str(), (path + ".damaged").c_str());
    spdlog::error("{}; it is now {}.damaged, and what it told of is not touched",
                  record.error().ToString(), name);
  }
  return records;
}

void ServiceRecords::Save(const std::string& service, const ServiceRecord& record) {
  const std::string path = folder_ + "/" + service + std::string(kSuffix);
  const Result<void> saved = ReplaceFile(path, FormatServiceRecord(record));
  if (saved) {
    if (failed_.erase(service) > 0) spdlog::info("{}: written again", path);
  } else if (failed_.insert(service).second) {
    spdlog::error("{}; a later daemon may not find the service again", saved.error().ToString());
  }
}

void ServiceRecords::Remove(const std::string& service) {
  ::unlink((folder_ + "/" + service + std::string(kSuffix)).c_str());
  failed_.erase(service);
}

std::string ReadBootId(const FileRoot& proc) {
  const Result<std::string> id = proc.Read("sys/kernel/random/boot_id");
  return id ? std::string(Trim(*id)) : std::string();
}

Result<void> VerifyRun(const FileRoot& proc, const RunRecord& run, const std::string& boot_id,
                       const std::string& service, const std::string& data_dir) {
  const std::string this_boot = ReadBootId(proc);
  if (this_boot.empty()) return Refusal(run, ErrorCode::kNoData, "the boot has no known id");
  if (this_boot != boot_id) return Refusal(run, ErrorCode::kGone, "is of another boot");
  RETURN_IF_ERROR(CheckAlive(proc, run));
  ASSIGN_OR_RETURN(const std::string environment, proc.Read(std::to_string(run.pid) + "/environ"));
  const Marks marks = {
      {{kServiceVariable, service}, {kDataDirVariable, data_dir}, {kRunVariable, run.run}}};
  RETURN_IF_ERROR(CheckMarks(environment, run, marks));
  // Servers that show their state in `ps` (nginx, redis, setproctitle in Python) write over the
  // environment that they were started with, so that no mark is left.
  if (!HasAnyMark(environment, marks) && !run.cgroup.empty() && !IsInOwnCgroup(proc, run)) {
    return Refusal(run, ErrorCode::kInvalid, "has no mark of ours and left its cgroup");
  }
  // Once more: it may have ended before its environment was read, which was a successor's then.
  return CheckAlive(proc, run);
}

}  // namespace idlewatt
