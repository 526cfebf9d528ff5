#include "app/db_commands.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/database_path.h"
#include "app/exit_code.h"
#include "app/logging.h"
#include "app/progress.h"
#include "app/tables.h"
#include "base/text.h"
#include "storage/data_dir.h"
#include "storage/database_care.h"
#include "storage/database_repair.h"
#include "storage/sqlite.h"

namespace idlewatt {
namespace {

Result<std::string> ExistingDatabase(const std::string& db) {
  std::string path = DatabasePath(db);
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) || ignored) return path;
  return Error{ErrorCode::kNoData, path, 0,
               "there is no such file: name the database with --db FILE"};
}

nlohmann::ordered_json TimeJson(const std::optional<WallTime>& time) {
  if (!time) return nullptr;
  return FormatWallTime(*time);
}

std::string StatsJson(const std::string& path, const DatabaseStats& stats) {
  nlohmann::ordered_json tables = nlohmann::ordered_json::object();
  for (const auto& [table, bytes] : stats.bytes_by_table) tables[table] = bytes;
  nlohmann::ordered_json bytes_per_sample = nullptr;
  if (const auto bytes = stats.BytesPerSample()) bytes_per_sample = *bytes;
  const nlohmann::ordered_json json = {{"database", path},
                                       {"file_bytes", stats.file_bytes},
                                       {"wal_bytes", stats.wal_bytes},
                                       {"page_bytes", stats.page_bytes},
                                       {"pages", stats.pages},
                                       {"free_pages", stats.free_pages},
                                       {"series", stats.series},
                                       {"samples", stats.samples()},
                                       {"bytes_per_sample", bytes_per_sample},
                                       {"oldest", TimeJson(stats.oldest)},
                                       {"newest", TimeJson(stats.newest)},
                                       {"chunks", stats.chunks},
                                       {"chunk_samples", stats.chunk_samples},
                                       {"frame_rows", stats.frame_rows},
                                       {"frame_samples", stats.frame_samples},
                                       {"damaged_rows", stats.damaged_rows},
                                       {"hourly_rollups", stats.hourly_rollups},
                                       {"daily_rollups", stats.daily_rollups},
                                       {"idle_intervals", stats.idle_intervals},
                                       {"events", stats.events},
                                       {"bytes_by_table", tables}};
  return json.dump(2) + "\n";
}

std::string StatsText(const std::string& path, const DatabaseStats& stats) {
  TextTable facts({"database", path});
  const auto add = [&facts](const char* name, const std::string& value) {
    facts.Add({name, value});
  };
  add("size", FormatBytes(static_cast<uint64_t>(stats.file_bytes)) + ", and " +
                  FormatBytes(static_cast<uint64_t>(stats.wal_bytes)) + " in -wal");
  add("pages", std::to_string(stats.pages) + " of " + std::to_string(stats.page_bytes) +
                   " bytes, of which " + std::to_string(stats.free_pages) + " are free");
  add("samples", std::to_string(stats.samples()) + " of " + std::to_string(stats.series) +
                     " series, of which " + std::to_string(stats.frame_samples) +
                     " are not in chunks yet");
  const std::optional<double> bytes = stats.BytesPerSample();
  add("bytes a sample", bytes ? Format("%.2f", *bytes) : "-");
  add("oldest", stats.oldest ? FormatWallTime(*stats.oldest) : "-");
  add("newest", stats.newest ? FormatWallTime(*stats.newest) : "-");
  add("chunks", std::to_string(stats.chunks));
  add("rows of frames", std::to_string(stats.frame_rows));
  if (stats.damaged_rows > 0) {
    add("damaged", std::to_string(stats.damaged_rows) + " of them: see idlewatt db check");
  }
  add("roll-ups", std::to_string(stats.hourly_rollups) + " of hours, " +
                      std::to_string(stats.daily_rollups) + " of days");
  add("idle intervals", std::to_string(stats.idle_intervals));
  add("events", std::to_string(stats.events));
  if (stats.bytes_by_table.empty()) return facts.ToString();
  TextTable tables({"table", "bytes>", "share>"});
  const auto all = static_cast<double>(stats.pages * stats.page_bytes);
  for (const auto& [table, table_bytes] : stats.bytes_by_table) {
    tables.Add({table, std::to_string(table_bytes),
                Format("%.1f %%", 100 * static_cast<double>(table_bytes) / all)});
  }
  return facts.ToString() + "\n" + tables.ToString();
}

std::string ProblemsText(const DatabaseCheck& check) {
  std::string text;
  for (const std::string& problem : check.problems) text += problem + "\n";
  if (check.more_problems > 0) text += "and " + std::to_string(check.more_problems) + " more\n";
  return text;
}

std::string RepairText(const std::string& path, const RepairOutcome& outcome) {
  TextTable tables({"table", "rows kept>", "damaged>", "unreadable stretches>"});
  for (const RepairOutcome::Table& table : outcome.tables) {
    tables.Add({table.name, std::to_string(table.kept), std::to_string(table.damaged),
                std::to_string(table.unreadable)});
  }
  std::string text = path + " is sound again. The damaged file is now " + outcome.set_aside +
                     "\n\n" + tables.ToString();
  if (!outcome.nameless_series.empty()) {
    text += "\nThe names of " + std::to_string(outcome.nameless_series.size()) +
            " series are lost; their samples are now those of idlewatt_lost_series.\n";
  }
  return text;
}

// On a terminal only.
void ShowProgress(int64_t done, int64_t all) {
  constexpr int64_t kWidth = 40;
  const int64_t full = all > 0 ? done * kWidth / all : kWidth;
  std::fprintf(stderr, "\r[%s%s] %3d %%", std::string(static_cast<size_t>(full), '#').c_str(),
               std::string(static_cast<size_t>(kWidth - full), '.').c_str(),
               static_cast<int>(all > 0 ? done * 100 / all : 100));
  if (done >= all) std::fputc('\n', stderr);
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

}  // namespace

int DbStatsCommand(const std::string& db, bool json) {
  const Result<std::string> path = ExistingDatabase(db);
  if (!path) return Fail(path.error());
  const Result<DatabaseStats> stats = ReadDatabaseStats(*path);
  if (!stats) return Fail(stats.error());
  std::fputs((json ? StatsJson(*path, *stats) : StatsText(*path, *stats)).c_str(), stdout);
  return kExitDone;
}

int DbCheckCommand(const std::string& db) {
  const Result<std::string> path = ExistingDatabase(db);
  if (!path) return Fail(path.error());
  const Result<DatabaseCheck> check = CheckDatabase(*path);
  if (!check && !IsDamage(check.error())) return Fail(check.error());
  if (check && check->sound()) {
    std::printf("%s is sound: %llu rows\n", path->c_str(),
                static_cast<unsigned long long>(check->rows));
    return kExitDone;
  }
  if (check) {
    std::fputs(ProblemsText(*check).c_str(), stdout);
  } else {
    std::printf("%s\n", check.error().text.c_str());
  }
  std::fprintf(stderr,
               "idlewatt: %s is damaged: stop the daemon that records to it, and let `idlewatt db "
               "repair --db %s` save what can be read\n",
               path->c_str(), path->c_str());
  return kExitFailed;
}

int DbRepairCommand(const std::string& db) {
  SetUpLogging("error", "text");
  const Result<std::string> path = ExistingDatabase(db);
  if (!path) return Fail(path.error());
  const Result<DataDir> folder = DataDir::Lock(FolderOf(*path));
  if (!folder) return Fail(folder.error());
  const Result<RepairOutcome> outcome = RepairDatabase(*folder, *path);
  if (!outcome) {
    Error error = outcome.error();
    if (IsDamage(error)) error.text += ": nothing can be read; put a backup in its place";
    return Fail(error);
  }
  if (outcome->set_aside.empty()) {
    std::printf("%s is sound: there is nothing to repair\n", path->c_str());
  } else {
    std::fputs(RepairText(*path, *outcome).c_str(), stdout);
  }
  return kExitDone;
}

int DbVacuumCommand(const std::string& db) {
  const Result<std::string> path = ExistingDatabase(db);
  if (!path) return Fail(path.error());
  const Result<VacuumOutcome> outcome = VacuumDatabase(*path);
  if (!outcome) return Fail(outcome.error());
  std::printf("%s: %s before, %s after\n", path->c_str(),
              FormatBytes(static_cast<uint64_t>(outcome->bytes_before)).c_str(),
              FormatBytes(static_cast<uint64_t>(outcome->bytes_after)).c_str());
  return kExitDone;
}

int DbBackupCommand(const std::string& db, const std::string& target) {
  const Result<std::string> path = ExistingDatabase(db);
  if (!path) return Fail(path.error());
  std::function<void(int64_t, int64_t)> progress;
  if (isatty(STDERR_FILENO) == 1) progress = ShowProgress;
  const Result<void> copied = BackUpDatabase(*path, target, progress);
  if (!copied) return Fail(copied.error());
  std::printf("%s is a copy of %s\n", target.c_str(), path->c_str());
  return kExitDone;
}

}  // namespace idlewatt
