#include "app/database_path.h"

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "app/http_client.h"
#include "storage/database_file.h"

namespace idlewatt {

Result<std::string> DatabasePathOfDaemon(const std::string& address) {
  ASSIGN_OR_RETURN(const std::string status, HttpGet(address, "/api/v1/storage"));
  const auto json = nlohmann::json::parse(status, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("path") || !json["path"].is_string()) {
    return UnexpectedAnswer("storage");
  }
  return json["path"].get<std::string>();
}

std::string DatabasePath(const std::string& db_option) {
  if (!db_option.empty()) return db_option;
  return DatabasePathOfDaemon(DaemonAddress())
      .value_or(Config::DefaultDataDir() + "/" + std::string(kHistoryFile));
}

}  // namespace idlewatt
