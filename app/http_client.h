#pragma once

#include <string>

#include "base/result.h"

namespace idlewatt {

// Of the daemon that client commands ask when they are not told: IDLEWATT_HTTP, or its default.
std::string DaemonAddress();

// GET of `path` (query included) from the daemon at `address` ("127.0.0.1:19288"). Gives the body
// of an answer in the 200s; of others the error's message. kGone when nobody listens there.
Result<std::string> HttpGet(const std::string& address, const std::string& path);

// `text` for use in a query.
std::string UrlEncode(const std::string& text);

}  // namespace idlewatt
