#include "app/control_token.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "app/database_path.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace idlewatt {
namespace {

constexpr size_t kLeastLength = 32;
constexpr size_t kRandomBytes = 32;

Error BadToken(const std::string& path, const std::string& text) {
  return Error{ErrorCode::kInvalid, path, 0, text};
}

bool IsTokenCharacter(char c) {
  constexpr std::string_view kMarks = "-._~+/=";  // what RFC 6750 allows
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         kMarks.find(c) != std::string_view::npos;
}

Result<std::string> NewToken() {
  std::array<unsigned char, kRandomBytes> bytes{};
  // No more than 256 bytes come whole or not at all.
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return ErrnoError(errno, "getrandom", "no random bytes for the control token");
  }
  std::string token;
  for (const unsigned char byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte);
    token += digits.data();
  }
  return token;
}

// In one step, so that nobody ever finds half a token.
Result<std::string> MakeToken(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string token, NewToken());
  const std::string text = token + "\n";
  const std::string temporary = path + ".new";
  const UniqueFd file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file || ::fchmod(file.get(), 0600) != 0 ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, path, "cannot be written");
  }
  return token;
}

}  // namespace

Result<std::string> ReadControlToken(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 512> buffer{};
  const ssize_t size = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  if (size < 0) return ErrnoError(errno, path, "cannot be read");
  const std::string token(Trim({buffer.data(), static_cast<size_t>(size)}));
  if (token.size() < kLeastLength || static_cast<size_t>(size) == buffer.size() ||
      !std::all_of(token.begin(), token.end(), IsTokenCharacter)) {
    return BadToken(path, "holds no token; remove it, and the daemon makes one when it starts");
  }
  return token;
}

Result<std::string> LoadControlToken(const DataDir& folder) {
  const std::string path = folder.PathOf(kControlTokenFile);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return MakeToken(path);
    return ErrnoError(errno, path, "cannot be read");
  }
  if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return BadToken(path, "can be read or written by everybody; `chmod o= " + path +
                              "`, and remove it if it may be known to others");
  }
  return ReadControlToken(path);
}

Result<std::string> ControlTokenFor(const std::string& address) {
  const char* given = std::getenv("IDLEWATT_TOKEN");
  if (given != nullptr && *given != '\0') return std::string(given);
  ASSIGN_OR_RETURN(const std::filesystem::path database, DatabasePathOfDaemon(address));
  auto token = ReadControlToken(database.parent_path() / kControlTokenFile);
  if (token) return token;
  Error& error = token.error();
  if (error.code == ErrorCode::kPermission) {
    error.text =
        "only root and the user of the daemon may read it: run this as one of them, or set "
        "IDLEWATT_TOKEN";
  } else if (error.code == ErrorCode::kGone) {
    error.text = "is not there; for a daemon on another machine set IDLEWATT_TOKEN";
  }
  return token;
}

}  // namespace idlewatt
