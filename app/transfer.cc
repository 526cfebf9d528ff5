#include "app/transfer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "app/config.h"
#include "app/database_path.h"
#include "app/exit_code.h"
#include "app/output_file.h"
#include "app/progress.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/unique_fd.h"
#include "exporters/history_export.h"
#include "storage/backfill.h"
#include "storage/history_reader.h"
#include "storage/openmetrics_reader.h"

namespace idlewatt {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;

Error FileError(const std::string& path, const std::string& text) {
  return ErrnoError(errno, path, text);
}

// ---- Export --------------------------------------------------------------------------------

struct Window {
  int64_t since_ms = std::numeric_limits<int64_t>::min();
  int64_t until_ms = std::numeric_limits<int64_t>::max();
};

Result<Window> WindowOf(const ExportArguments& arguments) {
  const WallTime now = RealClock().Now().wall;
  Window window;
  if (!arguments.since.empty()) {
    ASSIGN_OR_RETURN(const WallTime since, ParseTime(arguments.since, now));
    window.since_ms = since.time_since_epoch().count();
  }
  if (!arguments.until.empty()) {
    ASSIGN_OR_RETURN(const WallTime until, ParseTime(arguments.until, now));
    window.until_ms = until.time_since_epoch().count();
  }
  return window;
}

// Series that any of the selectors means, once each; all without one.
Result<std::vector<StoredSeries>> FindSeries(HistoryReader& reader,
                                             const std::vector<Selector>& selectors) {
  if (selectors.empty()) return reader.FindSeries(nullptr);
  std::vector<StoredSeries> found;
  std::set<int64_t> ids;
  for (const Selector& selector : selectors) {
    ASSIGN_OR_RETURN(std::vector<StoredSeries> more, reader.FindSeries(&selector));
    for (StoredSeries& series : more) {
      if (ids.insert(series.id).second) found.push_back(std::move(series));
    }
  }
  return found;
}

ExportFormat FormatOf(const std::string& name) {
  if (name == "csv") return ExportFormat::kCsv;
  return name == "jsonl" ? ExportFormat::kJsonLines : ExportFormat::kOpenMetrics;
}

// Writes the points of `series`. Gives back how many damaged rows were skipped.
Result<size_t> WritePoints(HistoryReader& reader, const std::vector<StoredSeries>& series,
                           const Window& window, HistoryExport& out) {
  std::vector<PointReader::Request> requests;
  requests.reserve(series.size());
  for (const StoredSeries& one : series) requests.push_back({one.id, {}});
  ASSIGN_OR_RETURN(
      const std::unique_ptr<PointReader> points,
      PointReader::Start(reader.db(), std::move(requests), window.since_ms, window.until_ms));
  Progress progress;
  uint64_t samples = 0;
  std::vector<Point> some;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, points->Next(some));
    if (!more) break;
    RETURN_IF_ERROR(out.Add(series[points->series()], some));
    samples += some.size();
    if (!progress.IsDue()) continue;
    const size_t place = points->series();
    progress.Show(static_cast<double>(place) / static_cast<double>(series.size()),
                  "series " + std::to_string(place + 1) + " of " + std::to_string(series.size()),
                  samples);
  }
  RETURN_IF_ERROR(out.Finish());
  return points->damaged_rows();
}

Result<void> Export(const ExportArguments& arguments) {
  const std::string db = DatabasePath(arguments.db);
  ASSIGN_OR_RETURN(const Window window, WindowOf(arguments));
  std::vector<Selector> selectors;
  for (const std::string& match : arguments.match) {
    ASSIGN_OR_RETURN(Selector selector, Selector::Parse(match));
    selectors.push_back(std::move(selector));
  }
  ASSIGN_OR_RETURN(HistoryReader reader, HistoryReader::Open(db));
  std::error_code ignored;
  if (std::filesystem::equivalent(arguments.output, db, ignored)) {
    return Error{ErrorCode::kInvalid, db, 0, "is the history itself: name another file"};
  }
  ASSIGN_OR_RETURN(const std::vector<MetricFamily> families, reader.Families());
  ASSIGN_OR_RETURN(std::vector<StoredSeries> series, FindSeries(reader, selectors));
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::Open(arguments.output));
  HistoryExport out(FormatOf(arguments.format), families,
                    [&output](std::string_view text) { return output.Write(text); });
  out.Sort(series);
  ASSIGN_OR_RETURN(const size_t damaged_rows, WritePoints(reader, series, window, out));
  RETURN_IF_ERROR(output.Finish());
  if (reader.misses_newest()) {
    Warn(db,
         "the folder can't be written to, so what only stands in the -wal file is not exported");
  }
  if (damaged_rows > 0) Warn(db, std::to_string(damaged_rows) + " damaged rows were skipped");
  return {};
}

// ---- Import --------------------------------------------------------------------------------

class BackfillSink final : public OpenMetricsSink {
 public:
  // `backfill` must outlive this object.
  explicit BackfillSink(Backfill& backfill) : backfill_(backfill) {}
  void OnFamily(const MetricFamily& family) override { backfill_.AddFamily(family); }
  size_t OnSeries(const SeriesName& name, MetricKind kind, const std::string& unit) override {
    return backfill_.AddSeries(name, kind, unit);
  }
  Result<void> OnSample(size_t series, int64_t time_ms, double value) override {
    return backfill_.Add(series, time_ms, value);
  }

 private:
  Backfill& backfill_;
};

// The file of an import, read block by block.
class InputFile {
 public:
  // "-" is standard input.
  static Result<InputFile> Open(const std::string& path) {
    InputFile input;
    input.name_ = path == "-" ? "standard input" : path;
    input.fd_.reset(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!input.fd_) return FileError(input.name_, "cannot read");
    struct stat info {};
    if (::fstat(input.fd_.get(), &info) == 0 && S_ISREG(info.st_mode)) {
      input.size_ = static_cast<uint64_t>(info.st_size);
    }
    return input;
  }

  const std::string& name() const { return name_; }
  // Into `block`; empty at the end.
  Result<void> ReadBlock(std::string& block) {
    block.resize(kBlockBytes);
    ssize_t count = 0;
    do {
      count = ::read(fd_.get(), block.data(), block.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return FileError(name_, "cannot read");
    block.resize(static_cast<size_t>(count));
    bytes_ += block.size();
    return {};
  }
  void ShowProgress(Progress& progress, uint64_t samples) const {
    if (size_ == 0) {  // a pipe
      progress.Show(std::nullopt, FormatBytes(bytes_), samples);
    } else {
      progress.Show(static_cast<double>(bytes_) / static_cast<double>(size_),
                    FormatBytes(bytes_) + " of " + FormatBytes(size_), samples);
    }
  }

 private:
  InputFile() = default;

  std::string name_;
  UniqueFd fd_;
  uint64_t size_ = 0;  // 0: not known
  uint64_t bytes_ = 0;
};

struct Imported {
  OpenMetricsReader::Report report;
  Backfill::Counts counts;
};

Result<Imported> Import(InputFile& input, const std::string& db) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Backfill> backfill, Backfill::Open(db));
  BackfillSink sink(*backfill);
  OpenMetricsReader reader(sink);
  Progress progress;
  std::string block;
  while (true) {
    RETURN_IF_ERROR(input.ReadBlock(block));
    if (block.empty()) break;
    RETURN_IF_ERROR(reader.Read(block));
    if (progress.IsDue()) input.ShowProgress(progress, reader.report().samples);
  }
  reader.Finish();
  ASSIGN_OR_RETURN(const Backfill::Counts counts, backfill->Finish());
  return Imported{reader.report(), counts};
}

// The folder of the default database may not be there before the daemon has run once.
Result<void> MakeDefaultFolder() {
  const std::filesystem::path folder = Config::DefaultDataDir();
  std::error_code failure;
  std::filesystem::create_directories(folder.parent_path(), failure);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return FileError(folder.string(), "cannot create the data folder");
  }
  return {};
}

// "1 line", "2 lines".
std::string Counted(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void TellRefusals(const std::string& file, const OpenMetricsReader::Report& report) {
  for (const auto& refusal : report.refusals) {
    std::fprintf(stderr, "idlewatt: %s:%" PRIu64 ": %s\n", file.c_str(), refusal.line,
                 refusal.reason.c_str());
  }
  const uint64_t more = report.refused - report.refusals.size();
  if (more > 0)
    std::fprintf(stderr, "idlewatt: %s: and %s\n", file.c_str(),
                 Counted(more, "more line").c_str());
}

}  // namespace

int ExportCommand(const ExportArguments& arguments) {
  const Result<void> exported = Export(arguments);
  return exported.ok() ? kExitDone : Fail(exported.error());
}

int ImportCommand(const ImportArguments& arguments) {
  Result<InputFile> input = InputFile::Open(arguments.file);
  if (!input) return Fail(input.error());
  if (arguments.db.empty()) {
    const Result<void> made = MakeDefaultFolder();
    if (!made) return Fail(made.error());
  }
  const Result<Imported> imported = Import(*input, DatabasePath(arguments.db));
  if (!imported) return Fail(imported.error());
  const auto& [report, counts] = *imported;
  TellRefusals(input->name(), report);
  if (!report.has_end) {
    Warn(input->name(), "does not end with # EOF, so it may be cut short; what it has was taken");
  }
  std::printf("%s: %s added, %" PRIu64 " known already, %s refused\n", input->name().c_str(),
              Counted(counts.added, "sample").c_str(), counts.known,
              Counted(report.refused, "line").c_str());
  if (report.refused == 0) return kExitDone;
  return Fail(
      {ErrorCode::kInvalid, input->name(), 0,
       Counted(report.refused, "line") + " refused, as told above; all others were imported"});
}

}  // namespace idlewatt
