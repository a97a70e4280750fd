#pragma once

#include <string_view>

namespace moexray {

/// The version of the toolkit, "MAJOR.MINOR.PATCH".
std::string_view version();

/// The day of that version, "YYYY-MM-DD".
std::string_view version_date();

}  // namespace moexray
