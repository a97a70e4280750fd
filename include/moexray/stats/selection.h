#pragma once

#include <string>
#include <string_view>

#include "moexray/core/routing.h"

namespace moexray::stats {

enum class TokenSelection { all, prompt, generation };

/// Which routing events an analysis counts, and how.
struct Selection {
  TokenSelection tokens = TokenSelection::all;
  bool exclude_template = false;  ///< skip the tokens that the chat template added
  bool weighted = false;          ///< sum router weights in place of counting selections
  std::string category_key = {};  ///< "meta.KEY" the categories were read from; empty: `category`

  /// True if the events of this record are counted.
  bool counts(const RoutingRecord& record) const {
    if (exclude_template && record.is_template) return false;
    switch (tokens) {
      case TokenSelection::prompt:
        return record.type == TokenType::prompt;
      case TokenSelection::generation:
        return record.type == TokenType::generation;
      case TokenSelection::all:
        break;
    }
    return true;
  }
};

/// "all", "prompt" or "generation".
std::string_view name_of(TokenSelection tokens);

/// The inverse of name_of.
/// @throws Error (usage) for any other text.
TokenSelection parse_token_selection(std::string_view name);

}  // namespace moexray::stats
