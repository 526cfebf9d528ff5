#include "exporters/prometheus_exporter.h"

#include <prometheus/text_serializer.h>

#include <ostream>
#include <streambuf>

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

prometheus::ClientMetric ClientMetricOf(const SnapshotValue& value) {
  prometheus::ClientMetric client;
  const Series& series = *value.series;
  client.label.reserve(series.labels.size());
  for (size_t i = 0; i < series.labels.size(); ++i) {
    client.label.push_back({std::string(series.metric->labels.names[i]), series.labels[i]});
  }
  if (series.metric->untyped) {
    client.untyped.value = value.value;
  } else if (series.metric->kind == MetricKind::kCounter) {
    client.counter.value = value.value;
  } else {
    client.gauge.value = value.value;
  }
  return client;
}

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
  for (const SnapshotValue& value : snapshot->values) {  // sorted by name
    const Metric& metric = *value.series->metric;
    if (families.back().name != metric.name) families.push_back(FamilyOf(metric));
    families.back().metric.push_back(ClientMetricOf(value));
  }
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
