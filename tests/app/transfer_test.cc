// Export and import on real databases.
#include "app/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <bit>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>
#include <tuple>

#include "storage/backfill.h"
#include "storage/history_reader.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kStartMs = 1'700'000'000'000;

// What a command printed, and its exit code.
struct Said {
  int code = 0;
  std::string out, err;
};
Said Capture(const std::function<int()>& command) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Said said;
  said.code = command();
  said.out = testing::internal::GetCapturedStdout();
  said.err = testing::internal::GetCapturedStderr();
  return said;
}

class TransferTest : public ::testing::Test {
 protected:
  std::string Db(const std::string& name = "a") const { return tree_.PathOf(name + ".db"); }

  static Said ImportFile(const std::string& file, const std::string& db) {
    ImportArguments arguments;
    arguments.file = file;
    arguments.db = db;
    return Capture([&] { return ImportCommand(arguments); });
  }
  Said ImportText(const std::string& text, const std::string& db) {
    tree_.Write("in.om", text);
    return ImportFile(tree_.PathOf("in.om"), db);
  }
  // An import that must be right in all.
  void MustImport(const std::string& text, const std::string& db) {
    const Said said = ImportText(text, db);
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(said.err, "");
  }
  static ExportArguments From(const std::string& db, std::vector<std::string> match = {}) {
    ExportArguments arguments;
    arguments.db = db;
    arguments.match = std::move(match);
    return arguments;
  }
  static Said RunExport(const ExportArguments& arguments) {
    return Capture([&] { return ExportCommand(arguments); });
  }
  static std::string Export(const ExportArguments& arguments) {
    const Said said = RunExport(arguments);
    EXPECT_EQ(said.code, 0);
    EXPECT_EQ(said.err, "");
    return said.out;
  }
  static std::string ExportAll(const std::string& db) { return Export(From(db)); }

  using Bits = std::vector<std::pair<int64_t, uint64_t>>;
  using Row = std::tuple<SeriesName, MetricKind, std::string, Bits>;
  // Every series with its points, as bits.
  static std::vector<Row> ContentOf(const std::string& db) {
    std::vector<Row> rows;
    Result<HistoryReader> reader = HistoryReader::Open(db);
    EXPECT_TRUE(reader.ok());
    const Result<std::vector<StoredSeries>> series = reader->FindSeries(nullptr);
    EXPECT_TRUE(series.ok());
    std::vector<PointReader::Request> requests;
    for (const StoredSeries& one : *series) {
      rows.emplace_back(one.name, one.kind, one.unit, Bits());
      requests.push_back({one.id, {}});
    }
    auto points =
        PointReader::Start(reader->db(), std::move(requests), std::numeric_limits<int64_t>::min(),
                           std::numeric_limits<int64_t>::max());
    EXPECT_TRUE(points.ok());
    std::vector<Point> some;
    for (Result<bool> more = (*points)->Next(some); *more; more = (*points)->Next(some)) {
      for (const Point& point : some) {
        std::get<Bits>(rows[(*points)->series()])
            .emplace_back(point.time_ms, std::bit_cast<uint64_t>(point.value));
      }
    }
    return rows;
  }
  static std::vector<std::string> FamiliesOf(const std::string& db) {
    std::vector<std::string> families;
    Result<HistoryReader> reader = HistoryReader::Open(db);
    const auto found = reader->Families();
    EXPECT_TRUE(found.ok());
    for (const MetricFamily& family : *found) {
      families.push_back(family.name + "|" + family.type + "|" + family.unit + "|" + family.help);
    }
    return families;
  }

  FakeTree tree_;
};

// In the form and the order in which an export writes it.
constexpr const char* kHistory = R"(# TYPE a_joules counter
# UNIT a_joules joules
# HELP a_joules Energy, \"all\" of it\nand \\ more
a_joules_total{label="",source="rapl",zone="a\"\\\n"} 0.1 1700000000
a_joules_total{label="",source="rapl",zone="a\"\\\n"} 1e+300 1700000000.5
a_joules_total{label="",source="rapl",zone="a\"\\\n"} 3 1700090000.507
a_joules_total{label="",source="rapl",zone="b"} 12345678901234 1700000000
# TYPE b gauge
# HELP b Odd values
b -0 -1.5
b 5e-324 0
b NaN 1700000000.001
b +Inf 1700000000.002
b -Inf 1700000000.003
# TYPE c_seconds histogram
# UNIT c_seconds seconds
# HELP c_seconds Time
c_seconds_bucket{le="+Inf"} 2 1700000000
c_seconds_bucket{le="0.1"} 1 1700000000
c_seconds_count 2 1700000000
c_seconds_sum 0.25 1700000000
# TYPE d unknown
d{x="ü"} 100000 1700000000
e_total 1 1700000000
f 1 253402300799.999
# EOF
)";

TEST_F(TransferTest, ExportOfAnImportIsTheFileItself) {
  MustImport(kHistory, Db());
  EXPECT_EQ(ExportAll(Db()), kHistory);
}

TEST_F(TransferTest, ImportOfAnExportIsTheSameHistory) {
  MustImport(kHistory, Db("a"));
  MustImport(ExportAll(Db("a")), Db("b"));
  EXPECT_EQ(ContentOf(Db("b")), ContentOf(Db("a")));
  EXPECT_EQ(FamiliesOf(Db("b")), FamiliesOf(Db("a")));
  EXPECT_EQ(ContentOf(Db("a")).size(), 10);
}

TEST_F(TransferTest, ImportedTwiceNothingIsAdded) {
  EXPECT_THAT(ImportText(kHistory, Db()).out,
              HasSubstr("16 samples added, 0 known already, 0 lines refused\n"));
  const auto before = ContentOf(Db());
  EXPECT_THAT(ImportText(kHistory, Db()).out,
              HasSubstr("0 samples added, 16 known already, 0 lines refused\n"));
  EXPECT_EQ(ContentOf(Db()), before);
}

TEST_F(TransferTest, AnyOrderOfTimesGivesTheSameHistory) {
  std::vector<int64_t> times;
  for (int64_t i = 0; i < 5000; ++i) times.push_back(kStartMs + i * 61'001);  // over three days
  const auto line = [](int64_t time_ms) {
    return "m " + std::to_string(time_ms % 977) + " " + std::to_string(time_ms / 1000) + "." +
           std::to_string(1000 + time_ms % 1000).substr(1) + "\n";
  };
  std::string sorted, mixed;
  for (const int64_t time_ms : times) sorted += line(time_ms);
  for (size_t i = 0; i < times.size(); ++i) mixed += line(times[i * 3331 % times.size()]);
  MustImport(sorted + "# EOF\n", Db("sorted"));
  MustImport(mixed + "# EOF\n", Db("mixed"));
  EXPECT_EQ(ContentOf(Db("mixed")), ContentOf(Db("sorted")));
  EXPECT_EQ(std::get<Bits>(ContentOf(Db("mixed"))[0]).size(), times.size());
  // What lies between what is there already.
  MustImport("m 7 1700000030\n# EOF\n", Db("mixed"));
  EXPECT_EQ(std::get<Bits>(ContentOf(Db("mixed"))[0])[1].first, kStartMs + 30'000);
}

TEST_F(TransferTest, TwoValuesOfOneTimeAreBothKeptAndOneTwiceIsOne) {
  const Said said = ImportText("m 1 5\nm 2 5\nm 1 5\nm 2 5\nm 3 6\n# EOF\n", Db());
  EXPECT_THAT(said.out, HasSubstr("3 samples added, 2 known already, 0 lines refused\n"));
  EXPECT_EQ(ExportAll(Db()), "m 1 5\nm 2 5\nm 3 6\n# EOF\n");
  MustImport(ExportAll(Db()), Db("again"));
  EXPECT_EQ(ContentOf(Db("again")), ContentOf(Db()));
}

TEST_F(TransferTest, BadLinesAreToldWithNumberAndReasonAndTheRestIsThere) {
  std::string text = "m 1 1\nm{a=\"1\",a=\"2\"} 1 1\nm 1 2\nm 1\nm 1 3\n";
  const Said said = ImportText(text, Db());
  const std::string file = tree_.PathOf("in.om");
  EXPECT_EQ(said.code, 1);
  EXPECT_EQ(said.out, file + ": 3 samples added, 0 known already, 2 lines refused\n");
  EXPECT_EQ(said.err,
            "idlewatt: " + file + ":2: label \"a\" is given twice\n" +  //
                "idlewatt: " + file + ":4: has no timestamp, and a history needs one\n" +
                "idlewatt: warning: " + file +
                ": does not end with # EOF, so it may be cut short; what it has was taken\n" +
                "idlewatt: " + file +
                ": 2 lines refused, as told above; all others were imported\n");
  for (int i = 0; i < 30; ++i) text += "bad\n";
  const Said many = ImportText(text + "# EOF\n", Db("b"));
  EXPECT_EQ(many.code, 1);
  EXPECT_THAT(many.err,
              HasSubstr(":23: has no value\nidlewatt: " + file + ": and 12 more lines\n"));
}

TEST_F(TransferTest, WhatCannotBeReadLeavesNoDatabase) {
  const Said missing = ImportFile(tree_.PathOf("missing"), Db());
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err,
            "idlewatt: " + tree_.PathOf("missing") + ": cannot read: No such file or directory\n");
  EXPECT_FALSE(std::filesystem::exists(Db()));
  tree_.Write("foreign.db", "not a database, and longer than the head of one would be, by far; " +
                                std::string(4096, 'x'));
  const Said foreign = ImportText(kHistory, Db("foreign"));
  EXPECT_EQ(foreign.code, 1);
  EXPECT_THAT(foreign.err, HasSubstr("foreign.db"));
  EXPECT_THAT(tree_.Read("foreign.db"), StartsWith("not a database"));
}

TEST_F(TransferTest, SelectorsAndTimesChooseWhatIsExported) {
  MustImport(kHistory, Db());
  ExportArguments some = From(Db(), {"b", "a_joules_total{zone!=\"b\"}", "b"});
  some.since = "2023-11-14T22:13:20Z";  // 1700000000, included
  some.until = "2023-11-14T22:13:20.002Z";
  EXPECT_EQ(Export(some),
            "# TYPE a_joules counter\n# UNIT a_joules joules\n"
            "# HELP a_joules Energy, \\\"all\\\" of it\\nand \\\\ more\n"
            "a_joules_total{label=\"\",source=\"rapl\",zone=\"a\\\"\\\\\\n\"} 0.1 1700000000\n"
            "# TYPE b gauge\n# HELP b Odd values\n"
            "b NaN 1700000000.001\nb +Inf 1700000000.002\n# EOF\n");
  EXPECT_EQ(Export(From(Db(), {"nothing"})), "# EOF\n");
  ExportArguments csv = From(Db(), {"c_seconds_bucket"});
  csv.format = "csv";
  EXPECT_EQ(Export(csv),
            "metric,labels,time,time_ms,value\n"
            "c_seconds_bucket,\"{\"\"le\"\":\"\"+Inf\"\"}\",2023-11-14T22:13:20.000Z,"
            "1700000000000,2\n"
            "c_seconds_bucket,\"{\"\"le\"\":\"\"0.1\"\"}\",2023-11-14T22:13:20.000Z,"
            "1700000000000,1\n");
  ExportArguments jsonl = From(Db(), {"d"});
  jsonl.format = "jsonl";
  EXPECT_EQ(Export(jsonl),
            "{\"metric\":\"d\",\"labels\":{\"x\":\"ü\"},\"time_ms\":1700000000000,"
            "\"value\":100000}\n");
  const Said bad = RunExport(From(Db(), {"a{"}));
  EXPECT_EQ(bad.code, 1);
  EXPECT_EQ(bad.out, "");
}

TEST_F(TransferTest, AFileIsReplacedOnlyByAWholeExport) {
  MustImport(kHistory, Db());
  tree_.Write("out.om", "old");
  const auto export_into = [this](const std::string& db, const std::string& output) {
    ExportArguments arguments = From(Db(db));
    arguments.output = output;
    return RunExport(arguments);
  };
  EXPECT_EQ(export_into("a", tree_.PathOf("out.om")).out, "");
  EXPECT_EQ(tree_.Read("out.om"), kHistory);
  for (const auto& entry : std::filesystem::directory_iterator(tree_.path())) {
    EXPECT_EQ(entry.path().string().find("out.om."), std::string::npos) << entry.path();
  }
  EXPECT_EQ(export_into("missing", tree_.PathOf("out.om")).code, 1);
  EXPECT_EQ(tree_.Read("out.om"), kHistory);
  const Said itself = export_into("a", Db("a"));
  EXPECT_EQ(itself.code, 1);
  EXPECT_THAT(itself.err, HasSubstr("is the history itself: name another file"));
  EXPECT_EQ(ExportAll(Db()), kHistory);
  const Said full = export_into("a", "/dev/full");
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.err, HasSubstr("/dev/full: cannot write: No space left on device"));
}

TEST_F(TransferTest, ADamagedFileOfBytesIsRefusedLineByLine) {
  std::string noise;
  for (uint32_t i = 0, state = 1; i < 300'000; ++i) {
    state = state * 1664525 + 1013904223;
    noise += static_cast<char>(state >> 24);
  }
  const Said said = ImportText(noise, Db());
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(said.out, HasSubstr("0 samples added, 0 known already"));
  EXPECT_LT(said.err.size(), 10'000);
}

// ---- Ten million ---------------------------------------------------------------------------

constexpr int64_t kManySeries = 100;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kManyPoints = 10'000;  // a sanitizer takes ten times as long
#else
constexpr int64_t kManyPoints = 100'000;
#endif
constexpr int64_t kBadSeries = 50;
constexpr int64_t kBadPoint = 7;

double ManyValue(int64_t at) { return static_cast<double>(20 + at * 7919 % 31) + 0.5; }

// kMany lines into a pipe: series after series, a value each 5 seconds, one line of them bad.
void WriteMany(const std::string& pipe) {
  std::vector<std::string> ends;  // of the lines of a series; the same for each
  for (int64_t at = 0; at < kManyPoints; ++at) {
    ends.push_back(std::to_string(20 + at * 7919 % 31) + ".5 " +
                   std::to_string(kStartMs / 1000 + at * 5) + "\n");
  }
  std::ofstream out(pipe, std::ios::binary);
  std::string text;
  for (int64_t series = 0; series < kManySeries; ++series) {
    const std::string begin = "watts{source=\"" + std::to_string(series) + "\"} ";
    for (int64_t at = 0; at < kManyPoints; ++at) {
      text += begin;
      if (series == kBadSeries && at == kBadPoint) text += 'x';
      text += ends[static_cast<size_t>(at)];
    }
    out << text;
    text.clear();
  }
  out << "# EOF\n";
}

TEST_F(TransferTest, OneBadLineAmongTenMillionIsNamedAndTheRestIsThere) {
  const std::string pipe = tree_.PathOf("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::signal(SIGPIPE, SIG_IGN);  // an import that fails leaves the pipe early
  std::jthread writer([&pipe] { WriteMany(pipe); });
  const Said said = ImportFile(pipe, Db());
  EXPECT_EQ(said.code, 1);
  EXPECT_EQ(said.out, pipe + ": " + std::to_string(kManySeries * kManyPoints - 1) +
                          " samples added, 0 known already, 1 line refused\n");
  EXPECT_THAT(said.err, StartsWith("idlewatt: " + pipe + ":" +
                                   std::to_string(kBadSeries * kManyPoints + kBadPoint + 1) +
                                   ": the value \"x"));
  // The series of the bad line and some others, to the last point.
  Result<HistoryReader> reader = HistoryReader::Open(Db());
  ASSERT_TRUE(reader.ok());
  const Result<Selector> selector = Selector::Parse("watts{source=~\"5.\"}");
  const auto series = reader->FindSeries(&*selector);
  ASSERT_TRUE(series.ok());
  ASSERT_EQ(series->size(), 10);
  std::vector<PointReader::Request> requests;
  for (const StoredSeries& one : *series) requests.push_back({one.id, {}});
  auto points = PointReader::Start(reader->db(), requests, 0, kStartMs * 2);
  ASSERT_TRUE(points.ok());
  int64_t count = 0;
  int64_t wrong = 0;
  std::vector<Point> some;
  for (Result<bool> more = (*points)->Next(some); *more; more = (*points)->Next(some)) {
    count += static_cast<int64_t>(some.size());
    for (const Point& point : some) {
      const int64_t at = (point.time_ms - kStartMs) / 5000;
      if (point.value != ManyValue(at)) ++wrong;
    }
  }
  EXPECT_EQ(count, 10 * kManyPoints - 1);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace idlewatt
