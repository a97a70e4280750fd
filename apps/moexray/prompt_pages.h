#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis.h"

namespace moexray::app {

/// As much as the pages of prompts may take together.
inline constexpr std::int64_t max_prompt_pages_bytes = 50'000'000;

/// The pages of prompts that lie beside report.html, token by token as `moexray show --html` shows
/// them.
struct PromptPages {
  std::vector<std::string> names;  ///< [rows of the signatures] "prompts/0001.html" for the first
                                   ///< row; empty: none
  std::vector<OutputFile> files;   ///< in the order of the rows
};

/// The pages of all prompts if they have at most max_bytes together. If not: of each category the
/// prompt that is most like the other ones and then the one that is least like them, those that fit
/// into max_bytes. Nothing but the sizes decides.
/// @throws Error (interrupted) once the user wants to end.
PromptPages prompt_pages(const AnalysisInput& input,
                         std::int64_t max_bytes = max_prompt_pages_bytes);

/// The rows in the order in which they get pages where not all do: the most typical prompt of each
/// category, then the least typical ones (see stats::similarity_to_others). Ties: the first row.
std::vector<std::size_t> typical_and_extreme_rows(const stats::Signatures& signatures);

}  // namespace moexray::app
