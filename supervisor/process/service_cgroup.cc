#include "supervisor/process/service_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace idlewatt {
namespace {

constexpr mode_t kFolderMode = 0755;
constexpr int kMostOfAName = 1000;
constexpr std::string_view kPrefix = "idlewatt-";

// Where cgroup v2 is mounted, below `sys`: alone, or beside v1 (hybrid).
Result<std::string_view> FindMount(const FileRoot& sys) {
  for (const std::string_view mount : {"fs/cgroup", "fs/cgroup/unified"}) {
    // Of v2 alone.
    if (sys.Exists(std::string(mount) + "/cgroup.controllers")) return mount;
  }
  return Error{ErrorCode::kNoData, sys.PathOf("fs/cgroup"), 0, "no cgroup v2 is mounted"};
}

// What proc/self/cgroup says, "" for the root.
Result<std::string> OwnPath(const FileRoot& proc) {
  ASSIGN_OR_RETURN(const std::string text, proc.Read("self/cgroup"));
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.starts_with("0::/")) continue;
    const std::string_view path = line.substr(3);
    // In a cgroup namespace that we were put outside of, the path climbs out of what is mounted.
    if (path.starts_with("/..")) break;
    return std::string(path == "/" ? "" : path);
  }
  return Error{ErrorCode::kNoData, proc.PathOf("self/cgroup"), 0,
               "names no cgroup v2 of this process that can be reached"};
}

// The folders in `folder` and below, itself included, each behind those below it.
void AddFolders(const FileRoot& root, const std::string& folder, std::vector<std::string>& out) {
  const Result<std::vector<std::string>> names = root.List(folder);
  if (!names) return;  // removed meanwhile
  for (const std::string& name : *names) {
    std::string below = folder;
    below.append("/").append(name);
    if (root.Exists(below + "/cgroup.procs")) AddFolders(root, below, out);
  }
  out.push_back(folder);
}

std::vector<std::string> FoldersOf(const FileRoot& root) {
  std::vector<std::string> folders;
  AddFolders(root, ".", folders);
  return folders;
}

}  // namespace

ServiceCgroup::ServiceCgroup(std::string path, uint64_t id, FileRoot folder, UniqueFd events)
    : path_(std::move(path)), id_(id), folder_(std::move(folder)), events_(std::move(events)) {
  // Until its first read the kernel reports a change that nobody has seen.
  IsPopulated();
}

Result<std::string> ServiceCgroup::FindOwn(const FileRoot& proc, const FileRoot& sys) {
  ASSIGN_OR_RETURN(const std::string_view mount, FindMount(sys));
  ASSIGN_OR_RETURN(const std::string own, OwnPath(proc));
  return std::string(mount) + own;
}

Result<std::string> ServiceCgroup::FindParent(const FileRoot& proc, const FileRoot& sys) {
  ASSIGN_OR_RETURN(std::string parent, FindOwn(proc, sys));
  if (::faccessat(sys.fd(), parent.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return ErrnoError(errno, sys.PathOf(parent), "services get no cgroup of their own");
  }
  return parent;
}

Result<ServiceCgroup> ServiceCgroup::Create(const FileRoot& proc, const FileRoot& sys,
                                            const std::string& name) {
  ASSIGN_OR_RETURN(const std::string parent, FindParent(proc, sys));
  ASSIGN_OR_RETURN(const std::string_view mount, FindMount(sys));
  const std::string first = parent + "/" + std::string(kPrefix) + name;
  std::string folder = first;
  for (int number = 2; ::mkdirat(sys.fd(), folder.c_str(), kFolderMode) != 0; ++number) {
    if (errno != EEXIST || number > kMostOfAName) {
      return ErrnoError(errno, sys.PathOf(folder), "a service gets no cgroup of its own");
    }
    folder = first + "-" + std::to_string(number);
  }
  Result<ServiceCgroup> made = OpenFolder(sys, mount, folder.substr(mount.size()));
  if (!made) ::unlinkat(sys.fd(), folder.c_str(), AT_REMOVEDIR);
  return made;
}

Result<ServiceCgroup> ServiceCgroup::Open(const FileRoot& sys, const std::string& path,
                                          uint64_t id) {
  ASSIGN_OR_RETURN(const std::string_view mount, FindMount(sys));
  ASSIGN_OR_RETURN(ServiceCgroup cgroup, OpenFolder(sys, mount, path));
  if (cgroup.id() != id) {
    return Error{ErrorCode::kGone, cgroup.folder_.path(), 0, "is another cgroup now"};
  }
  return cgroup;
}

Result<ServiceCgroup> ServiceCgroup::OpenFolder(const FileRoot& sys, std::string_view mount,
                                                std::string path) {
  ASSIGN_OR_RETURN(FileRoot folder, FileRoot::Open(sys.PathOf(std::string(mount) + path)));
  // The kernel's id of a cgroup is the number of its inode; it gives none twice.
  struct stat status {};
  if (::fstat(folder.fd(), &status) != 0) return ErrnoError(errno, folder.path());
  ASSIGN_OR_RETURN(UniqueFd events, folder.OpenFile("cgroup.events"));
  return ServiceCgroup(std::move(path), status.st_ino, std::move(folder), std::move(events));
}

bool ServiceCgroup::IsNameOf(std::string_view service, std::string_view folder) {
  if (!folder.starts_with(kPrefix)) return false;
  folder.remove_prefix(kPrefix.size());
  if (!folder.starts_with(service)) return false;
  folder.remove_prefix(service.size());
  return folder.empty() || (folder.front() == '-' && ParseNumber<int>(folder.substr(1)));
}

bool ServiceCgroup::IsPopulated() const {
  std::array<char, 256> text{};
  // At the front: this read also takes notice of the last change.
  const ssize_t size = ::pread(events_.get(), text.data(), text.size(), 0);
  if (size < 0) return false;  // ENODEV: the folder was removed
  return NumberOfKey({text.data(), static_cast<size_t>(size)}, "populated").value_or(0) > 0;
}

std::vector<pid_t> ServiceCgroup::Processes() const {
  std::vector<pid_t> pids;
  for (const std::string& folder : FoldersOf(folder_)) {
    const Result<std::string> text = folder_.Read(folder + "/cgroup.procs");
    if (!text) continue;
    for (const std::string_view line : Split(*text, '\n')) {
      // 0 stands for one outside of our pid namespace.
      if (const auto pid = ParseNumber<pid_t>(line); pid && *pid > 0) pids.push_back(*pid);
    }
  }
  return pids;
}

Result<void> ServiceCgroup::Kill() const {
  const UniqueFd file(::openat(folder(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) {
    return Error{ErrorCode::kNoData, folder_.path(), 0, "this kernel has no cgroup.kill"};
  }
  if (!file || ::write(file.get(), "1", 1) != 1) return ErrnoError(errno, folder_.path());
  return {};
}

std::optional<int64_t> ServiceCgroup::OutOfMemoryKills() const {
  const Result<std::string> text = folder_.Read("memory.events");
  return text ? NumberOfKey(*text, "oom_kill") : std::nullopt;
}

Result<void> ServiceCgroup::Remove() const {
  for (const std::string& folder : FoldersOf(folder_)) {
    const std::string path = folder_.PathOf(folder);
    // A path that ends in "." can't be removed.
    const std::string& named = folder == "." ? folder_.path() : path;
    if (::rmdir(named.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, named);
  }
  return {};
}

}  // namespace idlewatt
