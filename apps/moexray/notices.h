#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analysis.h"

namespace moexray::app {

/// A notice reads "REASON: CONSEQUENCE". This is its reason, or all of it if it has no other part.
/// A colon in a quoted name does not count.
std::string_view reason_of(std::string_view notice);

/// What the sections have to say, each fact once: the consequences of one reason are joined, and
/// what was left out for it is named in the same line.
std::vector<std::string> joined_notices(const std::vector<Section>& sections);

}  // namespace moexray::app
