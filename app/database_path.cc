#include "app/database_path.h"

#include <nlohmann/json.hpp>

#include "app/config.h"
#include "app/exit_code.h"
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

void WarnOf(const std::string& path, const HistoryReader& reader, size_t damaged_rows) {
  if (reader.misses_newest()) {
    Warn(path, "the folder can't be written to, so what only stands in the -wal file is not seen");
  }
  if (damaged_rows > 0) Warn(path, std::to_string(damaged_rows) + " damaged rows were skipped");
}

}  // namespace idlewatt
