#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace moexray {

inline constexpr int max_json_depth = 64;

/// Parses a JSON document from a stranger: at most 64 levels deep, no key twice in one object.
/// @param where the file's name, for messages.
/// @throws Error (data) with line and column.
nlohmann::json parse_json(std::string_view text, std::string_view where);

/// "a string", "a number", …: a value's type, for messages.
std::string describe_type(const nlohmann::json& value);

}  // namespace moexray
