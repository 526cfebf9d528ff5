#pragma once

#include <string_view>

namespace idlewatt {

// dashboards/web/index.html, compiled in.
extern const std::string_view kPage;

}  // namespace idlewatt
