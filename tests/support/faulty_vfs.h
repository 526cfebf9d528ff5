#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace idlewatt {

// SQLite's own way to the disk, with faults: while this object lives it is the default VFS, so what
// is tested opens its databases as always.
// Shape:   writes, truncations, syncs and deletions are numbered from 1 since the last FailAt.
// Errors:  after a power loss every operation fails until Recover.
// Threads: any.
// Owns:    for each file, what a power loss would undo: its operations since its last sync. It must
//          outlive every connection.
class FaultyVfs {
 public:
  enum class Fault {
    kDiskFull,   // a write that finds no room; a sync or truncation fails
    kIoError,    // nothing was done
    kHalfWrite,  // as kIoError, but half of the bytes are in the file
    kPowerLoss,  // as kHalfWrite, and the end of the machine
  };

  FaultyVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
    vfs_.zName = "faulty";
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = &Open;
    vfs_.xDelete = &Delete;
    sqlite3_vfs_register(&vfs_, 1);
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;
  ~FaultyVfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }

  // Operation `number` from now fails; with `lasting` all after it as well, until Recover.
  void FailAt(uint64_t number, Fault fault, bool lasting) {
    const MutexLock lock(mutex_);
    operations_ = 0;
    fail_at_ = number;
    fault_ = fault;
    lasting_ = lasting || fault == Fault::kPowerLoss;
  }
  // Operations since the last FailAt.
  uint64_t operations() const {
    const MutexLock lock(mutex_);
    return operations_;
  }
  // No fault any more. After a power loss, of which every connection must have been closed, what
  // was written since the last sync of its file is there, is not, or is there in part: `seed`
  // says which.
  void Recover(uint32_t seed = 0) {
    const MutexLock lock(mutex_);
    if (PowerIsLost()) {
      std::mt19937 random(seed);
      for (const auto& [path, file] : files_) Settle(path, file, random);
    }
    files_.clear();
    fail_at_ = 0;
  }

 private:
  // `before` is what stood from `offset` on, as far as the file reached.
  struct Operation {
    int64_t offset = 0;
    std::string before, after;
    int64_t size_before = 0;
    bool truncates = false;
  };
  struct Unsynced {
    ino_t inode = 0;
    std::vector<Operation> operations;
  };
  // What SQLite holds of an open file; the VFS that is wrapped has its own right behind it.
  struct File {
    sqlite3_file base;
    FaultyVfs* vfs;
    std::string* path;  // null: a temporary file, of which a power loss leaves nothing

    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file).real(); }

  bool PowerIsLost() const REQUIRES(mutex_) {
    return fault_ == Fault::kPowerLoss && fail_at_ > 0 && operations_ >= fail_at_;
  }
  bool Dead() const {
    const MutexLock lock(mutex_);
    return PowerIsLost();
  }
  // Counts an operation. Must it fail, and had the power gone before it?
  bool Fails(bool& was_dead) REQUIRES(mutex_) {
    was_dead = PowerIsLost();
    if (was_dead) return true;
    ++operations_;
    return fail_at_ > 0 && (operations_ == fail_at_ || (lasting_ && operations_ > fail_at_));
  }
  int ErrorOf(int io_error) const REQUIRES(mutex_) {
    return fault_ == Fault::kDiskFull ? SQLITE_FULL : io_error;
  }

  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* opened, int flags,
                  int* flags_out) {
    auto& self = *static_cast<FaultyVfs*>(vfs->pAppData);
    File& file = Of(opened);
    file.base.pMethods = nullptr;
    if (self.Dead()) return SQLITE_CANTOPEN;
    const int code = self.real_->xOpen(self.real_, name, file.real(), flags, flags_out);
    if (code != SQLITE_OK) return code;
    file.base.pMethods = &kMethods;
    file.vfs = &self;
    file.path = name == nullptr ? nullptr : new std::string(name);
    if (name == nullptr) return code;
    struct stat info {};
    stat(name, &info);
    const MutexLock lock(self.mutex_);
    Unsynced& unsynced = self.files_[name];
    // Another file than the one that had this name, though a new one may get the old one's number.
    if (unsynced.inode != info.st_ino || info.st_size == 0) unsynced = {info.st_ino, {}};
    return code;
  }
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    auto& self = *static_cast<FaultyVfs*>(vfs->pAppData);
    const MutexLock lock(self.mutex_);
    bool was_dead = false;
    if (self.Fails(was_dead)) return SQLITE_IOERR_DELETE;
    self.files_.erase(name);
    return self.real_->xDelete(self.real_, name, sync_folder);
  }
  static int Close(sqlite3_file* file) {
    delete Of(file).path;
    return Real(file)->pMethods->xClose(Real(file));
  }
  static int Read(sqlite3_file* file, void* bytes, int count, sqlite3_int64 offset) {
    if (Of(file).vfs->Dead()) return SQLITE_IOERR_READ;
    return Real(file)->pMethods->xRead(Real(file), bytes, count, offset);
  }
  static int Write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
    FaultyVfs& self = *Of(file).vfs;
    const MutexLock lock(self.mutex_);
    bool was_dead = false;
    const bool fails = self.Fails(was_dead);
    if (was_dead) return SQLITE_IOERR_WRITE;
    const bool half = self.fault_ == Fault::kHalfWrite || self.fault_ == Fault::kPowerLoss;
    if (fails && half) count /= 2;
    if (!fails || half) {
      self.Remember(file, offset, {static_cast<const char*>(bytes), static_cast<size_t>(count)});
      const int code = Real(file)->pMethods->xWrite(Real(file), bytes, count, offset);
      if (!fails) return code;
    }
    return self.ErrorOf(SQLITE_IOERR_WRITE);
  }
  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultyVfs& self = *Of(file).vfs;
    const MutexLock lock(self.mutex_);
    bool was_dead = false;
    if (self.Fails(was_dead)) return self.ErrorOf(SQLITE_IOERR_TRUNCATE);
    self.RememberTruncation(file, size);
    return Real(file)->pMethods->xTruncate(Real(file), size);
  }
  static int Sync(sqlite3_file* file, int /*flags*/) {
    FaultyVfs& self = *Of(file).vfs;
    const MutexLock lock(self.mutex_);
    bool was_dead = false;
    if (self.Fails(was_dead)) return self.ErrorOf(SQLITE_IOERR_FSYNC);
    if (Of(file).path != nullptr) self.files_[*Of(file).path].operations.clear();
    return SQLITE_OK;  // what a power loss leaves is decided here, so the real disk need not wait
  }
  static int FileSize(sqlite3_file* file, sqlite3_int64* size) {
    if (Of(file).vfs->Dead()) return SQLITE_IOERR_FSTAT;
    return Real(file)->pMethods->xFileSize(Real(file), size);
  }
  static int Lock(sqlite3_file* file, int level) {
    if (Of(file).vfs->Dead()) return SQLITE_IOERR_LOCK;
    return Real(file)->pMethods->xLock(Real(file), level);
  }
  static int Unlock(sqlite3_file* file, int level) {
    return Real(file)->pMethods->xUnlock(Real(file), level);
  }
  static int CheckReservedLock(sqlite3_file* file, int* locked) {
    return Real(file)->pMethods->xCheckReservedLock(Real(file), locked);
  }
  static int FileControl(sqlite3_file* file, int operation, void* argument) {
    return Real(file)->pMethods->xFileControl(Real(file), operation, argument);
  }
  static int SectorSize(sqlite3_file* file) {
    return Real(file)->pMethods->xSectorSize(Real(file));
  }
  static int DeviceCharacteristics(sqlite3_file* file) {
    return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
  }
  static int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** mapped) {
    if (Of(file).vfs->Dead()) return SQLITE_IOERR_SHMMAP;
    return Real(file)->pMethods->xShmMap(Real(file), region, size, extend, mapped);
  }
  static int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
    if ((flags & SQLITE_SHM_LOCK) != 0 && Of(file).vfs->Dead()) return SQLITE_IOERR_SHMLOCK;
    return Real(file)->pMethods->xShmLock(Real(file), offset, count, flags);
  }
  static void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
  static int ShmUnmap(sqlite3_file* file, int remove) {
    if (Of(file).vfs->Dead()) remove = 0;
    return Real(file)->pMethods->xShmUnmap(Real(file), remove);
  }

  // Reads through SQLite's own descriptor: to close another one would drop its locks.
  static std::string Content(sqlite3_file* file, int64_t offset, int64_t end) {
    std::string bytes(static_cast<size_t>(std::max<int64_t>(0, end - offset)), '\0');
    if (!bytes.empty()) {
      Real(file)->pMethods->xRead(Real(file), bytes.data(), static_cast<int>(bytes.size()), offset);
    }
    return bytes;
  }
  static int64_t SizeOf(sqlite3_file* file) {
    sqlite3_int64 size = 0;
    Real(file)->pMethods->xFileSize(Real(file), &size);
    return size;
  }
  void Remember(sqlite3_file* file, int64_t offset, std::string bytes) REQUIRES(mutex_) {
    if (Of(file).path == nullptr) return;
    const int64_t size = SizeOf(file);
    const int64_t end = offset + static_cast<int64_t>(bytes.size());
    files_[*Of(file).path].operations.push_back(
        {offset, Content(file, offset, std::min(end, size)), std::move(bytes), size, false});
  }
  void RememberTruncation(sqlite3_file* file, int64_t size) REQUIRES(mutex_) {
    if (Of(file).path == nullptr) return;
    const int64_t size_before = SizeOf(file);
    files_[*Of(file).path].operations.push_back(
        {size, Content(file, size, size_before), "", size_before, true});
  }

  static void Put(int fd, int64_t offset, const std::string& bytes, size_t count) {
    if (pwrite(fd, bytes.data(), count, offset) != static_cast<ssize_t>(count)) ADD_FAILURE();
  }
  // Takes the file back to its last sync, and does again what the power loss spared.
  static void Settle(const std::string& path, const Unsynced& unsynced, std::mt19937& random) {
    SettleShm(path + "-shm", random);
    struct stat info {};
    if (stat(path.c_str(), &info) != 0 || info.st_ino != unsynced.inode) return;
    const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    const auto& operations = unsynced.operations;
    for (auto op = operations.rbegin(); op != operations.rend(); ++op) {
      Put(fd.get(), op->offset, op->before, op->before.size());
      if (ftruncate(fd.get(), op->size_before) != 0) ADD_FAILURE();
    }
    const auto style = random() % 3;  // all of it, nothing of it, or anything between
    for (const Operation& op : operations) {
      const auto fate = style < 2 ? style : random() % 3;
      if (fate == 1) continue;
      const size_t count = fate == 0 ? op.after.size() : random() % (op.after.size() + 1);
      if (op.truncates && fate == 0) {
        if (ftruncate(fd.get(), op.offset) != 0) ADD_FAILURE();
      } else {
        Put(fd.get(), op.offset, op.after, count);
      }
    }
  }
  // Memory that the kernel may have written back at any moment.
  static void SettleShm(const std::string& path, std::mt19937& random) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return;
    const auto fate = random() % 3;
    if (fate == 0) unlink(path.c_str());
    if (fate != 1) return;
    std::string noise(static_cast<size_t>(info.st_size), '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    Put(fd.get(), 0, noise, noise.size());
  }

  static constexpr sqlite3_io_methods kMethods{
      .iVersion = 2,  // no xFetch: all reads come through here
      .xClose = &Close,
      .xRead = &Read,
      .xWrite = &Write,
      .xTruncate = &Truncate,
      .xSync = &Sync,
      .xFileSize = &FileSize,
      .xLock = &Lock,
      .xUnlock = &Unlock,
      .xCheckReservedLock = &CheckReservedLock,
      .xFileControl = &FileControl,
      .xSectorSize = &SectorSize,
      .xDeviceCharacteristics = &DeviceCharacteristics,
      .xShmMap = &ShmMap,
      .xShmLock = &ShmLock,
      .xShmBarrier = &ShmBarrier,
      .xShmUnmap = &ShmUnmap,
      .xFetch = nullptr,
      .xUnfetch = nullptr};

  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;

  mutable Mutex mutex_;
  uint64_t operations_ GUARDED_BY(mutex_) = 0;
  uint64_t fail_at_ GUARDED_BY(mutex_) = 0;  // 0: never
  Fault fault_ GUARDED_BY(mutex_) = Fault::kIoError;
  bool lasting_ GUARDED_BY(mutex_) = false;
  std::map<std::string, Unsynced> files_ GUARDED_BY(mutex_);
};

}  // namespace idlewatt
