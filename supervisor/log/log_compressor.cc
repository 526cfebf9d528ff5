#include "supervisor/log/log_compressor.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

namespace idlewatt {

struct LogCompressor::Job {
  const UniqueFd source;
  const std::string target;
  const std::function<void(Result<void>)> done;
  std::atomic<bool> given_up = false;
  Result<void> result{};  // of the thread until the job is in done_, of the loop from then on
};

namespace {

// What is read at once; between two the thread looks whether it is still wanted.
using Buffer = std::array<char, size_t{128} << 10>;

// Of a model server's lines level 3 leaves 15 %; 6 would leave 13 % for more than twice the CPU
// time.
constexpr const char* kGzipMode = "wb3";

bool IsDeleted(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_nlink == 0;
}

Result<void> CopyAll(int source, gzFile target, const std::string& path,
                     const std::atomic<bool>& given_up) {
  Buffer buffer;
  while (true) {
    if (given_up || IsDeleted(source)) return Error{ErrorCode::kGone, path, 0, "no longer needed"};
    const ssize_t count = ::read(source, buffer.data(), buffer.size());
    if (count < 0) return ErrnoError(errno, path, "what it is made from cannot be read");
    if (count == 0) return {};
    if (::gzwrite(target, buffer.data(), static_cast<unsigned>(count)) != count) {
      return ErrnoError(errno, path, "cannot be written");
    }
  }
}

Result<void> Gzip(int source, int target, const std::string& path,
                  const std::atomic<bool>& given_up) {
  UniqueFd copy(::fcntl(target, F_DUPFD_CLOEXEC, 0));  // gzclose closes it
  const gzFile file = copy ? ::gzdopen(copy.get(), kGzipMode) : nullptr;
  if (file == nullptr) return ErrnoError(errno, path, "cannot be written");
  copy.release();
  Result<void> copied = CopyAll(source, file, path, given_up);
  const int closed = ::gzclose(file);
  if (copied && closed != Z_OK) return ErrnoError(errno, path, "cannot be written");
  return copied;
}

Result<void> CompressFile(int source, const std::string& path, const std::atomic<bool>& given_up) {
  struct stat status {};
  if (::fstat(source, &status) != 0) return ErrnoError(errno, path);
  const UniqueFd target(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!target) return ErrnoError(errno, path, "cannot be made");
  RETURN_IF_ERROR(Gzip(source, target.get(), path, given_up));
  const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
  if (::fchmod(target.get(), status.st_mode & 0777) != 0 ||
      ::futimens(target.get(), times.data()) != 0 ||
      // The file that it stands for is removed next: after a power cut one of the two must be
      // there.
      ::fdatasync(target.get()) != 0) {
    return ErrnoError(errno, path, "cannot be written");
  }
  return {};
}

}  // namespace

LogCompressor::Task& LogCompressor::Task::operator=(Task&& other) noexcept {
  Reset();
  owner_ = other.owner_;
  job_ = std::move(other.job_);
  return *this;
}

void LogCompressor::Task::Reset() {
  if (!job_) return;
  bool is_done = false;
  {
    const MutexLock lock(owner_->mutex_);
    job_->given_up = true;
    std::erase(owner_->queue_, job_);
    is_done = std::erase(owner_->done_, job_) > 0;
  }
  if (is_done) ::unlink(job_->target.c_str());
  job_.reset();
}

Result<std::unique_ptr<LogCompressor>> LogCompressor::Create() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return ErrnoError(errno, "eventfd");
  return std::unique_ptr<LogCompressor>(new LogCompressor(std::move(event)));
}

LogCompressor::LogCompressor(UniqueFd done_event)
    : done_event_(std::move(done_event)), thread_([this] { Work(); }) {}

LogCompressor::~LogCompressor() {
  const MutexLock lock(mutex_);
  stopping_ = true;
  changed_.NotifyAll();
}

LogCompressor::Task LogCompressor::Compress(UniqueFd source, std::string target,
                                            std::function<void(Result<void>)> done) {
  const std::shared_ptr<Job> job(new Job{std::move(source), std::move(target), std::move(done)});
  const MutexLock lock(mutex_);
  queue_.push_back(job);
  changed_.NotifyAll();
  return {this, job};
}

void LogCompressor::Deliver() {
  uint64_t count = 0;
  (void)!::read(done_event_.get(), &count, sizeof count);
  while (const std::shared_ptr<Job> job = TakeDone()) job->done(std::move(job->result));
}

std::shared_ptr<LogCompressor::Job> LogCompressor::TakeDone() {
  const MutexLock lock(mutex_);
  if (done_.empty()) return nullptr;
  std::shared_ptr<Job> job = std::move(done_.front());
  done_.pop_front();
  return job;
}

void LogCompressor::Work() {
  ::pthread_setname_np(::pthread_self(), "iw-compress");
  // On Linux of this thread alone; the priority of its reads and writes follows.
  ::setpriority(PRIO_PROCESS, 0, 19);
  while (std::shared_ptr<Job> job = NextJob()) {
    job->result = CompressFile(job->source.get(), job->target, job->given_up);
    if (!job->result) ::unlink(job->target.c_str());
    if (!Finish(job)) ::unlink(job->target.c_str());
  }
}

// Waits for one; null at the end.
std::shared_ptr<LogCompressor::Job> LogCompressor::NextJob() {
  const MutexLock lock(mutex_);
  while (queue_.empty() && !stopping_) changed_.Wait(mutex_);
  if (stopping_) return nullptr;
  std::shared_ptr<Job> job = std::move(queue_.front());
  queue_.pop_front();
  return job;
}

// Takes it, so that the loop closes its descriptor; false when it was given up.
bool LogCompressor::Finish(std::shared_ptr<Job>& job) {
  const MutexLock lock(mutex_);
  if (job->given_up) return false;
  done_.push_back(std::move(job));
  const uint64_t one = 1;
  (void)!::write(done_event_.get(), &one, sizeof one);
  return true;
}

}  // namespace idlewatt
