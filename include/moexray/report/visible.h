#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moexray::report {

/// A name in double quotes in which nothing is hidden: quotes, backslashes, control characters,
/// unusual blanks and, with `ascii`, all characters beyond ASCII are written as \", \\ and \uXXXX.
std::string quoted_name(std::string_view name, bool ascii = false);

/// What to show for names, so that different ones never look the same: a name stands as it is,
/// without its control characters and with at most `max_bytes`, unless blanks at its ends or in its
/// middle, or another name that looks the same, would mislead. Then it is shown by quoted_name().
/// @param names well-formed UTF-8; repeated ones are allowed.
std::vector<std::string> visible_names(const std::vector<std::string>& names,
                                       std::size_t max_bytes = 80);

/// One line that names those names that differ only in case, white space or Unicode form, which are
/// most likely meant to be one; empty if there are none. `what` is their plural: "categories".
std::string similar_names_notice(std::string_view what, const std::vector<std::string>& names);

}  // namespace moexray::report
