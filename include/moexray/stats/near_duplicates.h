#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

struct NearDuplicate {
  std::size_t row = 0;
  std::size_t other = 0;  ///< above `row`
  double similarity = 0;
  bool equal_text = false;
};

struct NearDuplicates {
  std::vector<NearDuplicate> pairs;  ///< equal texts first, then the most similar; capped
  std::int64_t n_pairs = 0;          ///< all there are
};

/// Pairs of prompts that are one and the same for inference: equal text, or a similarity above
/// 0.99.
/// @param similarity [n, n]
/// @param texts [n] an empty text equals none
/// @param max_listed how many pairs are named
NearDuplicates near_duplicates(const Matrix& similarity, std::span<const std::string> texts,
                               std::size_t max_listed = 100);

}  // namespace moexray::stats
