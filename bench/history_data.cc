// For tools/bench: prints a history of the made-up machine, for every program in the form that it
// reads: OpenMetrics, grouped by family and series, or the lines that VictoriaMetrics imports.
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "bench/storage/generated_machine.h"

namespace idlewatt {
namespace {

enum class Form { kOpenMetrics, kVictoria };

struct Table {
  std::vector<int64_t> times_ms;
  std::vector<std::vector<double>> values;  // by series, then time
};

Table Run(GeneratedMachine& machine, size_t points) {
  Table table;
  table.values.resize(machine.series().size());
  for (auto& column : table.values) column.reserve(points);
  for (size_t i = 0; i < points; ++i) {
    if (i > 0) machine.Tick();
    table.times_ms.push_back(machine.time_ms());
    for (size_t n = 0; n < table.values.size(); ++n) {
      table.values[n].push_back(machine.values()[n]);
    }
  }
  return table;
}

template <typename Number>
void Append(Number value, std::string& out) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

// OpenMetrics has seconds, here with all three decimals; VictoriaMetrics takes milliseconds.
void AppendTime(int64_t time_ms, Form form, std::string& out) {
  Append(time_ms, out);
  if (form == Form::kOpenMetrics) out.insert(out.size() - 3, 1, '.');
}

std::string NameOf(const GeneratedMachine::Series& series) {
  std::string name(series.metric->name);
  for (size_t i = 0; i < series.labels.size(); ++i) {
    name += i == 0 ? '{' : ',';
    name += series.metric->labels.names[i];
    name += "=\"" + series.labels[i] + '"';
  }
  return name + "} ";
}

void PrintType(const Metric& metric) {
  const bool counter = metric.kind == MetricKind::kCounter;
  std::string family(metric.name);
  if (counter) family.resize(family.size() - std::string_view("_total").size());
  std::printf("# TYPE %s %s\n", family.c_str(), counter ? "counter" : "gauge");
}

void PrintSeries(const std::string& name, const Table& table, size_t column, Form form) {
  std::string text;
  for (size_t i = 0; i < table.times_ms.size(); ++i) {
    text += name;
    Append(table.values[column][i], text);
    text += ' ';
    AppendTime(table.times_ms[i], form, text);
    text += '\n';
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Print(const GeneratedMachine& machine, const Table& table, Form form) {
  std::map<std::string_view, std::vector<size_t>> families;
  for (size_t n = 0; n < machine.series().size(); ++n) {
    families[machine.series()[n].metric->name].push_back(n);
  }
  for (const auto& [name, columns] : families) {
    if (form == Form::kOpenMetrics) PrintType(*machine.series()[columns.front()].metric);
    for (const size_t n : columns) PrintSeries(NameOf(machine.series()[n]), table, n, form);
  }
  if (form == Form::kOpenMetrics) std::puts("# EOF");
}

}  // namespace
}  // namespace idlewatt

int main(int argc, char** argv) {
  using namespace idlewatt;
  const std::string_view form = argc > 1 ? argv[1] : "";
  const auto points = ParseNumber<uint32_t>(argc > 2 ? argv[2] : "");
  const auto services = ParseNumber<uint32_t>(argc > 3 ? argv[3] : "");
  const bool known = form == "openmetrics" || form == "victoria";
  if (argc != 4 || !known || !points || !services) {
    std::fprintf(stderr, "usage: history_data openmetrics|victoria POINTS SERVICES\n");
    return 2;
  }
  GeneratedMachine machine(*services);
  const Table table = Run(machine, *points);
  Print(machine, table, form == "victoria" ? Form::kVictoria : Form::kOpenMetrics);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
