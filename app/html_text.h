#pragma once

#include <string>
#include <string_view>

namespace idlewatt {

// `text` for a page, between tags and in quoted attributes alike. It must be valid UTF-8.
std::string EscapeHtml(std::string_view text);

}  // namespace idlewatt
