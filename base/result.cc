#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace idlewatt {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNoData:
      return "no_data";
    case ErrorCode::kPermission:
      return "permission";
    case ErrorCode::kGone:
      return "gone";
    case ErrorCode::kTransient:
      return "transient";
    case ErrorCode::kParse:
      return "parse";
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

std::string Error::ToString() const {
  std::string out = subject;
  auto append = [&out](const std::string& part) {
    if (part.empty()) return;
    if (!out.empty()) out += ": ";
    out += part;
  };
  append(text);
  if (sys_errno != 0) append(std::generic_category().message(sys_errno));
  return out;
}

Error ErrnoError(int sys_errno, std::string subject, std::string text) {
  ErrorCode code = ErrorCode::kTransient;
  switch (sys_errno) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
      code = ErrorCode::kGone;
      break;
    case EOPNOTSUPP:  // switched off, as pressure with psi=0
      code = ErrorCode::kNoData;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = ErrorCode::kPermission;
      break;
    default:
      break;
  }
  return Error{code, std::move(subject), sys_errno, std::move(text)};
}

}  // namespace idlewatt
