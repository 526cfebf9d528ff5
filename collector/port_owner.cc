#include "collector/port_owner.h"

#include <functional>
#include <set>
#include <string>

#include "base/text.h"
#include "collector/proc_text.h"

namespace idlewatt {
namespace {

// Inodes of the listening sockets on `port`, as the links in PID/fd show them: "socket:[123]".
std::set<std::string> ListenerLinks(const FileRoot& proc, uint16_t port) {
  std::set<std::string> links;
  for (const char* table : {"net/tcp", "net/tcp6"}) {
    const Result<std::string> text = proc.Read(table);
    if (!text) continue;
    for (const TcpListener& listener : ParseTcpListeners(*text)) {
      if (listener.port == port) links.insert("socket:[" + std::to_string(listener.inode) + "]");
    }
  }
  return links;
}

bool HoldsAny(const FileRoot& proc, const std::string& pid, const std::set<std::string>& links) {
  const auto descriptors = proc.List(pid + "/fd");
  if (!descriptors) return false;
  for (const std::string& descriptor : *descriptors) {
    const Result<std::string> link = proc.ReadLink(pid + "/fd/" + descriptor);
    if (link && links.contains(*link)) return true;
  }
  return false;
}

}  // namespace

std::vector<int32_t> FindPortOwners(const FileRoot& proc, uint16_t port) {
  std::vector<int32_t> owners;
  const std::set<std::string> links = ListenerLinks(proc, port);
  if (links.empty()) return owners;
  const auto entries = proc.List("");
  for (const std::string& entry : entries.value_or(std::vector<std::string>())) {
    const auto pid = ParseNumber<int32_t>(entry);
    if (pid && HoldsAny(proc, entry, links)) owners.push_back(*pid);
  }
  return owners;
}

std::optional<int32_t> FindPortOwner(const FileRoot& proc, uint16_t port) {
  const std::vector<int32_t> owners = FindPortOwners(proc, port);
  if (owners.empty()) return std::nullopt;
  return owners.front();
}

std::optional<int32_t> FindPortOwner(const FileRoot& proc, uint16_t port,
                                     const std::function<bool(int32_t pid)>& is_wanted) {
  const std::set<std::string> links = ListenerLinks(proc, port);
  if (links.empty()) return std::nullopt;
  const auto entries = proc.List("");
  std::set<int32_t, std::greater<>> pids;
  for (const std::string& entry : entries.value_or(std::vector<std::string>())) {
    if (const auto pid = ParseNumber<int32_t>(entry)) pids.insert(*pid);
  }
  std::optional<int32_t> other;
  for (const int32_t pid : pids) {
    if (!HoldsAny(proc, std::to_string(pid), links)) continue;
    if (is_wanted(pid)) return pid;
    other = pid;
  }
  return other;
}

bool IsPortOwner(const FileRoot& proc, int32_t pid, uint16_t port) {
  const std::set<std::string> links = ListenerLinks(proc, port);
  return !links.empty() && HoldsAny(proc, std::to_string(pid), links);
}

}  // namespace idlewatt
