#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/core/routing_buffer.h"

namespace moexray::imports {

/// Compares the routing of prompts that begin with the same tokens: a causal model routes such a
/// prefix alike up to rounding, so that rows of another request, or rows shifted by one, show. It
/// is the only check of rows that look valid.
class PrefixCheck {
 public:
  /// Looks at a prompt whose rows start at position 0, and keeps its start for those that come.
  /// @param token_ids of at least all rows
  /// @return what is odd about it; empty: nothing
  std::string look_at(const std::string& id, std::span<const TokenId> token_ids,
                      const RoutingBuffer& routing);

 private:
  struct Start {
    std::string id;
    std::vector<TokenId> token_ids;
    std::vector<std::uint16_t> experts;  // [tokens, L, k], those of a row ascending
  };

  std::vector<Start> starts_;
};

}  // namespace moexray::imports
