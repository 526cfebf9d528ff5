// `idlewatt db …`: care of a history. Each gives the exit code, as those of commands.h. `db` is
// the file, or empty: see app/database_path.h.
#pragma once

#include <string>

namespace idlewatt {

int DbStatsCommand(const std::string& db, bool json);
// 1 also for a database that is damaged.
int DbCheckCommand(const std::string& db);
int DbRepairCommand(const std::string& db);
int DbVacuumCommand(const std::string& db);
// A progress bar on stderr, on a terminal only.
int DbBackupCommand(const std::string& db, const std::string& target);

}  // namespace idlewatt
