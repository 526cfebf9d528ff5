#include "storage/row_salvage.h"

#include <algorithm>
#include <limits>

namespace idlewatt {
namespace {

constexpr int64_t kFirst = std::numeric_limits<int64_t>::min();
constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
constexpr int kMostTries = 4000;  // some 0.1 s

}  // namespace

Result<RowSalvage> RowSalvage::Create(Database& db, const std::string& columns,
                                      const std::string& table, const std::string& key) {
  const std::string select = "SELECT " + columns + " FROM " + table + " NOT INDEXED WHERE " + key +
                             " BETWEEN ?1 AND ?2 ORDER BY " + key;
  ASSIGN_OR_RETURN(Statement up, db.Prepare(select));
  ASSIGN_OR_RETURN(Statement down, db.Prepare(select + " DESC"));
  return RowSalvage(std::move(up), std::move(down));
}

Result<uint64_t> RowSalvage::Run(const Take& take) {
  ASSIGN_OR_RETURN(const Walk up, Go(up_, {kFirst, kLast}, true, take));
  if (up.whole) return 0;
  ASSIGN_OR_RETURN(const Walk down,
                   Go(down_, {up.found ? up.last_key + 1 : kFirst, kLast}, false, take));
  if (down.whole) return 0;
  // Keys below 0 would be times before 1970.
  RETURN_IF_ERROR(
      Leap({up.found ? up.last_key + 1 : 0, down.found ? down.last_key - 1 : kLast}, take));
  for (int tries = 0; tries < kMostTries && !gaps_.empty(); ++tries) {
    Gap gap = gaps_.top();
    gaps_.pop();
    const int64_t middle = gap.first + static_cast<int64_t>(gap.Width() / 2);
    ASSIGN_OR_RETURN(bool damaged, ReadFrom(middle, gap, take));
    if (!damaged) {
      AddGap(gap);
      continue;
    }
    given_up_.push_back({middle, middle});
    if (middle > gap.first) AddGap({gap.first, middle - 1});
    if (middle < gap.last) AddGap({middle + 1, gap.last});
  }
  return CountStretches();
}

// Where not even the end of the table is known, halving would take too long: this tries keys ever
// further from damage until it meets sound rows.
Result<void> RowSalvage::Leap(Gap gap, const Take& take) {
  int64_t step = 1;
  while (!gap.empty() && step - 1 <= kLast - gap.first && gap.first + (step - 1) <= gap.last) {
    const int64_t key = gap.first + (step - 1);
    ASSIGN_OR_RETURN(bool damaged, ReadFrom(key, gap, take));
    if (!damaged) {
      step = 1;
    } else if (step > kLast / 2) {
      break;
    } else {
      step *= 2;
    }
  }
  if (gap.last == kLast) {
    given_up_.push_back(gap);
  } else {
    AddGap(gap);
  }
  return {};
}

// Reads upwards from `key`, which lies in `gap`, and downwards below it. True when it is in the
// middle of damage; else `gap` is what is left above.
Result<bool> RowSalvage::ReadFrom(int64_t key, Gap& gap, const Take& take) {
  ASSIGN_OR_RETURN(const Walk up, Go(up_, {key, gap.last}, true, take));
  if (!up.whole && !up.found) return true;
  const Gap below{gap.first, key == kFirst ? key : key - 1};
  if (key > gap.first) {
    ASSIGN_OR_RETURN(const Walk down, Go(down_, below, false, take));
    if (!down.whole) AddGap({below.first, down.found ? down.last_key - 1 : below.last});
  }
  gap = up.whole ? Gap{1, 0} : Gap{up.last_key + 1, gap.last};
  return false;
}

Result<RowSalvage::Walk> RowSalvage::Go(Statement& rows, const Gap& gap, bool upwards,
                                        const Take& take) {
  Walk walk;
  rows.Bind(1, gap.first);
  rows.Bind(2, gap.last);
  for (;;) {
    const Result<bool> row = rows.Step();
    if (!row.ok()) return walk;
    if (!*row) break;
    const int64_t key = rows.Int(0);
    const bool in_order = !walk.found || (upwards ? key > walk.last_key : key < walk.last_key);
    if (!in_order || key < gap.first || key > gap.last) {
      rows.Reset();
      return walk;
    }
    walk.found = true;
    walk.last_key = key;
    Result<void> taken = take(rows);
    if (!taken.ok()) {
      rows.Reset();
      return std::move(taken).error();
    }
  }
  walk.whole = true;
  return walk;
}

void RowSalvage::AddGap(const Gap& gap) {
  if (!gap.empty()) gaps_.push(gap);
}

uint64_t RowSalvage::CountStretches() {
  for (; !gaps_.empty(); gaps_.pop()) given_up_.push_back(gaps_.top());
  std::sort(given_up_.begin(), given_up_.end(),
            [](const Gap& a, const Gap& b) { return a.first < b.first; });
  uint64_t stretches = 0;
  for (size_t i = 0; i < given_up_.size(); ++i) {
    if (i == 0 || given_up_[i - 1].last + 1 != given_up_[i].first) ++stretches;
  }
  return stretches;
}

}  // namespace idlewatt
