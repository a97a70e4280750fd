#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/rates.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

/// One expert of one layer.
struct ExpertName {
  int layer = 0;
  int expert = 0;
  bool operator==(const ExpertName&) const = default;
};

struct ExpertProfileInput {
  const RoutedTokens& tokens;
  std::span<const int> unit_of_prompt;  ///< [n] clusters of intervals, 0, 1, …
  /// [T] what kind of token each is (its id, say), −1: not known; or empty.
  std::span<const std::int32_t> types = {};
  /// [T] the router's weight of this expert, NaN where it is not selected or not known; or empty.
  std::span<const float> weights = {};
  bool has_order = true;  ///< of a token's experts, the most probable first
};

struct ExpertProfileOptions {
  std::size_t min_prompts = 3;  ///< in which a token type goes to the expert
  std::size_t n_types = 20;
  std::size_t n_contexts = 12;
  std::size_t n_companions = 10;
  double min_expected = 5;  ///< rarer pairs of experts are not listed
};

/// A rate with its interval, among tokens of some kind.
struct ExpertRate {
  std::string name;  ///< of the kind: "prompt", "positions 2–3"
  double count = 0;
  double tokens = 0;
  double rate = undefined;
  std::array<double, 2> ci95 = {undefined, undefined};
};

/// A kind of token that goes to the expert.
struct ExpertTokenType {
  std::int32_t type = -1;
  std::int64_t count = 0;     ///< times it goes to the expert
  std::int64_t n_all = 0;     ///< times it occurs
  std::size_t n_prompts = 0;  ///< in which it goes to the expert
  /// Its share of the expert's tokens over its share of all tokens.
  double lift = undefined;
};

/// Another expert of the layer that is selected for the same tokens.
struct ExpertCompanion {
  int expert = 0;
  std::int64_t count = 0;       ///< tokens that select both
  double expected = undefined;  ///< if nothing but their rates tied them (ConditionalPoisson)
  double lift = undefined;      ///< count / expected
};

/// A token that goes to the expert, for a look at what stands around it.
struct ExpertContext {
  std::size_t row = 0;    ///< prompt
  std::size_t token = 0;  ///< into RoutedTokens::tokens
  int rank = 0;           ///< among the token's experts, 0 the most probable
  double weight = undefined;
};

/// What one expert is used for, over the selected tokens.
struct ExpertProfile {
  ExpertName name;
  ExpertRate all;
  std::vector<ExpertRate> parts;      ///< prompt, template, generated; those with a token
  std::vector<ExpertRate> positions;  ///< 0, 1, 2–3, 4–7, … of the sequence
  std::size_t n_prompts = 0;          ///< in which it is selected
  std::vector<std::int64_t> ranks;    ///< [k] how often it has each rank; empty: no order
  bool has_weights = false;
  double mean_weight = undefined;
  std::array<double, 3> weight_quantiles = {undefined, undefined, undefined};  ///< 10, 50, 90%
  bool has_types = false;
  std::vector<ExpertTokenType> types;  ///< the largest lift first
  std::size_t n_types = 0;             ///< that are frequent enough
  /// At most one a prompt: the one of the largest weight (or best rank, where there is an order),
  /// the first of several.
  std::vector<ExpertContext> contexts;
  std::vector<ExpertCompanion> companions;  ///< the largest lift first
};

/// @throws Error (runtime) if the expert does not exist or sizes do not belong together
ExpertProfile expert_profile(const ExpertProfileInput& input, const ExpertName& name,
                             const ExpertProfileOptions& options = {});

}  // namespace moexray::stats
