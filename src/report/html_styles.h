#pragma once

#include <string_view>

namespace moexray::report {

/// The rules of every page, for screens: light and dark, wide and narrow.
std::string_view screen_styles();

/// The rules for paper. They come last in a page, behind those of its figures, which they change.
std::string_view print_styles();

}  // namespace moexray::report
