// What happens to a history that was cut short, damaged, or belongs to somebody else.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

#include "tests/storage/storage_fixture.h"

namespace idlewatt {
namespace {

class HistoryDamageTest : public HistoryTest {
 protected:
  // A database of `rows` flushes, about 3 KiB each, closed.
  void MakeHistory(int rows = 120) {
    Open();
    std::mt19937_64 random(5);
    for (int i = 0; i < rows; ++i) {
      std::vector<Sample> samples{{GaugeId(), 1.0 * i}};
      for (int n = 0; n < 300; ++n) {
        samples.push_back({registry_.Intern(kTestCounter, {"r", std::to_string(n)}),
                           static_cast<double>(random()) / 3});
      }
      history_->Push(FrameAt(kStartMs + i * 1000, std::move(samples)));
      ASSERT_TRUE(history_->Flush().ok());
    }
    Close();
  }
  // A frame at kStartMs that only the -wal file holds.
  void WriteAndBeKilled() {
    const pid_t child = fork();
    if (child == 0) {
      Open();
      PushValue(kStartMs, 1);
      (void)history_->Flush();
      raise(SIGKILL);
    }
    waitpid(child, nullptr, 0);
  }
  void Overwrite(std::streamoff offset, const std::string& bytes) {
    std::fstream file(db_path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void ExpectSetAsideAndRecording() {
    ASSERT_NE(history_, nullptr) << error_->ToString();
    PushValue(kStartMs + 1'000'000, 7);
    ASSERT_TRUE(history_->Flush().ok());
    EXPECT_EQ(TimesOnDisk(), std::vector<int64_t>{kStartMs + 1'000'000});
    ASSERT_EQ(history_->Stats().set_aside.size(), 1u);
    const std::string name = history_->Stats().set_aside.front();
    EXPECT_TRUE(name.starts_with(db_path() + ".damaged-2")) << name;
    EXPECT_TRUE(std::filesystem::exists(name));
    Open();
    ASSERT_NE(history_, nullptr);
    EXPECT_TRUE(history_->Stats().set_aside.empty()) << "the new one is sound";
  }
  // Opening must be refused and leave every file as it was, times included.
  void ExpectRefusedUnchanged(std::string_view reason) {
    const auto files = FilesNamed("history");
    const std::string before = tree_.Read("data/history.db");
    struct stat then {};
    ASSERT_EQ(stat(db_path().c_str(), &then), 0);
    Open();
    ASSERT_EQ(history_, nullptr);
    EXPECT_EQ(error_->code, ErrorCode::kInvalid);
    EXPECT_NE(error_->ToString().find(reason), std::string::npos) << error_->ToString();
    struct stat now {};
    ASSERT_EQ(stat(db_path().c_str(), &now), 0);
    EXPECT_EQ(then.st_mtim.tv_nsec, now.st_mtim.tv_nsec);
    EXPECT_EQ(then.st_mtim.tv_sec, now.st_mtim.tv_sec);
    EXPECT_EQ(tree_.Read("data/history.db"), before);
    EXPECT_EQ(FilesNamed("history"), files);
  }
};

TEST_F(HistoryDamageTest, ANewerVersionIsRefusedAndUnchanged) {
  MakeHistory();
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(db.Execute("PRAGMA user_version = 99").ok());
  }
  ExpectRefusedUnchanged("newer idlewatt (format 99, this one knows 3)");
  EXPECT_EQ(HistoryReader::Open(db_path()).error().code, ErrorCode::kInvalid);
}

TEST_F(HistoryDamageTest, AnOlderVersionIsUpgradedByTheWriterAndNamedToAReader) {
  tree_.MakeDir("data");
  const std::string body = EncodeFlush({{kStartMs}, {1}, {20.5}});
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kCreate));
    ASSERT_TRUE(db.Execute("PRAGMA application_id = 0x69647774; PRAGMA user_version = 1;"
                           "CREATE TABLE series(id INTEGER PRIMARY KEY, metric TEXT NOT NULL,"
                           " labels TEXT NOT NULL, kind TEXT NOT NULL, unit TEXT NOT NULL,"
                           " UNIQUE(metric, labels)) STRICT;"
                           "CREATE TABLE frames(time_ms INTEGER PRIMARY KEY, body BLOB NOT NULL)"
                           " STRICT; PRAGMA journal_mode = WAL;"
                           "INSERT INTO series VALUES(1, 'test_celsius', '{\"sensor\":\"a\"}',"
                           " 'gauge', 'celsius')")
                    .ok());
    Statement insert = std::move(*db.Prepare("INSERT INTO frames VALUES(?1, ?2)"));
    insert.Bind(1, kStartMs);
    insert.BindBlob(2, body);
    ASSERT_TRUE(insert.Run().ok());
  }
  const auto refused = HistoryReader::Open(db_path());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().ToString().find("older idlewatt (format 1"), std::string::npos);
  Open();
  ASSERT_NE(history_, nullptr) << error_->ToString();
  PushValue(kStartMs + 1000, 21);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk(), (std::vector<int64_t>{kStartMs, kStartMs + 1000}));
}

TEST_F(HistoryDamageTest, ANewerVersionThatOnlyTheWalKnowsIsRefusedAndUnchanged) {
  MakeHistory();
  const pid_t child = fork();
  if (child == 0) {  // dies with the change in the -wal file
    Result<Database> db = Database::Open(db_path(), Database::Mode::kReadWrite);
    if (db.ok()) (void)db->Execute("PRAGMA user_version = 99");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  ASSERT_GT(std::filesystem::file_size(db_path() + "-wal"), 0u);
  std::filesystem::remove(db_path() + "-shm");
  const std::string wal = tree_.Read("data/history.db-wal");
  ExpectRefusedUnchanged("newer idlewatt");
  EXPECT_EQ(tree_.Read("data/history.db-wal"), wal);
}

TEST_F(HistoryDamageTest, AnotherProgramsDatabaseIsRefusedAndUnchanged) {
  tree_.MakeDir("data");
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kCreate));
    ASSERT_TRUE(db.Execute("CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)").ok());
  }
  ExpectRefusedUnchanged("another program");
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(db.Execute("PRAGMA journal_mode = WAL").ok());
  }
  ExpectRefusedUnchanged("another program");
}

TEST_F(HistoryDamageTest, AFileThatIsNoDatabaseIsSetAside) {
  tree_.Write("data/history.db", std::string(9000, 'x'));
  Open();
  ExpectSetAsideAndRecording();
}

TEST_F(HistoryDamageTest, ADamagedHeaderIsSetAside) {
  MakeHistory();
  Overwrite(0, std::string(100, '\x55'));
  Open();
  ExpectSetAsideAndRecording();
}

TEST_F(HistoryDamageTest, DamagedPagesInTheMiddleAreSetAside) {
  MakeHistory();
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(db_path()));
  Overwrite(size / 2, std::string(8 * 4096, '\x55'));
  Open();
  ExpectSetAsideAndRecording();
}

TEST_F(HistoryDamageTest, ATruncatedFileIsSetAside) {
  MakeHistory();
  std::filesystem::resize_file(db_path(), std::filesystem::file_size(db_path()) / 2);
  Open();
  ExpectSetAsideAndRecording();
}

TEST_F(HistoryDamageTest, AnEmptyFileIsBegunAnew) {
  tree_.Write("data/history.db", "");
  Open();
  ASSERT_NE(history_, nullptr);
  EXPECT_TRUE(history_->Stats().set_aside.empty());
}

TEST_F(HistoryDamageTest, AWalWithoutItsDatabaseIsNotApplied) {
  WriteAndBeKilled();
  ASSERT_GT(std::filesystem::file_size(db_path() + "-wal"), 0u);
  tree_.Remove("data/history.db");
  Open();
  ASSERT_NE(history_, nullptr);
  PushValue(kStartMs + 1000, 2);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(TimesOnDisk(), std::vector<int64_t>{kStartMs + 1000});
}

TEST_F(HistoryDamageTest, DamageMetWhileWritingIsSetAsideAndLosesNoFrame) {
  MakeHistory(400);
  Open();
  // Behind the back of SQLite, in pages that are no longer in its cache: those of the table
  // `series`, which stand first and which retention does not read.
  Overwrite(5 * 4096, std::string(4 * 4096, '\x55'));
  PushValue(kStartMs + 1'000'000, 7);
  ASSERT_TRUE(history_->Flush().ok());
  PushValue(kStartMs + 1'001'000, 8);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(history_->Stats().set_aside.size(), 1u);
  EXPECT_EQ(TimesOnDisk(), (std::vector<int64_t>{kStartMs + 1'000'000, kStartMs + 1'001'000}));
}

TEST_F(HistoryDamageTest, DamageMetByRetentionIsSetAsideAndLosesNoFrame) {
  MakeHistory(400);
  Open();
  Overwrite(8 * 4096, std::string(30 * 4096, '\x55'));  // the oldest rows, no longer in the cache
  const int64_t later = kStartMs + int64_t{365} * 86'400'000;
  PushValue(later, 7);
  ASSERT_TRUE(history_->Flush().ok());
  EXPECT_EQ(history_->Stats().set_aside.size(), 1u);
  EXPECT_EQ(TimesOnDisk(), std::vector<int64_t>{later});
}

TEST_F(HistoryDamageTest, TwoDamagedDatabasesOfOneSecondKeepTheirNamesApart) {
  for (int i = 0; i < 3; ++i) {
    Close();
    tree_.Write("data/history.db", std::string(9000, 'x'));
    Open();
    ASSERT_NE(history_, nullptr);
  }
  EXPECT_EQ(FilesNamed("history.db.damaged").size(), 3u);
}

TEST_F(HistoryDamageTest, AReaderSkipsAndCountsADamagedBody) {
  MakeHistory();
  {
    Database db = std::move(*Database::Open(db_path(), Database::Mode::kReadWrite));
    ASSERT_TRUE(db.Execute("UPDATE frames SET body = x'01deadbeef' WHERE time_ms = " +
                           std::to_string(kStartMs + 60'000))
                    .ok());
    ASSERT_TRUE(db.Execute("UPDATE frames SET body = zeroblob(100) WHERE time_ms = " +
                           std::to_string(kStartMs + 61'000))
                    .ok());
  }
  const RangeAnswer answer = Read();
  EXPECT_EQ(answer.damaged_rows, 2u);
  ASSERT_EQ(answer.series.size(), 1u);
  EXPECT_EQ(answer.series[0].points.size(), 118u);
}

TEST_F(HistoryDamageTest, AReaderGivesWhatStandsBeforeAndAfterDamagedPages) {
  MakeHistory();
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(db_path()));
  Overwrite(size / 2, std::string(4 * 4096, '\x55'));
  const RangeAnswer answer = Read();
  EXPECT_GE(answer.damaged_rows, 1u);
  ASSERT_EQ(answer.series.size(), 1u);
  const std::vector<Point>& points = answer.series[0].points;
  EXPECT_LT(points.size(), 120u);
  EXPECT_EQ(points.front().time_ms, kStartMs);
  EXPECT_EQ(points.back().time_ms, kStartMs + 119'000);
}

TEST_F(HistoryDamageTest, AKilledDaemonLosesOnlyWhatWasNotFlushed) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    tree_.Remove("data");
    std::array<int, 2> acknowledged{};
    ASSERT_EQ(pipe(acknowledged.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
      Open();
      for (int i = 0; history_ != nullptr; ++i) {
        PushValue(kStartMs + i * 1000, i);
        if (history_->Flush().ok()) (void)!write(acknowledged[1], "x", 1);
      }
      _exit(1);
    }
    close(acknowledged[1]);
    char byte = 0;
    size_t flushed = 0;
    for (size_t wait = 1 + random() % 40; flushed < wait; ++flushed) {
      ASSERT_EQ(read(acknowledged[0], &byte, 1), 1);
    }
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    while (read(acknowledged[0], &byte, 1) == 1) ++flushed;
    close(acknowledged[0]);

    Open();
    ASSERT_NE(history_, nullptr) << error_->ToString();
    EXPECT_TRUE(history_->Stats().set_aside.empty());
    const std::vector<int64_t> times = TimesOnDisk();
    ASSERT_GE(times.size(), flushed) << "round " << round;
    for (size_t i = 0; i < times.size(); ++i) {
      EXPECT_EQ(times[i], kStartMs + static_cast<int64_t>(i) * 1000);
    }
    Close();
    folder_.reset();
  }
}

TEST_F(HistoryDamageTest, AReaderNeedsNoDaemonAndSeesTheWalOfAKilledOne) {
  WriteAndBeKilled();
  EXPECT_EQ(TimesOnDisk(), std::vector<int64_t>{kStartMs});
}

TEST_F(HistoryDamageTest, AReaderNeedsNoWritableFolder) {
  MakeHistory();
  using std::filesystem::perms;
  const perms readable = perms::owner_read | perms::group_read | perms::others_read;
  const perms passable = perms::owner_exec | perms::group_exec | perms::others_exec;
  std::filesystem::permissions(db_path(), readable);
  std::filesystem::permissions(tree_.PathOf("data"), readable | passable);
  std::filesystem::permissions(tree_.path(), readable | passable);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(2);
    _exit(TimesOnDisk().size() == 120 && FilesNamed("history").size() == 1 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  std::filesystem::permissions(tree_.PathOf("data"), perms::owner_all);
  std::filesystem::permissions(tree_.path(), perms::owner_all);
  EXPECT_EQ(status, 0);
}

TEST_F(HistoryDamageTest, AReaderOfNothingSaysSo) {
  const Result<HistoryReader> reader = HistoryReader::Open(tree_.PathOf("none/history.db"));
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().code, ErrorCode::kPermission);
  EXPECT_NE(reader.error().ToString().find("history.db"), std::string::npos);
}

}  // namespace
}  // namespace idlewatt
