#pragma once

#include <string_view>

namespace moexray {

/// The version of the toolkit, "MAJOR.MINOR.PATCH".
std::string_view version();

}  // namespace moexray
