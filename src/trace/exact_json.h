#pragma once

#include <string>
#include <string_view>

#include "json_text.h"

namespace moexray::trace {

/// parse_json() that loses no digit: a number that neither 64 bits nor a double hold exactly
/// (12345678901234567890123, 0.1234567890123456789, 1e-400) is kept as its text. Such a value has
/// the library's type "binary", which JSON text cannot give otherwise.
/// @throws Error (data) as parse_json() does; a number beyond the range of a double is refused with
/// its key.
Json parse_exact_json(std::string_view text, const std::string& where);

/// The JSON text of a value from parse_exact_json(), on one line.
std::string exact_json_text(const Json& value);

/// The text of a number that was kept as it is; empty for every other value.
std::string_view kept_number(const Json& value);

}  // namespace moexray::trace
