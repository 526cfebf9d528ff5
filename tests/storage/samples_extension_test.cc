// The loadable extension, in programs that have a SQLite of their own.
#include "tests/storage/storage_fixture.h"
#include "tests/support/child_process.h"

namespace idlewatt {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_SANITIZER() GTEST_SKIP() << "a plain program can't load sanitized code"
#else
#define SKIP_UNDER_SANITIZER() (void)0
#endif

class SamplesExtensionTest : public HistoryTest {
 protected:
  SamplesExtensionTest() {
    Open();
    for (int i = 0; i < 3; ++i) PushValue(kStartMs + i * 1000, 20.5 + i);
    EXPECT_TRUE(history_->Flush().ok());
  }

  // What the command prints, errors too.
  static std::string Output(const std::vector<std::string>& command) {
    ChildProcess process(command);
    EXPECT_TRUE(process.Wait(std::chrono::seconds(30)).has_value());
    return process.output();
  }

  const std::string library_ = std::string(IDLEWATT_BINARY_DIR) + "/idlewatt_samples";
};

TEST_F(SamplesExtensionTest, GivesTheSqliteShellTheTable) {
  SKIP_UNDER_SANITIZER();
  EXPECT_EQ(Output({"sqlite3", "-batch", "-readonly", "-cmd", ".load " + library_, db_path(),
                    "SELECT time_ms, value, labels ->> 'sensor' FROM samples"
                    " WHERE metric = 'test_celsius' AND time_ms > 1700000000000;"
                    "SELECT idlewatt_damaged_rows()"}),
            "1700000001000|21.5|a\n1700000002000|22.5|a\n0\n");
  EXPECT_NE(Output({"sqlite3", "-batch", "-cmd", ".load " + library_,
                    ":memory:", "SELECT * FROM samples"})
                .find("is a database of another program"),
            std::string::npos);
  EXPECT_NE(Output({"sqlite3", "-batch", "-cmd", ".load " + library_, "-cmd", ".load " + library_,
                    db_path(), "SELECT count(*) FROM samples"})
                .find("3\n"),
            std::string::npos)
      << "loaded twice";
}

TEST_F(SamplesExtensionTest, WorksInPython) {
  SKIP_UNDER_SANITIZER();
  const std::string script =
      "import sqlite3, sys\n"
      "db = sqlite3.connect(sys.argv[1])\n"
      "if not hasattr(db, 'enable_load_extension'): sys.exit(77)\n"
      "db.enable_load_extension(True)\n"
      "db.load_extension(sys.argv[2])\n"
      "print(db.execute('SELECT sum(value), count(*) FROM samples').fetchone())\n"
      "db.close()\n";
  // The one in the path may have been built without extensions.
  for (const char* python : {"/usr/bin/python3", "python3"}) {
    ChildProcess process({python, "-c", script, db_path(), library_});
    const auto end = process.Wait(std::chrono::seconds(30));
    ASSERT_TRUE(end.has_value());
    if (end->code == 77 || end->code == 127) continue;
    EXPECT_EQ(process.output(), "(64.5, 3)\n");
    return;
  }
  GTEST_SKIP() << "no Python whose sqlite3 loads extensions";
}

// A program that carries SQLite within itself exports no function of it.
TEST_F(SamplesExtensionTest, AsksTheLoadingProgramForEveryFunctionOfSqlite) {
  const std::string wanted = Output({"nm", "-D", "--undefined-only", library_ + ".so"});
  ASSERT_NE(wanted.find("ZSTD_"), std::string::npos) << wanted;
  EXPECT_EQ(wanted.find("sqlite3"), std::string::npos) << wanted;
  const std::string given = Output({"nm", "-D", "--defined-only", library_ + ".so"});
  EXPECT_NE(given.find(" T sqlite3_idlewattsamples_init\n"), std::string::npos) << given;
  EXPECT_EQ(given.find("idlewatt8"), std::string::npos) << "no name of ours but the entry point";
}

}  // namespace
}  // namespace idlewatt
