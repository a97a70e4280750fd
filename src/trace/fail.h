#pragma once

#include <string>
#include <utility>

#include "moexray/core/error.h"

namespace moexray::trace {

/// Throws Error (data) at a place.
[[noreturn]] inline void fail_at(std::string what, std::string where, std::string expected = {},
                                 std::string found = {}) {
  throw Error(ErrorKind::data,
              {std::move(what), std::move(where), std::move(expected), std::move(found)});
}

/// Throws Error (data); a caller that knows the file and the line adds them.
[[noreturn]] inline void fail(std::string what, std::string expected = {}, std::string found = {}) {
  fail_at(std::move(what), {}, std::move(expected), std::move(found));
}

}  // namespace moexray::trace
