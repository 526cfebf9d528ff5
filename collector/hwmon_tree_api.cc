#include <array>
#include <charconv>
#include <cstdio>
#include <set>

#include "base/text.h"
#include "collector/sensors_api.h"

namespace idlewatt {
namespace {

constexpr std::string_view kClass = "class/hwmon";
constexpr int kMaxDevices = 8;  // that stand behind one another

// The channel files of Documentation/hwmon/sysfs-interface.rst.
struct ChannelKind {
  std::string_view prefix;
  SensorKind kind;
  double scale;                            // raw to SI
  std::array<std::string_view, 2> values;  // suffixes, the first that exists counts
};
constexpr std::array<ChannelKind, 6> kChannels{{
    {"temp", SensorKind::kTemperature, 1e-3, {"_input", ""}},
    {"fan", SensorKind::kFan, 1, {"_input", ""}},
    {"in", SensorKind::kVoltage, 1e-3, {"_input", ""}},
    {"curr", SensorKind::kCurrent, 1e-3, {"_input", ""}},
    {"power", SensorKind::kPower, 1e-6, {"_average", "_input"}},
    {"energy", SensorKind::kEnergy, 1e-6, {"_input", ""}},
}};
constexpr std::array<std::string_view, 4> kLimits{"min", "max", "crit", "emergency"};

// "temp1" of "temp1_input", with its kind; nothing for a file that is no channel's value.
struct Channel {
  const ChannelKind* kind = nullptr;
  std::string name;
  bool operator<(const Channel& other) const { return name < other.name; }
};
std::optional<Channel> ChannelOf(std::string_view file) {
  const size_t underscore = file.find('_');
  if (underscore == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = file.substr(underscore);
  for (const ChannelKind& kind : kChannels) {
    if (!file.starts_with(kind.prefix)) continue;
    if (suffix != kind.values[0] && (kind.values[1].empty() || suffix != kind.values[1])) continue;
    if (!ParseNumber<int>(file.substr(kind.prefix.size(), underscore - kind.prefix.size())))
      continue;
    return Channel{&kind, std::string(file.substr(0, underscore))};
  }
  return std::nullopt;
}

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string Hex(unsigned long value, int digits) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%0*lx", digits, value);
  return text.data();
}

std::optional<unsigned long> ParseHex(std::string_view text) {
  unsigned long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "0000:03:00.0" as libsensors packs it: domain, bus, device and function in one number.
std::optional<unsigned long> PciAddress(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() != 3) return std::nullopt;
  const std::vector<std::string_view> slot = Split(parts[2], '.');
  if (slot.size() != 2) return std::nullopt;
  const auto domain = ParseHex(parts[0]);
  const auto bus = ParseHex(parts[1]);
  const auto device = ParseHex(slot[0]);
  const auto function = ParseHex(slot[1]);
  if (!domain || !bus || !device || !function) return std::nullopt;
  return (*domain << 16) + (*bus << 8) + (*device << 3) + *function;
}

// A HID address is "bus:vendor:product.id".
std::optional<std::string> HidAddress(std::string_view id) {
  const auto bus = ParseHex(id.substr(0, id.find(':')));
  const auto number = ParseHex(id.substr(std::min(id.rfind('.'), id.size() - 1) + 1));
  if (!bus || !number) return std::nullopt;
  return "hid-" + std::to_string(*bus) + "-" + Hex(*number, 1);
}

// "pci-0300": bus and address as libsensors writes them; nothing for a bus it does not know.
std::optional<std::string> AddressOn(std::string_view bus, std::string_view id) {
  if (bus == "pci") {
    const auto address = PciAddress(id);
    if (address) return "pci-" + Hex(*address, 4);
  } else if (bus == "i2c") {
    const std::vector<std::string_view> parts = Split(id, '-');
    const auto address = parts.size() == 2 ? ParseHex(parts[1]) : std::nullopt;
    if (address) return "i2c-" + std::string(parts[0]) + "-" + Hex(*address, 2);
  } else if (bus == "hid") {
    return HidAddress(id);
  } else if (bus == "acpi") {
    return "acpi-0";
  } else if (bus == "platform" || bus == "of_platform") {
    const std::string_view number = id.substr(std::min(id.rfind('.'), id.size() - 1) + 1);
    return "isa-" + Hex(ParseNumber<unsigned long>(number).value_or(0), 4);
  }
  return std::nullopt;
}

class HwmonTreeApi final : public SensorsApi {
 public:
  explicit HwmonTreeApi(const FileRoot& sys) : sys_(sys) {}

  Result<std::vector<SensorReading>> Read() override {
    const auto chips = sys_.List(kClass);
    std::vector<SensorReading> readings;
    std::set<std::string> names;
    for (const std::string& entry : chips.value_or(std::vector<std::string>())) {
      const std::string folder = std::string(kClass) + "/" + entry;
      const std::optional<std::string> base_name = ChipName(folder);
      if (!base_name) continue;
      const std::string name = UniqueName(*base_name, names);
      // After it was named, or its namesake would change its name with its sleep.
      const Result<std::string> status = sys_.Read(folder + "/device/power/runtime_status");
      if (status && Trim(*status) == "suspended") continue;
      ReadChip(folder, name, readings);
    }
    if (names.empty()) {
      return Error{ErrorCode::kNoData, sys_.PathOf(kClass), 0, "has no hardware monitoring chip"};
    }
    return readings;
  }

 private:
  // The file of a channel may stand in the chip's folder or, with old drivers, in its device's.
  void ReadChip(const std::string& folder, const std::string& chip,
                std::vector<SensorReading>& out) const {
    std::string where = folder;
    std::set<Channel> channels = ChannelsIn(where);
    if (channels.empty()) {
      where = folder + "/device";
      channels = ChannelsIn(where);
    }
    for (const Channel& channel : channels) {
      const std::string path = where + "/" + channel.name;
      if (sys_.ReadInt(path + "_enable").value_or(1) == 0) continue;
      SensorReading reading{chip,
                            channel.name,
                            LabelOf(path, channel.name),
                            channel.kind->kind,
                            ReadValue(path, *channel.kind),
                            {}};
      if (reading.kind == SensorKind::kTemperature) ReadLimits(path, reading);
      out.push_back(std::move(reading));
    }
  }

  std::set<Channel> ChannelsIn(const std::string& folder) const {
    std::set<Channel> channels;
    const auto files = sys_.List(folder);
    for (const std::string& file : files.value_or(std::vector<std::string>())) {
      if (auto channel = ChannelOf(file)) channels.insert(std::move(*channel));
    }
    return channels;
  }

  Result<double> ReadValue(const std::string& path, const ChannelKind& kind) const {
    for (const std::string_view suffix : kind.values) {
      const std::string file = path + std::string(suffix);
      if (suffix.empty() || !sys_.Exists(file)) continue;
      ASSIGN_OR_RETURN(const int64_t raw, sys_.ReadInt(file));
      return static_cast<double>(raw) * kind.scale;
    }
    return Error{ErrorCode::kGone, sys_.PathOf(path), 0, "has no value to read"};
  }

  void ReadLimits(const std::string& path, SensorReading& out) const {
    for (const std::string_view limit : kLimits) {
      const Result<int64_t> raw = sys_.ReadInt(path + "_" + std::string(limit));
      if (raw) out.limits.emplace_back(limit, static_cast<double>(*raw) * 1e-3);
    }
  }

  std::string LabelOf(const std::string& path, const std::string& sensor) const {
    const Result<std::string> label = sys_.Read(path + "_label");
    return label && !Trim(*label).empty() ? ToValidUtf8(Trim(*label)) : sensor;
  }

  // "name-bus-address" as libsensors builds it; nothing for a chip that has no name.
  std::optional<std::string> ChipName(const std::string& folder) const {
    Result<std::string> name = sys_.Read(folder + "/name");
    if (!name) name = sys_.Read(folder + "/device/name");
    if (!name || Trim(*name).empty()) return std::nullopt;
    return ToValidUtf8(Trim(*name)) + "-" + BusAddress(folder);
  }

  // The nearest device behind the chip that sits on a bus with addresses: the chip of a disk or
  // battery hangs on a class device, which has a `device` of its own.
  std::string BusAddress(const std::string& folder) const {
    std::string path = folder + "/device";
    for (int depth = 0; depth < kMaxDevices; ++depth, path += "/device") {
      const Result<std::string> device = sys_.ReadLink(path);
      if (!device) break;
      const Result<std::string> subsystem = sys_.ReadLink(path + "/subsystem");
      const auto address =
          AddressOn(subsystem ? LastPart(*subsystem) : "platform", LastPart(*device));
      if (address) return *address;
    }
    return "virtual-0";
  }

  const FileRoot& sys_;
};

}  // namespace

std::unique_ptr<SensorsApi> MakeHwmonTreeApi(const FileRoot& sys) {
  return std::make_unique<HwmonTreeApi>(sys);
}

}  // namespace idlewatt
