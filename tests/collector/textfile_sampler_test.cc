#include "collector/textfile_sampler.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "tests/collector/readings_support.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

class TextfileSamplerTest : public ::testing::Test {
 protected:
  // Reads, and gives the values without those about the files.
  std::map<std::string, double> Read() {
    driver.ReadAfter(seconds(5));
    EXPECT_TRUE(driver.result) << driver.result.error().ToString();
    auto values = driver.values;
    std::erase_if(values, [](const auto& v) { return v.first.starts_with("idlewatt_"); });
    return values;
  }
  // The row of a refused file: its error, with its folder left out, and its remedy.
  std::string Refused(const std::string& file) const {
    for (const SourceStatus& row : driver.rows) {
      if (row.source != "textfile:" + file || !row.error) continue;
      EXPECT_FALSE(row.remedy.empty()) << file;
      std::string text = row.error->ToString();
      const size_t at = text.find(tree.path() + "/");
      if (at != std::string::npos) text.erase(at, tree.path().size() + 1);
      return text;
    }
    return "";
  }
  size_t RefusedRows() const {
    size_t count = 0;
    for (const SourceStatus& row : driver.rows) count += row.error ? 1 : 0;
    return count;
  }
  static std::string Numbered(const std::string& name, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += name + "{n=\"" + std::to_string(i) + "\"} 1\n";
    return text;
  }

  FakeTree tree;
  TextfileSampler sampler{tree.path()};
  SamplerDriver driver{sampler};
};

TEST_F(TextfileSamplerTest, EveryPromFileIsReadAndNothingElse) {
  tree.Write("b.prom", "b 2\n");
  tree.Write("a.prom", "# TYPE a_total counter\na_total{x=\"y\"} 1\n");
  tree.Write("a.prom.tmp", "c 3\n");
  tree.Write("README", "no metrics\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("a_total{x=\"y\"}", 1), Pair("b", 2)));
  EXPECT_EQ(driver.sources["textfile"], "2 samples in 2 files of " + tree.path());
  EXPECT_EQ(RefusedRows(), 0U);
}

TEST_F(TextfileSamplerTest, AnEmptyFolderAndEmptyFilesGiveNothing) {
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_EQ(driver.sources["textfile"], "0 samples in 0 files of " + tree.path());
  tree.Write("a.prom", "");
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_EQ(RefusedRows(), 0U);
}

TEST_F(TextfileSamplerTest, WithoutItsFolderTheReadFailsAndLaterSucceeds) {
  TextfileSampler other(tree.PathOf("later"));
  SamplerDriver reader(other);
  reader.Read();
  EXPECT_EQ(reader.result.error().code, ErrorCode::kGone);
  EXPECT_EQ(reader.sources["textfile"], "!gone");
  EXPECT_THAT(reader.rows[0].remedy, HasSubstr("collector.textfile.dir"));
  tree.Write("later/a.prom", "a 1\n");
  reader.Read();
  EXPECT_TRUE(reader.result.ok());
  EXPECT_EQ(reader.values.at("a"), 1);
}

TEST_F(TextfileSamplerTest, TheTimeOfEachFileThatWasReadIsGiven) {
  tree.Write("a.prom", "a 1\n");
  tree.Write("bad.prom", "a\n");
  const std::array<timespec, 2> times{{{1'700'000'000, 500'000'000}, {1'700'000'000, 500'000'000}}};
  ASSERT_EQ(::utimensat(AT_FDCWD, tree.PathOf("a.prom").c_str(), times.data(), 0), 0);
  Read();
  EXPECT_EQ(driver.values.at("idlewatt_textfile_mtime_seconds{file=\"a.prom\"}"), 1'700'000'000.5);
  EXPECT_FALSE(driver.values.contains("idlewatt_textfile_mtime_seconds{file=\"bad.prom\"}"));
}

TEST_F(TextfileSamplerTest, ValuesThatAreNotFiniteAreLeftOut) {
  tree.Write("a.prom", "a NaN\nb +Inf\nc -Inf\nd 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("d", 1)));
}

TEST_F(TextfileSamplerTest, OneBadFileHarmsNoOther) {
  tree.Write("a.prom", "a 1\n");
  tree.Write("b.prom", "b 1\nb{ 2\n");
  tree.Write("c.prom", "c 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 1), Pair("c", 1)));
  EXPECT_EQ(driver.sources["textfile:b.prom"], "!parse");
  EXPECT_EQ(Refused("b.prom"), "b.prom:2: expected the name of a label before \"2\"");
  EXPECT_EQ(driver.sources["textfile"], "2 samples in 2 files of " + tree.path());
}

TEST_F(TextfileSamplerTest, AFileThatIsCutShortGivesNothing) {
  tree.Write("a.prom", "a 1\nb 12");
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_THAT(Refused("a.prom"), HasSubstr("a.prom:2: does not end with a line feed"));
  tree.Write("a.prom", "a 1\nb 123\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 1), Pair("b", 123)));
}

TEST_F(TextfileSamplerTest, WhatIsNoFileIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(::mkfifo(tree.PathOf("fifo.prom").c_str(), 0600), 0);
  tree.MakeDir("folder.prom");
  tree.Link("device.prom", "/dev/zero");
  tree.Write("z.prom", "z 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("z", 1)));
  for (const std::string name : {"fifo.prom", "folder.prom", "device.prom"}) {
    EXPECT_EQ(Refused(name), name + ": is not a regular file");
  }
}

TEST_F(TextfileSamplerTest, ALinkToNowhereIsTold) {
  tree.Link("a.prom", "nowhere");
  Read();
  EXPECT_EQ(driver.sources["textfile:a.prom"], "!gone");
}

TEST_F(TextfileSamplerTest, AFileWithoutRightIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  tree.Write("a.prom", "a 1\n");
  ASSERT_EQ(::chmod(tree.PathOf("a.prom").c_str(), 0), 0);
  Read();
  EXPECT_EQ(driver.sources["textfile:a.prom"], "!permission");
  EXPECT_THAT(driver.rows[0].remedy, HasSubstr("chmod"));
}

// A file of the kernel has other bytes than its size says, as one that is just being written.
TEST_F(TextfileSamplerTest, AFileThatChangesWhileItIsReadIsRefused) {
  tree.Link("a.prom", "/proc/self/cgroup");
  Read();
  EXPECT_EQ(driver.sources["textfile:a.prom"], "!transient");
  EXPECT_EQ(Refused("a.prom"), "a.prom: was written to while it was read");
}

TEST_F(TextfileSamplerTest, LargeFilesAreRefused) {
  tree.Write("a.prom", "#" + std::string(kMaxPromBytes - 1, 'x') + "\n");
  tree.Write("b.prom", "#" + std::string(kMaxPromBytes - 6, 'x') + "\nb 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("b", 1)));
  EXPECT_EQ(Refused("a.prom"), "a.prom: is larger than 4 MiB");
}

TEST_F(TextfileSamplerTest, AllFilesTogetherHaveTenThousandSamples) {
  tree.Write("a.prom", Numbered("a", 6000));
  tree.Write("b.prom", Numbered("b", 4001));
  tree.Write("c.prom", Numbered("c", 4000));
  EXPECT_EQ(Read().size(), 10'000U);
  EXPECT_EQ(Refused("b.prom"),
            "b.prom: has 4001 samples, and the files before it have 6000; all together may have "
            "10000");
  EXPECT_EQ(Refused("c.prom"), "");
}

TEST_F(TextfileSamplerTest, TooManyFilesAreTold) {
  for (size_t i = 1000; i < 1001 + TextfileSampler::kMaxFiles; ++i) {
    tree.Write("f" + std::to_string(i) + ".prom", "m" + std::to_string(i) + " 1\n");
  }
  EXPECT_EQ(Read().size(), TextfileSampler::kMaxFiles);
  EXPECT_EQ(Refused("*").find("has 257 *.prom files"), tree.path().size() + 2) << Refused("*");
}

TEST_F(TextfileSamplerTest, NamesOfIdlewattAreRefused) {
  tree.Write("a.prom", "idlewatt_power_watts{source=\"rapl\",domain=\"package-0\"} 1\n");
  tree.Write("b.prom", "process_open_fds 1\n");
  tree.Write("c.prom", "my_idlewatt_process_x 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("my_idlewatt_process_x", 1)));
  EXPECT_EQ(driver.sources["textfile:a.prom"], "!invalid");
  EXPECT_EQ(Refused("b.prom"),
            "b.prom:1: \"process_open_fds\" is idlewatt's own, as all names with idlewatt_ and "
            "process_");
}

TEST_F(TextfileSamplerTest, TimestampsAreRefused) {
  tree.Write("a.prom", "a 1\na{b=\"c\"} 1 1700000000000\n");
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_EQ(Refused("a.prom"),
            "a.prom:2: has a timestamp; a value counts for the time at which it is read");
}

TEST_F(TextfileSamplerTest, ASeriesGivenTwiceIsRefused) {
  tree.Write("a.prom", "a{x=\"1\",y=\"2\"} 1\n");
  tree.Write("b.prom", "b 1\na{y=\"2\",x=\"1\",z=\"\"} 1\n");
  tree.Write("c.prom", "c{x=\"\"} 1\nc 2\n");
  tree.Write("d.prom", "b 1\n");  // given by b.prom, which gives nothing
  EXPECT_THAT(Read(), ElementsAre(Pair("a{x=\"1\",y=\"2\"}", 1), Pair("b", 1)));
  EXPECT_EQ(Refused("b.prom"), "b.prom:2: the same series as in a.prom");
  EXPECT_EQ(Refused("c.prom"), "c.prom:2: the same series for the second time");
}

TEST_F(TextfileSamplerTest, ATypeThatContradictsAnEarlierFileIsRefused) {
  tree.Write("a.prom", "# TYPE a gauge\na{f=\"a\"} 1\n# TYPE h histogram\nh_count 1\n");
  tree.Write("b.prom", "# TYPE a counter\na{f=\"b\"} 1\n");
  tree.Write("c.prom", "a{f=\"c\"} 1\n");
  tree.Write("d.prom", "# TYPE h_count counter\nh_count{f=\"d\"} 1\n");
  tree.Write("e.prom", "# TYPE a gauge\na{f=\"e\"} 1\n# TYPE h histogram\nh_count{f=\"e\"} 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("a{f=\"a\"}", 1), Pair("a{f=\"e\"}", 1), Pair("h_count", 1),
                                  Pair("h_count{f=\"e\"}", 1)));
  EXPECT_EQ(Refused("b.prom"),
            "b.prom:2: \"a\" is of the counter a here, and of the gauge a in a.prom");
  EXPECT_EQ(Refused("c.prom"),
            "c.prom:1: \"a\" is of the untyped a here, and of the gauge a in a.prom");
  EXPECT_EQ(
      Refused("d.prom"),
      "d.prom:2: \"h_count\" is of the counter h_count here, and of the histogram h in a.prom");
}

TEST_F(TextfileSamplerTest, AFamilyMayHaveSeriesWithOtherLabels) {
  tree.Write("a.prom", "a{x=\"1\"} 1\na{y=\"1\"} 2\na 3\n");
  tree.Write("b.prom", "a{x=\"1\",z=\"1\"} 4\n");
  EXPECT_THAT(Read(), UnorderedElementsAre(Pair("a", 3), Pair("a{x=\"1\"}", 1),
                                           Pair("a{x=\"1\",z=\"1\"}", 4), Pair("a{y=\"1\"}", 2)));
}

// The kind, whether /metrics shows a type, unit and help of each metric.
TEST_F(TextfileSamplerTest, MetricsSayWhatTheFileSays) {
  tree.Write("a.prom",
             "# HELP c_total Bytes\n# TYPE c_total counter\nc_total 1\n"
             "# TYPE g_seconds gauge\ng_seconds 1\nu 1\n"
             "# HELP h_bytes Sizes\n# TYPE h_bytes histogram\n"
             "h_bytes_bucket{le=\"1\"} 1\nh_bytes_sum 1\nh_bytes_count 1\n"
             "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\n");
  SeriesRegistry registry;
  Readings readings(registry);
  ASSERT_TRUE(sampler.Read(driver.clock.Now(), readings).ok());
  std::map<std::string, std::string> metrics;
  for (const Sample& sample : readings.samples) {
    const Metric& metric = *registry.Find(sample.series)->metric;
    metrics[std::string(metric.name)] =
        std::string(metric.kind == MetricKind::kCounter ? "counter" : "gauge") +
        (metric.untyped ? " untyped [" : " [") + std::string(metric.unit) + "] " +
        std::string(metric.help);
  }
  metrics.erase("idlewatt_textfile_mtime_seconds");
  const std::string no_help = "From a text file, without a help text";
  EXPECT_THAT(metrics, ElementsAre(Pair("c_total", "counter [] Bytes"),
                                   Pair("g_seconds", "gauge [seconds] " + no_help),
                                   Pair("h_bytes_bucket", "counter untyped [] Sizes"),
                                   Pair("h_bytes_count", "counter untyped [] Sizes"),
                                   Pair("h_bytes_sum", "counter untyped [] Sizes"),
                                   Pair("s", "gauge untyped [] " + no_help),
                                   Pair("s_sum", "counter untyped [] " + no_help),
                                   Pair("u", "gauge untyped [] " + no_help)));
}

TEST_F(TextfileSamplerTest, LongHelpIsCutBetweenCharacters) {
  std::string help = "x";
  while (help.size() < 2000) help += "\xC3\xA4";
  tree.Write("a.prom", "# HELP a " + help + "\na 1\n");
  SeriesRegistry registry;
  Readings readings(registry);
  ASSERT_TRUE(sampler.Read(driver.clock.Now(), readings).ok());
  const std::string_view cut = registry.Find(readings.samples.at(0).series)->metric->help;
  EXPECT_EQ(cut, help.substr(0, 1023));
}

TEST_F(TextfileSamplerTest, ASeriesKeepsItsIdFromTickToTick) {
  SeriesRegistry registry;
  const auto read = [&] {
    Readings readings(registry);
    EXPECT_TRUE(sampler.Read(driver.clock.Now(), readings).ok());
    return readings.samples.at(0).series;
  };
  tree.Write("a.prom", "# TYPE a gauge\na{x=\"1\"} 1\n");
  const SeriesId id = read();
  EXPECT_EQ(read(), id);
  tree.Write("a.prom", "# HELP a Help that came later\n# TYPE a gauge\na{x=\"1\"} 1\n");
  EXPECT_EQ(read(), id);
  tree.Write("a.prom", "# TYPE a counter\na{x=\"1\"} 1\n");
  EXPECT_NE(read(), id);
  tree.Write("a.prom", "# TYPE a gauge\na{y=\"1\"} 1\n");
  const SeriesId other = read();
  EXPECT_NE(other, id);
  EXPECT_EQ(registry.Find(other)->ToString(), "a{y=\"1\"}");
  EXPECT_EQ(registry.Find(id)->ToString(), "a{x=\"1\"}");
}

TEST_F(TextfileSamplerTest, SeriesOutliveTheSampler) {
  tree.Write("a.prom", "# HELP a_metric_with_a_long_name Help\na_metric_with_a_long_name 1\n");
  auto registry = std::make_unique<SeriesRegistry>();
  auto short_lived = std::make_unique<TextfileSampler>(tree.path());
  Readings readings(*registry);
  ASSERT_TRUE(short_lived->Read(driver.clock.Now(), readings).ok());
  const std::shared_ptr<const Series> series = registry->Find(readings.samples.at(0).series);
  short_lived.reset();
  registry.reset();
  EXPECT_EQ(series->ToString(), "a_metric_with_a_long_name");
  EXPECT_EQ(series->metric->help, "Help");
}

TEST_F(TextfileSamplerTest, MetricsAreBoundedAndRoomComesBack) {
  std::string many;
  for (size_t i = 0; i < TextfileSampler::kMaxMetrics; ++i)
    many += "m" + std::to_string(i) + " 1\n";
  tree.Write("a.prom", "a 1\n");
  tree.Write("b.prom", many);
  tree.Write("c.prom", "c 1\n");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 1), Pair("c", 1)));
  EXPECT_THAT(Refused("b.prom"), HasSubstr("b.prom:1000: more than 1000 metrics"));
  tree.Remove("a.prom");
  tree.Remove("c.prom");
  // The series of a and c are still held: they end when the snapshot says so.
  SeriesRegistry registry;
  TextfileSampler fresh(tree.path());
  Readings readings(registry);
  ASSERT_TRUE(fresh.Read(driver.clock.Now(), readings).ok());
  EXPECT_EQ(readings.samples.size(), TextfileSampler::kMaxMetrics + 1);
  for (const Sample& sample : readings.samples) registry.End(sample.series);
  tree.Write("b.prom", "b 1\n");
  readings.Clear();
  ASSERT_TRUE(fresh.Read(driver.clock.Now(), readings).ok());
  tree.Write("b.prom", many);
  for (const Sample& sample : readings.samples) registry.End(sample.series);
  readings.Clear();
  ASSERT_TRUE(fresh.Read(driver.clock.Now(), readings).ok());
  EXPECT_EQ(readings.samples.size(), TextfileSampler::kMaxMetrics + 1);
}

// A label that holds the time of day makes new series at every tick, and each is kept for an hour.
TEST_F(TextfileSamplerTest, SeriesThatNeverComeBackAreBounded) {
  static constexpr Metric kBefore{"before", MetricKind::kGauge, "", {{"n"}}, ""};
  SeriesRegistry registry;
  for (size_t i = 0; i + 2 < Readings::kMostSeries; ++i) {
    registry.Intern(kBefore, {std::to_string(i)});
  }
  Readings readings(registry);
  for (int tick = 0; tick < 3; ++tick) {
    tree.Write("a.prom", "stays 1\na{t=\"" + std::to_string(tick) + "\"} 1\nb 1\n");
    readings.Clear();
    ASSERT_TRUE(sampler.Read(driver.clock.Now(), readings).ok());
  }
  ASSERT_EQ(readings.samples.size(), 2U);  // what stays, and the time of the file
  EXPECT_EQ(registry.Find(readings.samples[0].series)->ToString(), "stays");
  EXPECT_EQ(registry.size(), Readings::kMostSeries + 1);  // our own always finds room
  const SourceStatus& row = readings.sources.front();
  EXPECT_EQ(row.source, "textfile:a.prom");
  EXPECT_THAT(row.error.value_or(Error()).text, HasSubstr("2 new series are left out"));
}

}  // namespace
}  // namespace idlewatt
