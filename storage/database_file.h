// The file history.db: what makes it ours, how it is made and upgraded, what happens to a damaged
// one. Layout: docs/storage-format.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/sqlite.h"

namespace idlewatt {

inline constexpr std::string_view kHistoryFile = "history.db";

// Is the open database ours and of a version that we know? kInvalid with a sentence when not.
Result<void> CheckIdentity(Database& db, const std::string& path);

// The same, and is it of this version, so that its tables are those we know?
Result<void> CheckReadable(Database& db, const std::string& path);

struct OpenedDatabase {
  Database db;
  std::optional<std::string> set_aside;  // new name of the damaged file that was found
};

// Opens `path` for writing: makes it when missing, upgrades an older version, sets a damaged one
// aside and makes a new one. A file that is not ours or newer is left unchanged, -wal and -shm
// included. The caller must hold the lock of the data folder.
Result<OpenedDatabase> OpenForWriting(const std::string& path);

// Opens `path` for writing, also beside a daemon that has it open: makes it when missing, upgrades
// an older version. kParse for a damaged one, which stays as it is.
Result<Database> OpenBeside(const std::string& path);

// Renames a damaged database (and its -wal, -shm) and gives back the new name. No connection of
// ours may be open on it.
Result<std::string> SetAside(const std::string& path);

// Makes the names of the files in the folder of `path` durable.
Result<void> SyncFolderOf(const std::string& path);

// Bytes on disk of `path` and its -wal and -shm.
int64_t FileBytes(const std::string& path);

}  // namespace idlewatt
