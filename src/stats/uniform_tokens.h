#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "batched_integers.h"
#include "moexray/core/routing.h"
#include "moexray/stats/uniform_null.h"

namespace moexray::stats {

/// Counts the selections of tokens that uniform routing sends to experts.
class UniformTokens {
 public:
  UniformTokens(const RoutingShape& shape, LoadBalance model)
      : n_experts_(static_cast<std::size_t>(shape.n_experts)),
        n_free_(static_cast<std::size_t>(shape.n_experts - shape.top_k)),
        model_(model),
        integers_(token_bounds(shape, model)) {}

  /// What one sequence of draws remembers.
  struct Scratch {
    std::vector<std::int64_t> taken_by;  ///< the last token that took each expert
    std::int64_t token = 0;
  };

  /// Adds the selections of n_tokens tokens to the counts of the experts.
  /// @param counts [E]
  void add(RandomStream& random, std::int64_t n_tokens, double* counts, Scratch& scratch) const {
    scratch.taken_by.resize(n_experts_, -1);
    std::int64_t& token = scratch.token;
    for (const std::int64_t end = token + n_tokens; token < end; ++token) {
      if (model_ == LoadBalance::distinct) {
        integers_.draw(random, [&](std::size_t i, std::size_t drawn) {
          const std::size_t expert = scratch.taken_by[drawn] == token ? n_free_ + i : drawn;
          scratch.taken_by[expert] = token;
          ++counts[expert];
        });
      } else {
        integers_.draw(random, [&](std::size_t, std::size_t expert) { ++counts[expert]; });
      }
    }
  }

 private:
  // What a token draws from. Distinct experts come from Floyd's selection (Bentley and Floyd, A
  // Sample of Brilliance, 1987), whose i-th step looks at the first E − k + 1 + i.
  static std::vector<std::uint64_t> token_bounds(const RoutingShape& shape, LoadBalance model) {
    std::vector<std::uint64_t> bounds;
    for (int i = 0; i < shape.top_k; ++i) {
      const int bound =
          model == LoadBalance::distinct ? shape.n_experts - shape.top_k + 1 + i : shape.n_experts;
      bounds.push_back(static_cast<std::uint64_t>(bound));
    }
    return bounds;
  }

  std::size_t n_experts_;
  std::size_t n_free_;
  LoadBalance model_;
  BatchedIntegers integers_;
};

}  // namespace moexray::stats
