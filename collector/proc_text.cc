#include "collector/proc_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

#include "base/text.h"

namespace idlewatt {
namespace {

Error NotParsed(std::string what, std::string_view text) {
  return Error{ErrorCode::kParse, std::move(what), 0,
               "cannot make sense of \"" + ToValidUtf8(text.substr(0, 60)) + "\""};
}

constexpr int32_t kMaxInt = std::numeric_limits<int32_t>::max();
// More would not hold in bytes: pages have at most 64 KiB.
constexpr int64_t kMaxPages = std::numeric_limits<int64_t>::max() / 65536;

// Reads the fields after the name of /proc/PID/stat one by one; any bad field spoils the whole.
class FieldReader {
 public:
  explicit FieldReader(std::string_view rest) : rest_(rest) {}

  char Char() {
    const std::string_view field = NextField(rest_);
    if (field.size() != 1 || std::isalpha(static_cast<unsigned char>(field[0])) == 0) good_ = false;
    return field.empty() ? '?' : field[0];
  }
  template <typename T>
  T Number() {
    const auto value = ParseNumber<T>(NextField(rest_));
    if (!value) good_ = false;
    return value.value_or(T{});
  }
  template <typename T>
  T Within(T least, T most) {
    const T value = Number<T>();
    if (value < least || value > most) good_ = false;
    return value;
  }
  uint64_t NotNegative() { return static_cast<uint64_t>(std::max<int64_t>(Number<int64_t>(), 0)); }
  void Skip(int count) {
    for (; count > 0; --count) NextField(rest_);
  }
  bool good() const { return good_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

Result<void> ParsePidStat(std::string_view text, PidStat& stat) {
  text = Trim(text);
  const size_t open = text.find(" (");
  const size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2) {
    return NotParsed("stat", text);
  }
  const auto pid = ParseNumber<int32_t>(text.substr(0, open));
  if (!pid || *pid <= 0) return NotParsed("stat", text);
  stat.pid = *pid;
  stat.comm.assign(text.substr(open + 2, close - open - 2));
  FieldReader fields(text.substr(close + 2));
  stat.state = fields.Char();
  stat.parent = fields.Within<int32_t>(0, kMaxInt);
  fields.Skip(1);  // process group
  stat.session = fields.Number<int32_t>();
  fields.Skip(2);  // terminal and its foreground group
  stat.flags = fields.Number<uint32_t>();
  fields.Skip(4);  // page faults
  stat.user = fields.Number<uint64_t>();
  stat.system = fields.Number<uint64_t>();
  stat.children_user = fields.NotNegative();
  stat.children_system = fields.NotNegative();
  fields.Skip(2);  // priority, nice
  stat.threads = fields.Within<int32_t>(0, kMaxInt);
  fields.Skip(1);  // itrealvalue
  stat.start = fields.Number<uint64_t>();
  fields.Skip(1);  // virtual size
  stat.rss_pages = fields.Within<int64_t>(-kMaxPages, kMaxPages);
  if (!fields.good()) return NotParsed("stat", text);
  return {};
}

Result<std::vector<uint64_t>> ParseHostCpu(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (NextField(line) != "cpu") return NotParsed("stat", text);
  std::vector<uint64_t> ticks;
  while (ticks.size() < kCpuModes.size()) {
    const std::string_view field = NextField(line);
    if (field.empty()) break;
    const auto value = ParseNumber<uint64_t>(field);
    if (!value) return NotParsed("stat", text);
    ticks.push_back(*value);
  }
  if (ticks.size() < 4) return NotParsed("stat", text);
  return ticks;
}

namespace {

// What follows "key:" in a text of such lines; empty when there is none.
std::string_view AfterKey(std::string_view text, std::string_view key) {
  for (const std::string_view line : Split(text, '\n')) {
    if (line.starts_with(key) && line.substr(key.size(), 1) == ":") {
      return line.substr(key.size() + 1);
    }
  }
  return {};
}

}  // namespace

std::optional<double> MeminfoBytes(std::string_view text, std::string_view key) {
  std::string_view rest = AfterKey(text, key);
  const auto value = ParseNumber<uint64_t>(NextField(rest));
  if (!value) return std::nullopt;
  return static_cast<double>(*value) * (NextField(rest) == "kB" ? 1024.0 : 1.0);
}

Result<std::vector<std::pair<std::string, Microseconds>>> ParsePressure(std::string_view text) {
  std::vector<std::pair<std::string, Microseconds>> totals;
  for (std::string_view line : Split(text, '\n')) {
    const std::string_view kind = NextField(line);
    const size_t at = line.find("total=");
    const bool known = std::any_of(totals.begin(), totals.end(),
                                   [&](const auto& total) { return total.first == kind; });
    if ((kind != "some" && kind != "full") || known || at == std::string_view::npos) {
      return NotParsed("pressure", text);
    }
    const auto total = ParseNumber<int64_t>(Trim(line.substr(at + 6)));
    if (!total || *total < 0) return NotParsed("pressure", text);
    totals.emplace_back(kind, Microseconds{*total});
  }
  if (totals.empty()) return NotParsed("pressure", text);
  return totals;
}

std::string ParseCgroup(std::string_view text) {
  std::string_view systemd_v1;
  for (const std::string_view line : Split(text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (line.starts_with("0::") && path != "/" && !path.empty()) return std::string(path);
    if (controllers == "name=systemd") systemd_v1 = path;
  }
  return systemd_v1.empty() ? "/" : std::string(systemd_v1);
}

namespace {

constexpr size_t kShortId = 12;  // as docker and podman show it

bool IsHexId(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "docker-<64 hex>.scope", "/docker/<64 hex>", "libpod-…", "cri-containerd-…", "crio-…".
std::optional<std::string> ContainerName(std::string_view parent, std::string_view part) {
  if (part.ends_with(".scope")) part.remove_suffix(6);
  std::string_view engine = parent;
  const size_t dash = part.rfind('-');
  if (dash != std::string_view::npos) {
    engine = part.substr(0, dash);
    part.remove_prefix(dash + 1);
  }
  if (!IsHexId(part)) return std::nullopt;
  if (engine == "cri-containerd") engine = "containerd";
  // The folder above is no engine when it is a slice, a pod or a task.
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz-_";
  if (engine.empty() || engine.find_first_not_of(kLetters) != std::string_view::npos) {
    engine = "container";
  }
  return std::string(engine) + "-" + std::string(part.substr(0, kShortId));
}

}  // namespace

std::optional<std::string> CgroupGroup(std::string_view cgroup) {
  const std::vector<std::string_view> parts = Split(cgroup, '/');
  // A container first, wherever it is: what runs inside it may have units of its own.
  for (size_t i = 0; i < parts.size(); ++i) {
    if (auto name = ContainerName(i == 0 ? "" : parts[i - 1], parts[i])) return name;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    // The manager of a user's units is no service of its own; what it runs below itself is.
    if (part->ends_with(".service") && !part->starts_with("user@")) return ToValidUtf8(*part);
    if (part->ends_with(".scope") && part->starts_with("app-")) return ToValidUtf8(*part);
  }
  return std::nullopt;
}

Result<CgroupCpuStat> ParseCgroupCpuStat(std::string_view text) {
  const std::optional<int64_t> user = NumberOfKey(text, "user_usec");
  const std::optional<int64_t> system = NumberOfKey(text, "system_usec");
  if (!user || !system || *user < 0 || *system < 0) return NotParsed("cpu.stat", text);
  return CgroupCpuStat{Microseconds{*user}, Microseconds{*system}};
}

Result<PidIo> ParsePidIo(std::string_view text) {
  const auto read = ParseNumber<uint64_t>(Trim(AfterKey(text, "read_bytes")));
  const auto written = ParseNumber<uint64_t>(Trim(AfterKey(text, "write_bytes")));
  if (!read || !written) return NotParsed("io", text);
  return PidIo{*read, *written};
}

namespace {

// The port of "0100007F:1F90"; nothing without four hexadecimal digits.
std::optional<uint16_t> PortOf(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || address.size() != colon + 5) return std::nullopt;
  uint16_t port = 0;
  const char* const end = address.data() + address.size();
  const auto [rest, error] = std::from_chars(end - 4, end, port, 16);
  if (error != std::errc() || rest != end) return std::nullopt;
  return port;
}

}  // namespace

std::vector<TcpListener> ParseTcpListeners(std::string_view text) {
  constexpr std::string_view kListen = "0A";
  std::vector<TcpListener> listeners;
  for (std::string_view line : Split(text, '\n')) {
    NextField(line);  // number
    const auto port = PortOf(NextField(line));
    NextField(line);  // remote
    if (!port || NextField(line) != kListen) continue;
    for (int skipped = 0; skipped < 5; ++skipped) NextField(line);  // queues, timers, uid
    const auto inode = ParseNumber<uint64_t>(NextField(line));
    if (inode) listeners.push_back({*port, *inode});
  }
  return listeners;
}

}  // namespace idlewatt
