#include "storage/samples_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "storage/database_file.h"
#include "storage/history_reader.h"
#include "storage/sqlite.h"
#include "storage/sqlite_api.h"

namespace idlewatt {
namespace {

constexpr int64_t kEver = std::numeric_limits<int64_t>::max();
constexpr int64_t kFirstEver = std::numeric_limits<int64_t>::min();

// What frames hold of so many series is in memory at once; the frames are read once for each such
// group.
constexpr size_t kSeriesAtOnce = 256;

enum Column { kMetric, kLabels, kTime, kValue, kNth, kColumns };
// SQLite tells rows by the primary key where it walks several times, as for OR. `nth` tells values
// of one series at one time, which there are when the wall clock was set back. `value` can't do
// that, because it would then be taken to be never NULL.
constexpr const char* kDeclaration =
    "CREATE TABLE samples(metric TEXT, labels TEXT, time_ms INTEGER, value REAL,"
    " nth INTEGER HIDDEN, PRIMARY KEY(metric, labels, time_ms, nth)) WITHOUT ROWID";

// A condition that is used to read less. SQLite checks each row again, so that what is read may be
// more than what was asked for, but never less.
struct Condition {
  int column;
  unsigned char op;
  const char* on_series;  // of text: the same in SQL, without its operand
  double remains;         // about how much of the rows
};
constexpr std::array<Condition, 11> kConditions = {{
    {kMetric, SQLITE_INDEX_CONSTRAINT_EQ, "metric = ", 1e-4},
    {kMetric, SQLITE_INDEX_CONSTRAINT_GLOB, "metric GLOB ", 1e-2},
    {kMetric, SQLITE_INDEX_CONSTRAINT_LIKE, "metric LIKE ", 1e-2},
    {kLabels, SQLITE_INDEX_CONSTRAINT_EQ, "labels = ", 1e-3},
    {kLabels, SQLITE_INDEX_CONSTRAINT_GLOB, "labels GLOB ", 1e-1},
    {kLabels, SQLITE_INDEX_CONSTRAINT_LIKE, "labels LIKE ", 1e-1},
    {kTime, SQLITE_INDEX_CONSTRAINT_EQ, nullptr, 1e-5},
    {kTime, SQLITE_INDEX_CONSTRAINT_GT, nullptr, 1e-1},
    {kTime, SQLITE_INDEX_CONSTRAINT_GE, nullptr, 1e-1},
    {kTime, SQLITE_INDEX_CONSTRAINT_LT, nullptr, 1e-1},
    {kTime, SQLITE_INDEX_CONSTRAINT_LE, nullptr, 1e-1},
}};
// So many that a join begins with any other table rather than with all samples.
constexpr double kAllRows = 1e13;
// What it costs to begin, mostly to read the frames, in rows.
constexpr double kStartCost = 1e4;

// A plan is a text with one letter for each operand that is wanted: 'a' for the first condition.
char LetterOf(size_t condition) { return static_cast<char>('a' + condition); }
const Condition& ConditionOf(char letter) { return kConditions[static_cast<size_t>(letter - 'a')]; }

struct SamplesTable : sqlite3_vtab {
  SamplesTable(sqlite3* connection, std::shared_ptr<size_t> damaged)
      : sqlite3_vtab{}, db(Database::Borrow(connection)), damaged_rows(std::move(damaged)) {}

  Database db;
  std::shared_ptr<size_t> damaged_rows;  // of the connection
};

// A whole number, or the nearest time that there is.
int64_t ToTime(double value) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (value >= kTwoTo63) return kEver;
  return value < -kTwoTo63 ? kFirstEver : static_cast<int64_t>(value);
}

// One walk over the samples that a plan means.
class SamplesCursor : public sqlite3_vtab_cursor {
 public:
  explicit SamplesCursor(SamplesTable& table) : sqlite3_vtab_cursor{}, table_(table) {}
  ~SamplesCursor() { CloseReader(); }

  // Goes to the first row. `operands` has one for each letter.
  Result<void> Begin(std::string_view plan, sqlite3_value** operands);
  Result<void> Next();
  bool at_end() const { return at_ >= points_.size(); }
  void Give(int column, sqlite3_context* context) const;

 private:
  struct SeriesRow {
    int64_t id;
    std::string metric, labels;
  };

  bool Narrow(unsigned char op, sqlite3_value* bound);
  Result<void> FindSeries(const std::string& where, const std::vector<std::string>& operands);
  Result<bool> OpenReader();
  void CloseReader();

  SamplesTable& table_;
  int64_t since_ms_ = 0, until_ms_ = 0;
  std::vector<SeriesRow> series_;
  size_t group_ = 0, group_end_ = 0;  // the series that are read now
  std::unique_ptr<PointReader> reader_;
  std::vector<Point> points_;  // of one series
  size_t at_ = 0;
  int64_t nth_ = 0;  // of the values at the time of the row, from 0
};

Result<void> SamplesCursor::Begin(std::string_view plan, sqlite3_value** operands) {
  CloseReader();
  series_.clear();
  points_.clear();
  at_ = group_ = group_end_ = 0;
  since_ms_ = kFirstEver;
  until_ms_ = kEver;
  std::string where;
  std::vector<std::string> texts;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Condition& condition = ConditionOf(plan[i]);
    if (sqlite3_value_type(operands[i]) == SQLITE_NULL) return {};  // holds for no row
    if (condition.column == kTime) {
      if (!Narrow(condition.op, operands[i])) return {};
      continue;
    }
    // As SQLite compares a column of text with anything.
    const unsigned char* text = sqlite3_value_text(operands[i]);
    const int size = sqlite3_value_bytes(operands[i]);
    texts.emplace_back(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
    where += where.empty() ? " WHERE " : " AND ";
    where += condition.on_series + ("?" + std::to_string(texts.size()));
  }
  RETURN_IF_ERROR(CheckReadable(table_.db, "main database"));
  RETURN_IF_ERROR(FindSeries(where, texts));
  at_ = static_cast<size_t>(-1);  // before the first
  return Next();
}

// False when no time is left. What is no number is left to SQLite, which puts numbers before text.
bool SamplesCursor::Narrow(unsigned char op, sqlite3_value* bound) {
  int64_t low = 0, high = 0;
  switch (sqlite3_value_numeric_type(bound)) {
    case SQLITE_INTEGER:
      low = high = sqlite3_value_int64(bound);
      break;
    case SQLITE_FLOAT: {
      const double value = sqlite3_value_double(bound);
      low = ToTime(std::floor(value));
      high = ToTime(std::ceil(value));
      break;
    }
    default:
      return true;
  }
  const bool is_equal = op == SQLITE_INDEX_CONSTRAINT_EQ;
  if (is_equal || op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE) {
    since_ms_ = std::max(since_ms_, low);
  }
  if (is_equal || op == SQLITE_INDEX_CONSTRAINT_LT || op == SQLITE_INDEX_CONSTRAINT_LE) {
    until_ms_ = std::min(until_ms_, high);
  }
  return since_ms_ <= until_ms_;
}

Result<void> SamplesCursor::FindSeries(const std::string& where,
                                       const std::vector<std::string>& operands) {
  ASSIGN_OR_RETURN(Statement rows, table_.db.Prepare("SELECT id, metric, labels FROM series" +
                                                     where + " ORDER BY metric, labels"));
  for (size_t i = 0; i < operands.size(); ++i) rows.Bind(static_cast<int>(i + 1), operands[i]);
  for (;;) {
    ASSIGN_OR_RETURN(bool row, rows.Step());
    if (!row) return {};
    series_.push_back({rows.Int(0), std::string(rows.Bytes(1)), std::string(rows.Bytes(2))});
  }
}

// The next group of series; false after the last one.
Result<bool> SamplesCursor::OpenReader() {
  group_ = group_end_;
  group_end_ = std::min(group_ + kSeriesAtOnce, series_.size());
  if (group_ == group_end_) return false;
  std::vector<PointReader::Request> requests;
  for (size_t i = group_; i < group_end_; ++i) requests.push_back({series_[i].id, {}});
  // The statement that asks for rows holds a read transaction until it is reset.
  ASSIGN_OR_RETURN(reader_, PointReader::Start(table_.db, std::move(requests), since_ms_, until_ms_,
                                               PointReader::Transaction::kOfCaller));
  return true;
}

void SamplesCursor::CloseReader() {
  if (reader_) *table_.damaged_rows += reader_->damaged_rows();
  reader_.reset();
}

Result<void> SamplesCursor::Next() {
  const bool was_at_row = at_ < points_.size();
  const int64_t time_ms = was_at_row ? points_[at_].time_ms : 0;
  const size_t series = was_at_row ? group_ + reader_->series() : 0;
  ++at_;
  while (at_ >= points_.size()) {
    points_.clear();
    at_ = 0;
    if (!reader_) {
      ASSIGN_OR_RETURN(bool opened, OpenReader());
      if (!opened) return {};
    }
    ASSIGN_OR_RETURN(bool more, reader_->Next(points_));
    if (!more) CloseReader();
  }
  const bool same =
      was_at_row && points_[at_].time_ms == time_ms && group_ + reader_->series() == series;
  nth_ = same ? nth_ + 1 : 0;
  return {};
}

void SamplesCursor::Give(int column, sqlite3_context* context) const {
  const auto give_text = [context](const std::string& text) {
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  };
  switch (column) {
    case kMetric:
      return give_text(series_[group_ + reader_->series()].metric);
    case kLabels:
      return give_text(series_[group_ + reader_->series()].labels);
    case kTime:
      return sqlite3_result_int64(context, points_[at_].time_ms);
    case kValue:
      return sqlite3_result_double(context, points_[at_].value);  // NaN becomes NULL
    case kNth:
      return sqlite3_result_int64(context, nth_);
    default:
      return;
  }
}

// What follows is called by SQLite.

int Connect(sqlite3* db, void* damaged_rows, int, const char* const*, sqlite3_vtab** table,
            char**) noexcept {
  const int code = sqlite3_declare_vtab(db, kDeclaration);
  if (code != SQLITE_OK) return code;
  *table = new SamplesTable(db, *static_cast<std::shared_ptr<size_t>*>(damaged_rows));
  return SQLITE_OK;
}

int Disconnect(sqlite3_vtab* table) noexcept {
  delete static_cast<SamplesTable*>(table);
  return SQLITE_OK;
}

bool IsByBytes(sqlite3_index_info* info, int constraint) {
  return std::string_view(sqlite3_vtab_collation(info, constraint)) == "BINARY";
}

// Are the rows in the order that is asked for? A column that is fixed has one value only.
bool IsOurOrder(const sqlite3_index_info& info, const std::array<bool, kColumns>& fixed) {
  int next = kMetric;
  for (int i = 0; i < info.nOrderBy; ++i) {
    const auto& term = info.aOrderBy[i];
    if (term.iColumn >= 0 && fixed[static_cast<size_t>(term.iColumn)]) continue;
    while (next < kValue && fixed[static_cast<size_t>(next)]) ++next;
    if (term.desc || next == kValue || term.iColumn != next) return false;
    ++next;
  }
  return true;
}

int ChoosePlan(sqlite3_vtab*, sqlite3_index_info* info) noexcept {
  std::string plan;
  std::array<bool, kColumns> fixed{};
  double rows = kAllRows;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& asked = info->aConstraint[i];
    const auto found =
        std::find_if(kConditions.begin(), kConditions.end(), [&asked](const Condition& condition) {
          return condition.column == asked.iColumn && condition.op == asked.op;
        });
    if (!asked.usable || found == kConditions.end()) continue;
    const bool is_equal = asked.op == SQLITE_INDEX_CONSTRAINT_EQ;
    if (is_equal && asked.iColumn != kTime && !IsByBytes(info, i)) continue;
    plan += LetterOf(static_cast<size_t>(found - kConditions.begin()));
    info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.size());
    rows *= found->remains;
    if (is_equal) fixed[static_cast<size_t>(asked.iColumn)] = true;
  }
  info->idxStr = sqlite3_mprintf("%s", plan.c_str());
  if (info->idxStr == nullptr) return SQLITE_NOMEM;
  info->needToFreeIdxStr = 1;
  info->orderByConsumed = info->nOrderBy > 0 && IsOurOrder(*info, fixed);
  info->estimatedRows = static_cast<sqlite3_int64>(std::max(1.0, rows));
  info->estimatedCost = kStartCost + rows;
  return SQLITE_OK;
}

int OpenCursor(sqlite3_vtab* table, sqlite3_vtab_cursor** cursor) noexcept {
  *cursor = new SamplesCursor(*static_cast<SamplesTable*>(table));
  return SQLITE_OK;
}

int CloseCursor(sqlite3_vtab_cursor* cursor) noexcept {
  delete static_cast<SamplesCursor*>(cursor);
  return SQLITE_OK;
}

// For SQLite: the code of the connection where the failure was of SQLite, and always the sentence.
int CodeFor(const Result<void>& result, sqlite3_vtab& table) {
  if (result.ok()) return SQLITE_OK;
  const Error& error = result.error();
  sqlite3_free(table.zErrMsg);
  table.zErrMsg = sqlite3_mprintf("%s", error.ToString().c_str());
  if (error.code == ErrorCode::kInvalid) return SQLITE_ERROR;
  const int code = sqlite3_errcode(static_cast<SamplesTable&>(table).db.handle());
  return code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_ERROR : code;
}

int Filter(sqlite3_vtab_cursor* cursor, int, const char* plan, int,
           sqlite3_value** operands) noexcept {
  return CodeFor(static_cast<SamplesCursor*>(cursor)->Begin(plan, operands), *cursor->pVtab);
}

int Next(sqlite3_vtab_cursor* cursor) noexcept {
  return CodeFor(static_cast<SamplesCursor*>(cursor)->Next(), *cursor->pVtab);
}

int AtEnd(sqlite3_vtab_cursor* cursor) noexcept {
  return static_cast<SamplesCursor*>(cursor)->at_end() ? 1 : 0;
}

int GiveColumn(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) noexcept {
  static_cast<SamplesCursor*>(cursor)->Give(column, context);
  return SQLITE_OK;
}

// Without xCreate the table is there without CREATE VIRTUAL TABLE, and without xUpdate it is
// read-only.
const sqlite3_module kModule = [] {
  sqlite3_module module{};
  module.xConnect = Connect;
  module.xDisconnect = Disconnect;
  module.xBestIndex = ChoosePlan;
  module.xOpen = OpenCursor;
  module.xClose = CloseCursor;
  module.xFilter = Filter;
  module.xNext = Next;
  module.xEof = AtEnd;
  module.xColumn = GiveColumn;
  return module;
}();

using SharedCount = std::shared_ptr<size_t>;

void DeleteCount(void* count) noexcept { delete static_cast<SharedCount*>(count); }

void GiveDamagedRows(sqlite3_context* context, int, sqlite3_value**) noexcept {
  const auto& count = *static_cast<SharedCount*>(sqlite3_user_data(context));
  sqlite3_result_int64(context, static_cast<sqlite3_int64>(*count));
}

}  // namespace

Result<void> AddSamplesTable(sqlite3* db) {
  const auto count = std::make_shared<size_t>(0);
  int code = sqlite3_create_module_v2(db, "samples", &kModule, new SharedCount(count), DeleteCount);
  if (code == SQLITE_OK) {
    code = sqlite3_create_function_v2(db, "idlewatt_damaged_rows", 0, SQLITE_UTF8,
                                      new SharedCount(count), GiveDamagedRows, nullptr, nullptr,
                                      DeleteCount);
  }
  if (code != SQLITE_OK) return Database::Borrow(db).LastError();
  return {};
}

}  // namespace idlewatt
