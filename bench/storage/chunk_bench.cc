// Size and speed of the chunk codec on the values of the made-up machine, next to what is usual for
// such data: differences as varints, then zstd.
#include <benchmark/benchmark.h>
#include <zstd.h>

#include <map>
#include <optional>

#include "bench/storage/generated_machine.h"
#include "storage/chunk_codec.h"
#include "storage/decimal.h"
#include "storage/varint.h"

namespace idlewatt {
namespace {

constexpr size_t kServices = 6;

using Columns = std::vector<std::vector<double>>;  // by series, then time

// Made once for each number of points: the repetitions of a benchmark share it.
const Columns& SomeColumns(size_t points) {
  static std::map<size_t, Columns> made;
  Columns& columns = made[points];
  if (!columns.empty()) return columns;
  GeneratedMachine machine(kServices);
  columns.resize(machine.series().size());
  for (size_t i = 0; i < points; ++i, machine.Tick()) {
    for (size_t n = 0; n < columns.size(); ++n) columns[n].push_back(machine.values()[n]);
  }
  return columns;
}

void SetSamples(benchmark::State& state, const Columns& columns, size_t bytes) {
  const auto samples = static_cast<double>(columns.size() * columns[0].size());
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(samples));
  state.counters["bytes_per_sample"] = static_cast<double>(bytes) / samples;
}

void BM_ChunkCodec_Encode(benchmark::State& state) {
  const Columns& columns = SomeColumns(static_cast<size_t>(state.range(0)));
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const auto& column : columns) bytes += EncodeChunkValues(column).size();
  }
  SetSamples(state, columns, bytes);
}

void BM_ChunkCodec_Decode(benchmark::State& state) {
  const Columns& columns = SomeColumns(static_cast<size_t>(state.range(0)));
  std::vector<std::string> bodies;
  size_t bytes = 0;
  for (const auto& column : columns) {
    bodies.push_back(EncodeChunkValues(column));
    bytes += bodies.back().size();
  }
  std::vector<double> values;
  for (auto _ : state) {
    for (const std::string& body : bodies) {
      if (!DecodeChunkValues(body, values).ok()) state.SkipWithError("damaged");
    }
  }
  SetSamples(state, columns, bytes);
}

// --- The usual way -------------------------------------------------------------------------------

std::optional<std::vector<int64_t>> Decimals(const std::vector<double>& values, size_t exponent) {
  std::vector<int64_t> integers;
  for (const double value : values) {
    const auto integer = ToDecimal(value, exponent);
    if (!integer) return std::nullopt;
    integers.push_back(*integer);
  }
  return integers;
}

std::string Varints(const std::vector<int64_t>& integers) {
  std::string out;
  int64_t previous = 0;
  for (const int64_t integer : integers) {
    PutVarint(ZigZag(integer - previous), out);
    previous = integer;
  }
  return out;
}

std::vector<int64_t> Differences(const std::vector<int64_t>& integers) {
  std::vector<int64_t> differences(integers.size());
  int64_t previous = 0;
  for (size_t i = 0; i < integers.size(); ++i) {
    differences[i] = integers[i] - previous;
    previous = integers[i];
  }
  return differences;
}

// A body of a series: exponent, order of the differences, and the zstd frame. Empty where the
// values are no decimals, which does not happen here.
std::string EncodeWithZstd(const std::vector<double>& values, int level) {
  for (size_t exponent = 0; exponent < kDecimalExponents; ++exponent) {
    const auto integers = Decimals(values, exponent);
    if (!integers) continue;
    const std::string once = Varints(*integers), twice = Varints(Differences(*integers));
    const std::string& smaller = once.size() <= twice.size() ? once : twice;
    std::string body(2 + ZSTD_compressBound(smaller.size()), '\0');
    body[0] = static_cast<char>(exponent);
    body[1] = static_cast<char>(&smaller == &twice);
    body.resize(
        2 + ZSTD_compress(body.data() + 2, body.size() - 2, smaller.data(), smaller.size(), level));
    return body;
  }
  return {};
}

bool DecodeWithZstd(const std::string& body, std::vector<double>& values) {
  std::string varints(ZSTD_getFrameContentSize(body.data() + 2, body.size() - 2), '\0');
  ZSTD_decompress(varints.data(), varints.size(), body.data() + 2, body.size() - 2);
  ByteReader reader(varints);
  int64_t value = 0, difference = 0;
  values.clear();
  while (!reader.rest().empty()) {
    const auto step = reader.Varint();
    if (!step) return false;
    difference = UnZigZag(*step) + (body[1] != 0 ? difference : 0);
    value += difference;
    values.push_back(FromDecimal(value, static_cast<size_t>(body[0])));
  }
  return true;
}

void BM_VarintZstd_Encode(benchmark::State& state) {
  const Columns& columns = SomeColumns(static_cast<size_t>(state.range(0)));
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const auto& column : columns) {
      bytes += EncodeWithZstd(column, static_cast<int>(state.range(1))).size();
    }
  }
  SetSamples(state, columns, bytes);
}

void BM_VarintZstd_Decode(benchmark::State& state) {
  const Columns& columns = SomeColumns(static_cast<size_t>(state.range(0)));
  std::vector<std::string> bodies;
  size_t bytes = 0;
  for (const auto& column : columns) {
    bodies.push_back(EncodeWithZstd(column, static_cast<int>(state.range(1))));
    bytes += bodies.back().size();
  }
  std::vector<double> values;
  for (auto _ : state) {
    for (size_t n = 0; n < bodies.size(); ++n) {
      if (!DecodeWithZstd(bodies[n], values)) state.SkipWithError("damaged");
    }
  }
  if (values != columns.back()) state.SkipWithError("other values");
  SetSamples(state, columns, bytes);
}

// An hour and a day at 5 s: the chunks of a history, of 79 series.
BENCHMARK(BM_ChunkCodec_Encode)->ArgName("points")->Arg(720)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ChunkCodec_Decode)->ArgName("points")->Arg(720)->Unit(benchmark::kMillisecond);
BENCHMARK(BM_VarintZstd_Encode)
    ->ArgNames({"points", "level"})
    ->Args({720, 3})
    ->Args({720, 19})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_VarintZstd_Decode)
    ->ArgNames({"points", "level"})
    ->Args({720, 3})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ChunkCodec_Encode)
    ->Name("BM_ChunkCodec_Encode_Large")
    ->ArgName("points")
    ->Arg(17280)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_ChunkCodec_Decode)
    ->Name("BM_ChunkCodec_Decode_Large")
    ->ArgName("points")
    ->Arg(17280)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_VarintZstd_Encode)
    ->Name("BM_VarintZstd_Encode_Large")
    ->ArgNames({"points", "level"})
    ->Args({17280, 3})
    ->Args({17280, 19})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_VarintZstd_Decode)
    ->Name("BM_VarintZstd_Decode_Large")
    ->ArgNames({"points", "level"})
    ->Args({17280, 3})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace idlewatt
