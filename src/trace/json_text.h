#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace moexray::trace {

using Json = nlohmann::json;

inline constexpr std::size_t max_line_bytes = 16'000'000;
inline constexpr int max_json_depth = 64;

/// Checks foreign text before it is parsed: valid UTF-8, depth at most 64.
/// @throws Error (data) with `where`.
void check_json_text(std::string_view text, const std::string& where);

/// Throws Error (data): the text is not JSON from byte `position` on, counted from 1.
[[noreturn]] void fail_json(std::string_view text, std::size_t position, const std::string& where);

/// Parses foreign JSON: valid UTF-8, depth at most 64, no key twice in an object.
/// @throws Error (data) with `where`.
Json parse_json(std::string_view text, const std::string& where);

/// The JSON text of a value on one line. @throws Error (data) if a string is not valid UTF-8.
std::string json_text(const Json& value);

/// What a value is, for "found …" in errors: "a string", "null", "the number 3".
std::string describe(const Json& value);

/// Why `text` cannot be an id or a category: empty if it can (1 to 256 bytes, no control
/// characters).
std::string name_problem(std::string_view text);

}  // namespace moexray::trace
