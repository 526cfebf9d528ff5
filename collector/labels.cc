#include "collector/labels.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace idlewatt {

Labels LabelsOf(const Series& series) {
  Labels labels;
  labels.reserve(series.labels.size());
  for (size_t i = 0; i < series.labels.size(); ++i) {
    labels.emplace_back(series.metric->labels.names[i], series.labels[i]);
  }
  std::sort(labels.begin(), labels.end());
  return labels;
}

std::string LabelsToJson(const Labels& labels) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : labels) object[name] = value;
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<Labels> LabelsFromJson(std::string_view json) {
  const Error damaged{ErrorCode::kParse, "labels", 0, "not a JSON object of strings"};
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) return damaged;
  Labels labels;
  for (const auto& [name, value] : object.items()) {
    const auto* text = value.get_ptr<const std::string*>();
    if (text == nullptr) return damaged;
    labels.emplace_back(name, *text);
  }
  return labels;
}

}  // namespace idlewatt
