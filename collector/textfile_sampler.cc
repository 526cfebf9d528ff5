#include "collector/textfile_sampler.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/text.h"

namespace idlewatt {

namespace {

using enum MetricKind;

constexpr Metric kFileTime{"idlewatt_textfile_mtime_seconds",
                           kGauge,
                           "seconds",
                           {{"file"}},
                           "Unix time at which a text file was last written, if it could be read"};
constexpr std::array<const Metric*, 1> kMetrics{&kFileTime};

constexpr std::string_view kSource = "textfile";
constexpr std::string_view kEnding = ".prom";
constexpr size_t kMaxHelp = 1024;

Error Invalid(std::string subject, std::string text) {
  return Error{ErrorCode::kInvalid, std::move(subject), 0, std::move(text)};
}

struct FileText {
  std::string text;
  double modified = 0;  // seconds since 1970
};

bool SameContent(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// One byte more than a file may have tells that it is too large.
Result<std::string> ReadUpToLimit(int fd, const std::string& path) {
  std::string text;
  size_t used = 0;
  while (used <= kMaxPromBytes) {
    if (text.size() - used < 4096) text.resize(std::max<size_t>(2 * used, 16 << 10));
    const size_t room = std::min(text.size(), kMaxPromBytes + 1) - used;
    const ssize_t got = ::read(fd, text.data() + used, room);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, path);
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  text.resize(used);
  return text;
}

Result<FileText> ReadWhole(const FileRoot& folder, const std::string& name) {
  const std::string path = folder.PathOf(name);
  ASSIGN_OR_RETURN(const UniqueFd fd, folder.OpenFile(name));
  struct stat before {};
  struct stat after {};
  if (::fstat(fd.get(), &before) != 0) return ErrnoError(errno, path);
  if (!S_ISREG(before.st_mode)) return Invalid(path, "is not a regular file");
  ASSIGN_OR_RETURN(std::string text, ReadUpToLimit(fd.get(), path));
  if (text.size() > kMaxPromBytes) return Invalid(path, "is larger than 4 MiB");
  if (::fstat(fd.get(), &after) != 0) return ErrnoError(errno, path);
  if (!SameContent(before, after) || static_cast<size_t>(after.st_size) != text.size()) {
    return Error{ErrorCode::kTransient, path, 0, "was written to while it was read"};
  }
  const double modified =
      static_cast<double>(after.st_mtim.tv_sec) + static_cast<double>(after.st_mtim.tv_nsec) * 1e-9;
  return FileText{std::move(text), modified};
}

std::string RemedyOf(ErrorCode code, const std::string& path) {
  switch (code) {
    case ErrorCode::kPermission:
      return "let the user of the daemon read it, as with: chmod a+r " + path;
    case ErrorCode::kParse:
      return "correct the line; a program should write to a file of another ending and then rename "
             "it to " +
             path;
    case ErrorCode::kTransient:
      return "write to a file of another ending and then rename it to " + path;
    case ErrorCode::kInvalid:
      return "change what writes the file, or take it out of the folder";
    default:
      return "";
  }
}

bool IsOwnName(std::string_view name) {
  return name.starts_with("idlewatt_") || name.starts_with("process_");
}

// What the files of one reading gave so far, each with the file that gave it.
class GivenSoFar {
 public:
  // Takes in a file that contradicts nothing, and of any other nothing. `path` is what its error
  // names, `file` what the errors of later files name.
  Result<void> Take(const std::vector<PromFamily>& families, const std::string& path,
                    const std::string& file) {
    GivenSoFar own;
    for (const PromFamily& family : families) {
      for (const PromSample& sample : family.samples) {
        const std::string text = own.Fault(*this, family, sample, file);
        if (!text.empty()) return Invalid(path + ":" + std::to_string(sample.line), text);
      }
    }
    if (samples() + own.samples() > kMaxPromSamples) {
      return Invalid(path, "has " + std::to_string(own.samples()) +
                               " samples, and the files before " + "it have " +
                               std::to_string(samples()) + "; all together may have " +
                               std::to_string(kMaxPromSamples));
    }
    metrics_.merge(own.metrics_);
    series_.merge(own.series_);
    return {};
  }
  size_t samples() const { return series_.size(); }

 private:
  struct Declared {
    PromType type;
    std::string family;
    std::string file;
  };

  // Takes in a sample; gives what is wrong with it, empty when nothing is.
  std::string Fault(const GivenSoFar& earlier, const PromFamily& family, const PromSample& sample,
                    const std::string& file) {
    if (IsOwnName(family.name) || IsOwnName(sample.name)) {
      return "\"" + sample.name + "\" is idlewatt's own, as all names with idlewatt_ and process_";
    }
    if (sample.timestamp_ms) {
      return "has a timestamp; a value counts for the time at which it is read";
    }
    for (const std::string& name : {family.name, sample.name}) {
      const Declared* const other = FindDeclared(earlier, name);
      if (other == nullptr) {
        metrics_.emplace(name, Declared{family.type, family.name, file});
      } else if (other->type != family.type || other->family != family.name) {
        return "\"" + name + "\" is of the " + Name(family.type) + " " + family.name +
               " here, and of the " + Name(other->type) + " " + other->family + " in " +
               other->file;
      }
    }
    const auto [entry, added] = series_.try_emplace(SeriesKey(sample), file);
    if (!added) return "the same series for the second time";
    if (const auto twin = earlier.series_.find(entry->first); twin != earlier.series_.end()) {
      return "the same series as in " + twin->second;
    }
    return "";
  }

  const Declared* FindDeclared(const GivenSoFar& earlier, const std::string& name) const {
    for (const GivenSoFar* given : {&earlier, this}) {
      const auto found = given->metrics_.find(name);
      if (found != given->metrics_.end()) return &found->second;
    }
    return nullptr;
  }

  static std::string Name(PromType type) { return std::string(PromTypeName(type)); }

  // No name and no value holds a NUL; labels are sorted.
  static std::string SeriesKey(const PromSample& sample) {
    std::string key = sample.name;
    for (const auto& [name, value] : sample.labels) {
      key += '\0';
      key += name;
      key += '\0';
      key += value;
    }
    return key;
  }

  std::unordered_map<std::string, Declared> metrics_;  // by name, families and their parts
  std::unordered_map<std::string, std::string> series_;
};

// Quantiles may fall; buckets, sums and counts are counters whatever they are part of.
MetricKind KindOf(const PromFamily& family, const PromSample& sample) {
  switch (family.type) {
    case PromType::kCounter:
    case PromType::kHistogram:
      return kCounter;
    case PromType::kSummary:
      return sample.name == family.name ? kGauge : kCounter;
    case PromType::kGauge:
    case PromType::kUntyped:
      return kGauge;
  }
  return kGauge;
}

// The base unit that a name ends in by Prometheus' rules; empty when it names none.
std::string UnitOf(std::string_view name) {
  if (name.ends_with("_total")) name.remove_suffix(6);
  for (const std::string_view unit : {"seconds", "bytes", "celsius", "joules", "watts", "volts",
                                      "amperes", "hertz", "meters", "grams", "ratio"}) {
    if (name.ends_with(unit) && name.substr(0, name.size() - unit.size()).ends_with('_')) {
      return std::string(unit);
    }
  }
  return "";
}

std::string HelpOf(const PromFamily& family) {
  if (family.help.empty()) return "From a text file, without a help text";
  std::string_view help = std::string_view(family.help).substr(0, kMaxHelp);
  if (help.size() < family.help.size()) {
    // Not in the middle of a character: down to before the byte that begins it.
    const auto inside = [&] {
      return (static_cast<unsigned char>(family.help[help.size()]) & 0xC0) == 0x80;
    };
    while (!help.empty() && inside()) help.remove_suffix(1);
  }
  return ToValidUtf8(help);
}

bool AddSample(const std::shared_ptr<const Metric>& metric, const PromSample& sample,
               Readings& out) {
  std::array<std::string_view, kMaxPromLabels> values;
  for (size_t i = 0; i < sample.labels.size(); ++i) values[i] = sample.labels[i].second;
  return out.Add(metric, std::span(values).first(sample.labels.size()), sample.value);
}

// What was known before goes on; the file counts as read.
void RefuseNewSeries(const std::string& path, const std::string& file, size_t count,
                     Readings& out) {
  out.AddRefused(
      std::string(kSource) + ":" + file, "new series of " + file,
      Invalid(path, std::to_string(count) + " new series are left out: " +
                        std::to_string(Readings::kMostSeries) + " have come within an hour"),
      "take labels out whose values change all the time");
}

}  // namespace

struct TextfileSampler::Pass {
  Readings& out;
  GivenSoFar given;
  size_t files = 0;  // that were read
};

const SamplerInfo& TextfileSampler::Info() {
  static constexpr SamplerInfo kInfo{kSource, "Metrics that other programs leave in *.prom files",
                                     true, kMetrics};
  return kInfo;
}

Result<void> TextfileSampler::Read(TimePoint /*now*/, Readings& out) {
  // Opened anew each time: it may be made, mounted or replaced while the daemon runs.
  const Result<FileRoot> folder = FileRoot::Open(folder_);
  auto names = folder ? folder->List(".") : Result<std::vector<std::string>>(folder.error());
  if (!names) {
    const bool permission = names.error().code == ErrorCode::kPermission;
    out.AddRefused(std::string(kSource), "*.prom files in " + folder_, names.error(),
                   permission ? "let the daemon's user list it, as with: chmod a+rx " + folder_
                              : "create the folder, or correct collector.textfile.dir");
    return names.error();
  }
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(kEnding); });
  Pass pass{out, {}};
  for (size_t i = 0; i < std::min(names->size(), kMaxFiles); ++i) {
    ReadOrRefuse(*folder, (*names)[i], pass);
  }
  out.AddSource(std::string(kSource), std::to_string(pass.given.samples()) + " samples in " +
                                          std::to_string(pass.files) + " files of " + folder_);
  if (names->size() > kMaxFiles) {
    out.AddRefused(
        std::string(kSource) + ":*", "metrics of the other files",
        Invalid(folder_, "has " + std::to_string(names->size()) + " *.prom files; the first " +
                             std::to_string(kMaxFiles) + " are read"),
        "put the metrics into fewer files");
  }
  ForgetUnusedMetrics();
  return {};
}

void TextfileSampler::ReadOrRefuse(const FileRoot& folder, const std::string& name, Pass& pass) {
  const Result<void> read = ReadFile(folder, name, pass);
  if (read) {
    ++pass.files;
    return;
  }
  ForgetUnusedMetrics();  // those that were made for nothing
  // It went after the folder was listed, unless it is a link to nowhere.
  if (read.error().code == ErrorCode::kGone && !folder.ReadLink(name)) return;
  const std::string file = ToValidUtf8(name);
  pass.out.AddRefused(std::string(kSource) + ":" + file, "metrics of " + file, read.error(),
                      RemedyOf(read.error().code, ToValidUtf8(folder.PathOf(name))));
}

// All of a file or nothing of it.
Result<void> TextfileSampler::ReadFile(const FileRoot& folder, const std::string& name,
                                       Pass& pass) {
  const std::string file = ToValidUtf8(name);
  const std::string path = ToValidUtf8(folder.PathOf(name));
  if (file != name) return Invalid(path, "has a name that is not valid UTF-8");
  ASSIGN_OR_RETURN(const FileText read, ReadWhole(folder, name));
  ASSIGN_OR_RETURN(const std::vector<PromFamily> families, ParsePromText(read.text, path));
  // Before anything is given to the registry: there is no way back from it.
  std::vector<std::shared_ptr<const Metric>> metrics;
  for (const PromFamily& family : families) {
    for (const PromSample& sample : family.samples) {
      ASSIGN_OR_RETURN(metrics.emplace_back(), MetricOf(family, sample, file));
    }
  }
  RETURN_IF_ERROR(pass.given.Take(families, path, file));
  size_t left_out = 0;
  auto metric = metrics.begin();
  for (const PromFamily& family : families) {
    for (const PromSample& sample : family.samples) {
      if (!AddSample(*metric++, sample, pass.out)) ++left_out;
    }
  }
  pass.out.Add(kFileTime, {file}, read.modified);
  if (left_out > 0) RefuseNewSeries(path, file, left_out, pass.out);
  return {};
}

// The metric with the name, type and label names of `sample`.
Result<std::shared_ptr<const Metric>> TextfileSampler::MetricOf(const PromFamily& family,
                                                                const PromSample& sample,
                                                                const std::string& path) {
  std::string key = sample.name;
  key += '\0';
  key += PromTypeName(family.type);
  for (const auto& [name, value] : sample.labels) {
    key += '\0';
    key += name;
  }
  const auto known = metrics_.find(key);
  if (known != metrics_.end()) return known->second;
  if (metrics_.size() >= kMaxMetrics) {
    return Invalid(
        path + ":" + std::to_string(sample.line),
        "more than " + std::to_string(kMaxMetrics) +
            " metrics in all files within an hour (a name with other label names is another one)");
  }
  std::vector<std::string> labels;
  for (const auto& label : sample.labels) labels.push_back(label.first);
  const bool untyped = family.type != PromType::kCounter && family.type != PromType::kGauge;
  auto metric = MakeMetric(
      {sample.name, KindOf(family, sample), UnitOf(sample.name), HelpOf(family), untyped}, labels);
  metrics_.emplace(std::move(key), metric);
  return metric;
}

// A metric that nobody but us holds has no series any more. After its files are gone the series
// stay for an hour.
void TextfileSampler::ForgetUnusedMetrics() {
  std::erase_if(metrics_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

}  // namespace idlewatt
