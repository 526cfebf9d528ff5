#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_root.h"
#include "collector/prom_text.h"
#include "collector/sampler.h"

namespace idlewatt {

// Metrics that other programs leave in files, as node_exporter's textfile collector takes them.
// Source:  *.prom in one folder, in the order of their names; text format 0.0.4 (prom_text.h).
// Units:   those of the files. Values that are infinite or not a number are left out.
// Errors:  of the folder: the whole read fails. A file in which anything is wrong, or which
//          contradicts one before it, is a refused source and gives nothing; the others are read.
// Threads: one; its reads may hang, because the folder may be on a network.
// Owns:    the metrics of the files: one for each name, type and set of label names, so that a
//          family may have series with differing labels. Series share it and may outlive this
//          object; it goes with its last series, an hour after the files gave it last.
class TextfileSampler final : public Sampler {
 public:
  static constexpr size_t kMaxFiles = 256;
  static constexpr size_t kMaxMetrics = 1000;

  explicit TextfileSampler(std::string folder) : folder_(std::move(folder)) {}
  static const SamplerInfo& Info();
  const SamplerInfo& info() const override { return Info(); }
  Result<void> Read(TimePoint now, Readings& out) override;

 private:
  struct Pass;

  void ReadOrRefuse(const FileRoot& folder, const std::string& name, Pass& pass);
  Result<void> ReadFile(const FileRoot& folder, const std::string& name, Pass& pass);
  Result<std::shared_ptr<const Metric>> MetricOf(const PromFamily& family, const PromSample& sample,
                                                 const std::string& path);
  void ForgetUnusedMetrics();

  const std::string folder_;
  std::map<std::string, std::shared_ptr<const Metric>> metrics_;
};

}  // namespace idlewatt
