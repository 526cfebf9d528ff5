// The functions of SQLite: linked, or in the loadable extension taken from the program that loads
// it, which may have another copy of SQLite.
#pragma once

#ifdef IDLEWATT_SQLITE_EXTENSION
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT3
#else
#include <sqlite3.h>
#endif
