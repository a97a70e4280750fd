#pragma once

#include <string>
#include <string_view>

#include "moexray/report/json.h"

namespace moexray::app {

/// A text as JSON; null where there is none.
inline report::Json text_or_null(std::string_view text) {
  return text.empty() ? report::Json() : report::Json(std::string(text));
}

}  // namespace moexray::app
