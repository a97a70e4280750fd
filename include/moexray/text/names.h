#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moexray {

/// Normalisation Form C of well-formed UTF-8: texts of the same form look the same.
std::string normalized_name(std::string_view name);

/// Groups of two or more different names that differ only in case, in white space, or in the
/// Unicode form of their characters (composed or not, full or half width, invisible characters):
/// most likely one name, written differently. Groups and the names in them in the order given.
/// @param names well-formed UTF-8; repeated ones count once, empty ones not at all.
std::vector<std::vector<std::string>> similar_names(std::span<const std::string> names);

}  // namespace moexray
