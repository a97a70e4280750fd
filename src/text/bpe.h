#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray {

/// The merge table of a byte-pair encoding.
class BpeMerges {
 public:
  /// Adds the merge of lowest priority so far: `left` `right` → `merged`. A pair given twice keeps
  /// its later place.
  void add(TokenId left, TokenId right, TokenId merged);

  struct Symbol {
    TokenId id = 0;
    std::size_t begin = 0;  ///< range in the word
    std::size_t end = 0;
  };

  /// Merges neighbours of `symbols`, always the pair of lowest rank, leftmost first, until none is
  /// left. O(n log n).
  void apply(std::vector<Symbol>& symbols) const;

 private:
  struct Merge {
    std::int32_t rank;
    TokenId merged;
  };
  const Merge* find(TokenId left, TokenId right) const;

  std::unordered_map<std::uint64_t, Merge> merges_;
  std::int32_t n_added_ = 0;
};

}  // namespace moexray
