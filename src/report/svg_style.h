#pragma once

#include <string>
#include <string_view>

namespace moexray::report::svg_parts {

/// The classes of a drawing, "mid strong" say, as attributes with literal colours.
/// @throws std::logic_error for a class that is not in the table
std::string literal_attributes(std::string_view classes);

/// A colour of the light scheme, by its name in the table.
std::string_view literal_colour(std::string_view name);

// Sizes of type in units of a drawing, of which 420 are 8.5 cm: 6.9, 6.0 and 7.5 points.
inline constexpr double type_size = 12;
inline constexpr double small_size = 10.5;
inline constexpr double title_size = 13;

}  // namespace moexray::report::svg_parts
