#include "app/database_path.h"

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "app/http_client.h"
#include "storage/database_file.h"

namespace idlewatt {

std::string DatabasePath(const std::string& db_option) {
  if (!db_option.empty()) return db_option;
  if (const Result<std::string> status = HttpGet(DaemonAddress(), "/api/v1/storage")) {
    const auto json = nlohmann::json::parse(*status, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json["path"].is_string()) return json["path"];
  }
  return Config::DefaultDataDir() + "/" + std::string(kHistoryFile);
}

}  // namespace idlewatt
