#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace moexray::unicode {

// General categories of Unicode 16, whatever the version of ICU (72 or later), as Hugging Face's
// tokenizers 0.23 have them. Sets of categories are ICU's masks (U_GC_L_MASK, …).

/// Whether the category of a code point is one of the set.
bool has_category(char32_t c, std::uint32_t mask);

/// The set that a short name ("L", "Lu") stands for; 0 if it is the name of none.
std::uint32_t category_mask(std::string_view name);

struct CodePointRange {
  char32_t first = 0;
  char32_t last = 0;
};

/// The code points of a set of categories, ascending, neighbours joined.
std::vector<CodePointRange> category_ranges(std::uint32_t mask);

}  // namespace moexray::unicode
