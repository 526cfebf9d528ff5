#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/sqlite.h"

namespace idlewatt {

// Reads what can be read of a table whose pages are damaged: upwards until damage, downwards from
// the end, and from many places between, the widest gap first. Where both ends are damaged it looks
// for the middle from key 0 on, so that it may miss keys that are large and near each other.
// Threads: one at a time.
class RowSalvage {
 public:
  // Gets each row once, in no order.
  using Take = std::function<Result<void>(const Statement&)>;

  // `columns` begin with `key`, the rowid of the table. `db` must outlive this object.
  static Result<RowSalvage> Create(Database& db, const std::string& columns,
                                   const std::string& table, const std::string& key);

  // Once. Gives back in how many stretches nothing could be read. Only an error of `take` is one.
  Result<uint64_t> Run(const Take& take);

 private:
  // Keys, both ends included; `last` may lie before `first`, then it is empty.
  struct Gap {
    int64_t first, last;
    bool empty() const { return last < first; }
    uint64_t Width() const { return static_cast<uint64_t>(last) - static_cast<uint64_t>(first); }
    bool operator<(const Gap& other) const { return Width() < other.Width(); }
  };
  // What a walk met: no more rows in its gap, or damage, behind the last row that it took.
  struct Walk {
    bool whole = false;
    bool found = false;
    int64_t last_key = 0;
  };

  RowSalvage(Statement up, Statement down) : up_(std::move(up)), down_(std::move(down)) {}
  static Result<Walk> Go(Statement& rows, const Gap& gap, bool upwards, const Take& take);
  Result<bool> ReadFrom(int64_t key, Gap& gap, const Take& take);
  Result<void> Leap(Gap gap, const Take& take);
  void AddGap(const Gap& gap);
  uint64_t CountStretches();

  Statement up_, down_;
  std::priority_queue<Gap> gaps_;  // that may hold rows
  std::vector<Gap> given_up_;
};

}  // namespace idlewatt
