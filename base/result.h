// Result<T>: a value or an Error. The only way our functions report failure.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace idlewatt {

// What kind of failure it was, which decides who acts (see the table in docs/development.md).
enum class ErrorCode {
  kNoData,      // the source does not exist here (no RAPL, no battery)
  kPermission,  // it exists, this process may not read it
  kGone,        // the item vanished while it was read (a process ended)
  kTransient,   // may work next time (EAGAIN, EIO, SQLITE_BUSY)
  kParse,       // the text is not in the documented format
  kInvalid,     // a request, option or file of the user is wrong
  kInternal,    // a bug of ours or of a library
};

// "no_data", "permission", ...: stable, used as the label `reason`.
std::string_view ErrorCodeName(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string subject;  // path, device or name; may be empty
  int sys_errno = 0;    // 0 when no system call failed
  std::string text;     // short, without the subject and without the errno text

  // "subject: text: Permission denied"; parts that are empty are left out.
  std::string ToString() const;
};

// Maps an errno to the code that fits a read of /proc or /sys.
Error ErrnoError(int sys_errno, std::string subject, std::string text = {});

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result() = default;
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
  bool ok() const { return this->has_value(); }
};

}  // namespace idlewatt

#define IDLEWATT_CONCAT_INNER(a, b) a##b
#define IDLEWATT_CONCAT(a, b) IDLEWATT_CONCAT_INNER(a, b)

// Leaves the function with the error of `expr`, a Result, if it has one.
#define RETURN_IF_ERROR(expr)                                            \
  do {                                                                   \
    if (auto return_if_error_result = (expr); !return_if_error_result) { \
      return std::move(return_if_error_result).error();                  \
    }                                                                    \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): x = *F(), or leaves the function with F's error.
#define ASSIGN_OR_RETURN(decl, expr) \
  ASSIGN_OR_RETURN_IMPL(IDLEWATT_CONCAT(assign_or_return_, __LINE__), decl, expr)
#define ASSIGN_OR_RETURN_IMPL(result, decl, expr) \
  auto result = (expr);                           \
  if (!result) return std::move(result).error();  \
  decl = std::move(*result)
