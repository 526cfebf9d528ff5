#include "app/sql_text.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "storage/database_file.h"
#include "tests/support/fake_tree.h"

namespace idlewatt {
namespace {

class SqlTextTest : public testing::Test {
 protected:
  SqlTextTest() {
    EXPECT_TRUE(OpenBeside(tree_.PathOf("history.db")).ok());
    reader_ = std::make_unique<HistoryReader>(
        std::move(*HistoryReader::Open(tree_.PathOf("history.db"))));
  }

  std::string Print(const std::string& sql, const std::string& format) {
    const auto query = SqlQuery::Start(*reader_, sql);
    if (!query.ok()) return query.error().ToString();
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    const Result<void> printed = PrintRows(**query, format, file.get());
    if (!printed.ok()) return printed.error().ToString();
    std::string text(static_cast<size_t>(std::ftell(file.get())), '\0');
    std::rewind(file.get());
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), file.get()), text.size());
    return text;
  }

  FakeTree tree_;
  std::unique_ptr<HistoryReader> reader_;
};

constexpr const char* kEveryKind =
    "SELECT 1 AS i, 0.1 AS r, 'a,\"b\"' AS t, x'00ff' AS b, NULL AS n"
    " UNION ALL SELECT -9223372036854775808, 1e300, 'größer', x'', ''";

TEST_F(SqlTextTest, JsonIsAnArrayWithARowALine) {
  EXPECT_EQ(Print(kEveryKind, "json"),
            "[\n"
            "{\"i\":1,\"r\":0.1,\"t\":\"a,\\\"b\\\"\",\"b\":\"00ff\",\"n\":null},\n"
            "{\"i\":-9223372036854775808,\"r\":1e+300,\"t\":\"größer\",\"b\":\"\",\"n\":\"\"}\n"
            "]\n");
}

TEST_F(SqlTextTest, JsonIsSoundWithoutRowsWithTwinNamesAndWithWrongBytes) {
  for (const char* sql : {"SELECT 1 WHERE 0", "SELECT 1 AS a, 2 AS a",
                          "SELECT CAST(x'ff' AS TEXT) AS a, 9e999 AS b", "EXPLAIN SELECT 1"}) {
    const std::string text = Print(sql, "json");
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  EXPECT_EQ(Print("SELECT 1 AS a, 2 AS a, -9e999 AS b", "json"),
            "[\n{\"a\":1,\"a#2\":2,\"b\":\"-Inf\"}\n]\n");
}

TEST_F(SqlTextTest, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(Print(kEveryKind, "csv"),
            "i,r,t,b,n\n"
            "1,0.1,\"a,\"\"b\"\"\",00ff,\n"
            "-9223372036854775808,1e+300,größer,,\n");
  EXPECT_EQ(Print("SELECT 9e999 AS a", "csv"), "a\n+Inf\n");
  EXPECT_EQ(Print("SELECT NULL AS a, char(13, 10) AS b", "csv"), "a,b\n,\"\r\n\"\n");
}

TEST_F(SqlTextTest, TableAlignsNumbersAndDoesNotSteerTheTerminal) {
  EXPECT_EQ(Print("SELECT 'a' AS name, 5 AS n UNION ALL SELECT 'b' || char(27), 1234.5"
                  " UNION ALL SELECT NULL, NULL",
                  "table"),
            "name       n\n"
            "a          5\n"
            "b?    1234.5\n"
            "-          -\n");
  EXPECT_EQ(Print("SELECT 1 AS a WHERE 0", "table"), "a\n");
}

TEST_F(SqlTextTest, TableShowsManyRowsInParts) {
  const std::string text = Print(
      "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 2000)"
      " SELECT i FROM n",
      "table");
  EXPECT_TRUE(text.starts_with("   i\n   1\n")) << text.substr(0, 20);
  EXPECT_NE(text.find("\n1000\n   i\n1001\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n2000\n")) << "no empty part";
}

TEST_F(SqlTextTest, AFullDiskIsAnError) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  const auto query = SqlQuery::Start(*reader_, "SELECT 1");
  const Result<void> printed = PrintRows(**query, "csv", full);
  std::fclose(full);
  ASSERT_FALSE(printed.ok());
  EXPECT_EQ(printed.error().ToString(), "output: cannot be written: No space left on device");
}

}  // namespace
}  // namespace idlewatt
