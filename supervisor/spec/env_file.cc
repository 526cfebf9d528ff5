#include "supervisor/spec/env_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "base/unique_fd.h"

namespace idlewatt {
namespace {

constexpr off_t kMaxBytes = off_t{1} << 20;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

bool IsVariableName(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

// Walks over the text of an env_file.
class EnvFileParser {
 public:
  explicit EnvFileParser(std::string_view text) : text_(text) {}

  Result<Variables> Parse();

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  bool AtLineEnd() const { return AtEnd() || text_[at_] == '\n'; }
  char Next();
  void SkipBlanks();
  void SkipLine();
  Error Wrong(size_t line, std::string_view what) const;

  Result<std::string> TakeName();
  Result<std::string> TakeValue();
  Result<void> TakeQuoted(char quote, std::string& value);
  void TakeEscaped(bool quoted, std::string& value);
  void TakeUnquoted(std::string& value);

  const std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;  // of at_
};

char EnvFileParser::Next() {
  const char c = text_[at_++];
  if (c == '\n') ++line_;
  return c;
}

void EnvFileParser::SkipBlanks() {
  while (!AtEnd() && IsBlank(text_[at_])) Next();
}

void EnvFileParser::SkipLine() {
  while (!AtLineEnd()) Next();
}

Error EnvFileParser::Wrong(size_t line, std::string_view what) const {
  return {ErrorCode::kInvalid, "", 0, "line " + std::to_string(line) + ": " + std::string(what)};
}

Result<Variables> EnvFileParser::Parse() {
  Variables variables;
  if (const size_t nul = text_.find('\0'); nul != std::string_view::npos) {
    const auto before =
        std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(nul), '\n');
    return Wrong(static_cast<size_t>(before) + 1, "holds a NUL character");
  }
  while (!AtEnd()) {
    SkipBlanks();
    if (AtLineEnd()) {
      if (!AtEnd()) Next();
    } else if (text_[at_] == '#' || text_[at_] == ';') {
      SkipLine();
    } else {
      ASSIGN_OR_RETURN(std::string name, TakeName());
      ASSIGN_OR_RETURN(variables[std::move(name)], TakeValue());
    }
  }
  return variables;
}

// Up to and with the '='.
Result<std::string> EnvFileParser::TakeName() {
  const size_t start = at_;
  while (!AtLineEnd() && text_[at_] != '=') Next();
  if (AtLineEnd()) return Wrong(line_, "is no assignment; write NAME=value");
  std::string_view name = Trim(text_.substr(start, at_ - start));
  Next();
  for (const std::string_view word : {"export ", "export\t"}) {
    if (name.starts_with(word)) name = Trim(name.substr(word.size()));
  }
  if (!IsVariableName(name)) {
    return Wrong(line_, "\"" + ToValidUtf8(name.substr(0, 40)) + "\" is no name of a variable");
  }
  return std::string(name);
}

// To the end of the line: quoted pieces, and then perhaps an unquoted one.
Result<std::string> EnvFileParser::TakeValue() {
  std::string value;
  for (SkipBlanks(); !AtLineEnd(); SkipBlanks()) {
    if (text_[at_] == '"' || text_[at_] == '\'') {
      RETURN_IF_ERROR(TakeQuoted(Next(), value));
    } else {
      TakeUnquoted(value);
    }
  }
  return value;
}

Result<void> EnvFileParser::TakeQuoted(char quote, std::string& value) {
  const size_t begin = line_;
  while (!AtEnd()) {
    const char c = Next();
    if (c == quote) return {};
    if (c == '\\' && quote == '"') {
      TakeEscaped(true, value);
    } else {
      value += c;
    }
  }
  return Wrong(begin, std::string("has no closing ") + quote);
}

// What follows a backslash. Between double quotes only ", \, ` and $ lose it, as in a shell.
void EnvFileParser::TakeEscaped(bool quoted, std::string& value) {
  if (AtEnd()) return;
  const char c = Next();
  if (c == '\n') return;
  if (quoted && std::string_view("\"\\`$").find(c) == std::string_view::npos) value += '\\';
  value += c;
}

// Blanks at its end do not count, escaped ones do.
void EnvFileParser::TakeUnquoted(std::string& value) {
  size_t keep = value.size();
  while (!AtLineEnd()) {
    const char c = Next();
    if (c == '\\') {
      TakeEscaped(false, value);
      keep = value.size();
    } else {
      value += c;
      if (!IsBlank(c)) keep = value.size();
    }
  }
  value.resize(keep);
}

Error Unreadable(const std::string& path, int sys_errno, std::string text) {
  return {ErrorCode::kInvalid, "env_file \"" + path + "\"", sys_errno, std::move(text)};
}

}  // namespace

Result<Variables> ParseEnvFile(std::string_view text) { return EnvFileParser(text).Parse(); }

Result<Variables> ReadEnvFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return Unreadable(path, errno, "cannot be read");
  }
  if (!S_ISREG(status.st_mode)) return Unreadable(path, 0, "is no regular file");
  if (status.st_size > kMaxBytes) return Unreadable(path, 0, "is larger than 1 MiB");
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t used = 0;
  while (used < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + used, text.size() - used);
    if (got < 0) return Unreadable(path, errno, "cannot be read");
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  text.resize(used);
  Result<Variables> variables = ParseEnvFile(text);
  if (!variables) return Unreadable(path, 0, std::move(variables.error().text));
  return variables;
}

}  // namespace idlewatt
