#include "exporters/prometheus_exporter.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <map>
#include <ostream>
#include <streambuf>
#include <utility>

#include "base/text.h"
#include "exporters/version.h"

namespace idlewatt {
namespace {

prometheus::MetricType TypeOf(const Metric& metric) {
  if (metric.untyped) return prometheus::MetricType::Untyped;
  return metric.kind == MetricKind::kCounter ? prometheus::MetricType::Counter
                                             : prometheus::MetricType::Gauge;
}

// prometheus-cpp writes a help text as it is: a line feed would end the line.
std::string EscapeHelp(std::string_view help) {
  std::string out;
  out.reserve(help.size());
  for (const char c : help) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

prometheus::MetricFamily FamilyOf(const Metric& metric) {
  prometheus::MetricFamily family;
  family.name = metric.name;
  family.help = EscapeHelp(metric.help);
  family.type = TypeOf(metric);
  return family;
}

// The first `count` labels of `series`.
std::vector<prometheus::ClientMetric::Label> LabelsOf(const Series& series, size_t count) {
  std::vector<prometheus::ClientMetric::Label> labels;
  labels.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    labels.push_back({std::string(series.metric->labels.names[i]), series.labels[i]});
  }
  return labels;
}

prometheus::ClientMetric ClientMetricOf(const SnapshotValue& value) {
  prometheus::ClientMetric client;
  const Series& series = *value.series;
  client.label = LabelsOf(series, series.labels.size());
  if (series.metric->untyped) {
    client.untyped.value = value.value;
  } else if (series.metric->kind == MetricKind::kCounter) {
    client.counter.value = value.value;
  } else {
    client.gauge.value = value.value;
  }
  return client;
}

// Puts the parts of histograms together again: a snapshot has them in the order of their names, not
// beside each other, and their buckets in the order of texts.
class Histograms {
 public:
  void Add(const SnapshotValue& part) {
    const Series& series = *part.series;
    const Metric& metric = *series.metric;
    const std::string_view kind = metric.name.substr(metric.histogram.size());
    const size_t labels = series.labels.size() - (kind == "_bucket" ? 1 : 0);
    const auto end = series.labels.begin() + static_cast<ptrdiff_t>(labels);
    Family& family = families_.try_emplace(metric.histogram, Family{&metric, {}}).first->second;
    prometheus::ClientMetric& client = family.members[{series.labels.begin(), end}];
    if (client.label.empty()) client.label = LabelsOf(series, labels);
    if (kind == "_bucket") {
      client.histogram.bucket.push_back(
          {static_cast<uint64_t>(part.value), BoundOf(series.labels.back())});
    } else if (kind == "_count") {
      client.histogram.sample_count = static_cast<uint64_t>(part.value);
    } else {
      client.histogram.sample_sum = part.value;
    }
  }

  void MoveTo(std::vector<prometheus::MetricFamily>& out) {
    for (auto& [name, family] : families_) {
      prometheus::MetricFamily& added = out.emplace_back(FamilyOf(*family.part));
      added.name = name;
      added.type = prometheus::MetricType::Histogram;
      for (auto& [labels, client] : family.members) {
        std::ranges::sort(client.histogram.bucket, {}, &Bucket::upper_bound);
        added.metric.push_back(std::move(client));
      }
    }
  }

 private:
  using Bucket = prometheus::ClientMetric::Bucket;
  struct Family {
    const Metric* part = nullptr;                                          // any of them
    std::map<std::vector<std::string>, prometheus::ClientMetric> members;  // by labels
  };

  static double BoundOf(std::string_view le) {
    return ParseNumber<double>(le).value_or(std::numeric_limits<double>::infinity());
  }

  std::map<std::string_view, Family> families_;
};

// What a stream writes, appended to a text that has its room already: a string stream grows from
// nothing at each scrape, and the kernel clears every new page.
class AppendBuffer final : public std::streambuf {
 public:
  // `text` must outlive this object.
  explicit AppendBuffer(std::string& text) : text_(text) {}

 protected:
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    text_.append(bytes, static_cast<size_t>(count));
    return count;
  }
  int_type overflow(int_type byte) override {
    if (!traits_type::eq_int_type(byte, traits_type::eof())) {
      text_ += traits_type::to_char_type(byte);
    }
    return traits_type::not_eof(byte);
  }

 private:
  std::string& text_;
};

// Usual sizes, generous: HELP and TYPE lines, and one line.
constexpr size_t kBytesPerFamily = 256;
constexpr size_t kBytesPerSeries = 128;

}  // namespace

std::vector<prometheus::MetricFamily> SnapshotCollectable::Collect() const {
  const std::shared_ptr<const Snapshot> snapshot = slot_.Get();
  std::vector<prometheus::MetricFamily> families;
  prometheus::ClientMetric build;
  build.label.push_back({"version", std::string(kVersion)});
  build.gauge.value = 1;
  families.push_back(FamilyOf(kBuildInfo));
  families.back().metric.push_back(std::move(build));
  Histograms histograms;
  for (const SnapshotValue& value : snapshot->values) {  // sorted by name
    const Metric& metric = *value.series->metric;
    if (!metric.histogram.empty()) {
      histograms.Add(value);
      continue;
    }
    if (families.back().name != metric.name) families.push_back(FamilyOf(metric));
    families.back().metric.push_back(ClientMetricOf(value));
  }
  histograms.MoveTo(families);
  return families;
}

std::string RenderMetrics(const prometheus::Collectable& collectable) {
  const std::vector<prometheus::MetricFamily> families = collectable.Collect();
  size_t series = 0;
  for (const prometheus::MetricFamily& family : families) series += family.metric.size();
  std::string text;
  text.reserve(families.size() * kBytesPerFamily + series * kBytesPerSeries);
  AppendBuffer buffer(text);
  std::ostream out(&buffer);
  prometheus::TextSerializer().Serialize(out, families);
  return text;
}

}  // namespace idlewatt
