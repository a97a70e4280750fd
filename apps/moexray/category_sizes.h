#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "moexray/stats/signatures.h"

namespace moexray::app {

/// How many prompts a category has, and how many tokens they have.
struct CategorySize {
  std::int64_t n_prompts = 0;
  std::int64_t fewest_tokens = 0;
  std::int64_t most_tokens = 0;

  /// "30–154", or "30" if all have as many.
  std::string tokens_text() const {
    return fewest_tokens == most_tokens ? std::to_string(fewest_tokens)
                                        : fmt::format("{}–{}", fewest_tokens, most_tokens);
  }
};

/// By category, in alphabetical order; "": prompts without one.
inline std::map<std::string, CategorySize> category_sizes(const stats::Signatures& signatures) {
  std::map<std::string, CategorySize> sizes;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    CategorySize& size = sizes[signatures.categories[i]];
    const std::int64_t n_tokens = signatures.n_tokens[i];
    size.fewest_tokens = size.n_prompts == 0 ? n_tokens : std::min(size.fewest_tokens, n_tokens);
    size.most_tokens = std::max(size.most_tokens, n_tokens);
    ++size.n_prompts;
  }
  return sizes;
}

}  // namespace moexray::app
