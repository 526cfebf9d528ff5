// The loadable extension `idlewatt_samples`: the table `samples` in the sqlite3 shell and in any
// program that loads extensions of SQLite. See docs/history.md.
#include <sqlite3ext.h>

#include "storage/samples_table.h"

SQLITE_EXTENSION_INIT1

// SQLite finds it by the name of the file.
extern "C" __attribute__((visibility("default"))) int sqlite3_idlewattsamples_init(
    sqlite3* db, char** message, const sqlite3_api_routines* api) {
  constexpr int kLeastVersion = 3'037'000;  // the first that knows STRICT tables
  SQLITE_EXTENSION_INIT2(api)
  if (sqlite3_libversion_number() < kLeastVersion) {
    *message = sqlite3_mprintf("idlewatt_samples needs SQLite 3.37 or later");
    return SQLITE_ERROR;
  }
  const idlewatt::Result<void> added = idlewatt::AddSamplesTable(db);
  if (added.ok()) return SQLITE_OK;
  *message = sqlite3_mprintf("%s", added.error().ToString().c_str());
  return SQLITE_ERROR;
}
