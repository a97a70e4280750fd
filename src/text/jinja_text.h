#pragma once

#include <string>
#include <string_view>

namespace moexray {

/// A canonical form of a Jinja template's source: two sources have the same form only if they
/// differ in nothing but what cannot change the output (white space and quotes inside tags,
/// comments, tags that strip the white space around them written in another way). The template is
/// not executed.
///
/// White space around tags is treated as chat templates are by transformers: `trim_blocks` and
/// `lstrip_blocks` on.
std::string canonical_template(std::string_view source);

}  // namespace moexray
