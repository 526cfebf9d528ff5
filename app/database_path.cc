#include "app/database_path.h"

#include "app/config.h"
#include "storage/database_file.h"

namespace idlewatt {

std::string DatabasePath(const std::string& db_option) {
  if (!db_option.empty()) return db_option;
  return Config::DefaultDataDir() + "/" + std::string(kHistoryFile);
}

}  // namespace idlewatt
