#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/json/json.h"

namespace moexray::trace {

using Json = nlohmann::json;

inline constexpr std::size_t max_line_bytes = 16'000'000;

/// What a trace keeps of prompts, word for word: no digit of a number is lost.
inline constexpr JsonRules exact_rules{.exact_numbers = true, .unique_keys = true};

/// Why `text` cannot be an id or a category: empty if it can (1 to 256 bytes, no control
/// characters).
std::string name_problem(std::string_view text);

}  // namespace moexray::trace
