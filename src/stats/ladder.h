#pragma once

#include <memory>
#include <vector>

#include "feature_sets.h"
#include "moexray/stats/compared_prompts.h"
#include "moexray/stats/confounds.h"
#include "type_routing.h"

namespace moexray::stats {

/// The rungs of ladder(), in its order.
inline constexpr std::size_t decisive_rung = 2;

/// What is left of the signatures on the compared positions once more and more is held fixed, each
/// a set of features of the prompts in `compared.signatures`: nothing ("signature"); token types
/// ("types"); types, place and part jointly ("types_and_positions"); and from that what goes with
/// the previous token's type ("previous_token"), or with the mean of the earlier tokens' types
/// ("earlier_tokens"). What tokens are expected to do is learned from the compared tokens of the
/// other training prompts alone.
///
/// For the last two, x is what contexts() expects beyond types and places, and of each layer γ · x
/// is taken off, γ = Σ_j x_j·y_j / Σ_j x_j·x_j over the training prompts other than the one at
/// hand.
/// @param folds [prompts compared] of the division that coverage is told of
std::vector<FeatureSet> ladder_sets(const RoutedTokens& tokens, const ComparedPrompts& compared,
                                    int min_type_count, const std::vector<int>& folds);

}  // namespace moexray::stats
