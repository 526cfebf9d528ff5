#include "supervisor/log/log_backups.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <tuple>

#include "base/text.h"

namespace idlewatt {
namespace {

bool IsOlderThan(const std::string& path, std::chrono::milliseconds age) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  const auto changed = std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec);
  return std::chrono::system_clock::now() - changed > age;
}

}  // namespace

LogBackups::LogBackups(std::string path, const ServiceSpec::Log& options, LogCompressor* compressor)
    : path_(std::move(path)),
      temporary_(path_ + ".tmp"),
      compressor_(compressor),
      options_(options) {}

void LogBackups::Rotate() {
  for (const Backup& backup : List()) {
    if (backup.number >= options_.max_backups) {
      ::unlink(backup.path.c_str());
    } else {
      std::rename(backup.path.c_str(), PathOf(backup.number + 1, backup.compressed).c_str());
    }
  }
  if (options_.max_backups > 0) std::rename(path_.c_str(), PathOf(1, false).c_str());
  Tidy();
}

void LogBackups::Tidy() {
  const std::vector<Backup> backups = List();
  for (const Backup& backup : backups) {
    if (IsUseless(backup, backups)) ::unlink(backup.path.c_str());
  }
  if (task_) return;
  ::unlink(temporary_.c_str());
  CompressNewest();
}

void LogBackups::DeleteAll() {
  task_.Reset();
  ::unlink(temporary_.c_str());
  for (const Backup& backup : List()) ::unlink(backup.path.c_str());
}

std::string LogBackups::PathOf(int number, bool compressed) const {
  return path_ + "." + std::to_string(number) + (compressed ? ".gz" : "");
}

// Oldest first; of one number the compressed one first.
std::vector<LogBackups::Backup> LogBackups::List() const {
  const std::filesystem::path log(path_);
  const std::string prefix = log.filename().string() + ".";
  std::vector<Backup> backups;
  std::error_code error;
  std::filesystem::directory_iterator entry(log.parent_path(), error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(name).substr(prefix.size());
    const int number = ParseNumber<int>(rest.substr(0, rest.find('.'))).value_or(0);
    if (number < 1 || number > kMaxNumber) continue;
    for (const bool compressed : {false, true}) {
      // As a whole: "a.log.01" and "a.log.1.bak" are somebody else's.
      const std::string path = PathOf(number, compressed);
      if (path.substr(path_.size() + 1) == rest) backups.push_back({number, compressed, path});
    }
  }
  std::ranges::sort(backups, [](const Backup& a, const Backup& b) {
    return std::tie(a.number, a.compressed) > std::tie(b.number, b.compressed);
  });
  return backups;
}

bool LogBackups::IsUseless(const Backup& backup, const std::vector<Backup>& all) const {
  if (backup.number > options_.max_backups) return true;
  // The daemon was killed after the compressed one had taken its place, before the other was
  // removed.
  const bool is_double = !backup.compressed && std::ranges::any_of(all, [&](const Backup& other) {
    return other.number == backup.number && other.compressed;
  });
  return is_double || (options_.max_age.count() > 0 && IsOlderThan(backup.path, options_.max_age));
}

void LogBackups::CompressNewest() {
  if (compressor_ == nullptr || !options_.compress) return;
  std::vector<Backup> plain = List();
  std::erase_if(plain, [](const Backup& backup) { return backup.compressed; });
  if (plain.empty()) return;
  // O_NONBLOCK: should somebody have put a FIFO there, the loop must not wait for its writer.
  UniqueFd source(
      ::open(plain.back().path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!source || ::fstat(source.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  source_ = {status.st_dev, status.st_ino};
  task_ = compressor_->Compress(std::move(source), temporary_,
                                [this](const Result<void>& result) { OnCompressed(result); });
}

void LogBackups::OnCompressed(const Result<void>& result) {
  const Result<void> placed = result ? TakePlace() : result;
  if (!placed) ::unlink(temporary_.c_str());
  task_.Reset();
  if (!placed && placed.error().code != ErrorCode::kGone) {
    if (!failed_) spdlog::warn("{}; backups stay uncompressed", placed.error().ToString());
    failed_ = true;
    return;  // the next rotation tries again
  }
  if (placed) failed_ = false;
  CompressNewest();
}

// Puts the compressed one where the backup is now. It is known by its inode, which nothing else can
// have as long as the task holds it open. kGone when it was rotated away meanwhile.
Result<void> LogBackups::TakePlace() {
  for (const Backup& backup : List()) {
    struct stat status {};
    if (backup.compressed || ::lstat(backup.path.c_str(), &status) != 0 ||
        source_ != std::pair(status.st_dev, status.st_ino)) {
      continue;
    }
    if (std::rename(temporary_.c_str(), PathOf(backup.number, true).c_str()) != 0 ||
        ::unlink(backup.path.c_str()) != 0) {
      return ErrnoError(errno, backup.path, "cannot be replaced");
    }
    return {};
  }
  return Error{ErrorCode::kGone, path_, 0, "the backup is gone"};
}

}  // namespace idlewatt
