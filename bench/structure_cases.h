#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/paired_prompts.h"

namespace moexray::bench {

/// Two routers that read the same tokens. A token's state is its category's place, its prompt's and
/// its own, all normal; a router takes the k experts with the largest products.
struct PairWorldOptions {
  int n_categories = 4;
  int n_layers = 2;
  int n_experts = 16;
  int top_k = 2;
  int n_dimensions = 12;
  double category_effect = 0;         ///< standard deviation of the categories' places
  double second_category_effect = 0;  ///< added to it for the second
  double prompt_effect = 0.4;         ///< of the prompts' places
  double prompt_share = 1;  ///< of a prompt's place that both have in common (a correlation)
  double router_share =
      0;                 ///< of the weights that both have in common (a correlation); 1: the same
  double own_noise = 0;  ///< that each routing adds to a token's state
  double autocorrelation = 0;  ///< of a token's state with the next
  int min_tokens = 40;
  int max_tokens = 40;
  std::vector<int> category_tokens = {};  ///< [K] in place of min_tokens to max_tokens, or empty
  std::vector<int> permutation = {};      ///< [E] what an expert is called in the second; or empty
};

/// Both routings of some prompts.
struct PairOfRoutings {
  stats::Signatures first;
  stats::Signatures second;
  stats::RoutedTokens first_tokens;
  stats::RoutedTokens second_tokens;

  stats::PairedPrompts paired(std::span<const std::string> groups = {}) const {
    return stats::paired_prompts(first, first_tokens, second, second_tokens, groups, {});
  }
};

class PairWorld {
 public:
  PairWorld(PairWorldOptions options, std::uint64_t seed) : o_(std::move(options)) {
    RandomStream random(seed, "world");
    const auto n = static_cast<std::size_t>(o_.n_layers * o_.n_experts * o_.n_dimensions);
    first_weights_ = normals(n, random);
    const std::vector<double> own = normals(n, random);
    second_weights_ = mixed(first_weights_, own, o_.router_share);
    for (int c = 0; c < o_.n_categories; ++c) places_.push_back(normals(dimensions(), random));
  }

  /// `n_each` prompts of every category, in turn.
  PairOfRoutings draw(int n_each, std::uint64_t seed) const {
    RandomStream random(seed, "prompts");
    const RoutingShape shape{o_.n_layers, o_.n_experts, o_.top_k};
    std::vector<stats::PromptLabel> labels;
    for (int i = 0; i < n_each * o_.n_categories; ++i) {
      labels.push_back({"p" + std::to_string(i), "c" + std::to_string(i % o_.n_categories)});
    }
    std::vector<Recorder> sides;
    for (int side = 0; side < 2; ++side) sides.emplace_back(shape, labels);
    for (std::size_t i = 0; i < labels.size(); ++i) add_prompt(i, random, sides);
    PairOfRoutings result;
    std::tie(result.first, result.first_tokens) = std::move(sides[0]).finish();
    std::tie(result.second, result.second_tokens) = std::move(sides[1]).finish();
    return result;
  }

 private:
  struct Recorder {
    stats::SignatureAccumulator signatures;
    stats::TokenAccumulator tokens;

    Recorder(const RoutingShape& shape, const std::vector<stats::PromptLabel>& labels)
        : signatures(shape, labels, {}), tokens(shape, labels.size(), {}) {}
    void add(std::size_t prompt, const RoutingRecord& record) {
      signatures.add(prompt, record);
      tokens.add(prompt, record);
    }
    std::pair<stats::Signatures, stats::RoutedTokens> finish() && {
      stats::Signatures own = std::move(signatures).finish();
      stats::RoutedTokens routed = std::move(tokens).finish(own);
      return {std::move(own), std::move(routed)};
    }
  };

  void add_prompt(std::size_t prompt, RandomStream& random, std::vector<Recorder>& sides) const {
    const std::size_t category = prompt % static_cast<std::size_t>(o_.n_categories);
    const std::vector<double> common = normals(dimensions(), random);
    const std::vector<double> other = mixed(common, normals(dimensions(), random), o_.prompt_share);
    std::array<std::vector<double>, 2> place = {common, other};
    for (std::size_t d = 0; d < dimensions(); ++d) {
      for (std::size_t side = 0; side < 2; ++side) {
        const double effect = o_.category_effect + (side == 1 ? o_.second_category_effect : 0);
        place[side][d] = o_.prompt_effect * place[side][d] + effect * places_[category][d];
      }
    }
    const int n_drawn = o_.min_tokens + static_cast<int>(random.below(static_cast<std::uint64_t>(
                                            o_.max_tokens - o_.min_tokens + 1)));
    const int n_tokens = o_.category_tokens.empty() ? n_drawn : o_.category_tokens[category];
    std::vector<double> state = normals(dimensions(), random);
    for (int t = 0; t < n_tokens; ++t) {
      if (t > 0) state = mixed(state, normals(dimensions(), random), o_.autocorrelation);
      for (std::size_t side = 0; side < 2; ++side) {
        std::vector<double> heard = state;
        for (std::size_t d = 0; d < dimensions(); ++d) {
          heard[d] += place[side][d];
          if (o_.own_noise > 0) heard[d] += o_.own_noise * random.normal();
        }
        add_token(prompt, t, heard, side == 0 ? first_weights_ : second_weights_,
                  side == 1 && !o_.permutation.empty(), sides[side]);
      }
    }
  }

  void add_token(std::size_t prompt, int pos, const std::vector<double>& state,
                 const std::vector<double>& weights, bool permuted, Recorder& recorder) const {
    const auto n_experts = static_cast<std::size_t>(o_.n_experts);
    for (int layer = 0; layer < o_.n_layers; ++layer) {
      std::vector<double> logits(n_experts);
      for (std::size_t e = 0; e < n_experts; ++e) {
        const std::size_t row = static_cast<std::size_t>(layer) * n_experts + e;
        logits[e] = std::inner_product(
            state.begin(), state.end(),
            weights.begin() + static_cast<std::ptrdiff_t>(row * dimensions()), 0.0);
      }
      std::vector<ExpertId> order(n_experts);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(
          order.begin(), order.begin() + o_.top_k, order.end(), [&](ExpertId a, ExpertId b) {
            return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
          });
      order.resize(static_cast<std::size_t>(o_.top_k));
      if (permuted) {
        for (ExpertId& e : order) e = o_.permutation[static_cast<std::size_t>(e)];
      }
      RoutingRecord record;
      record.layer = layer;
      record.pos = pos;
      record.token_id = 1;
      record.experts = order;
      recorder.add(prompt, record);
    }
  }

  std::size_t dimensions() const { return static_cast<std::size_t>(o_.n_dimensions); }
  static std::vector<double> normals(std::size_t n, RandomStream& random) {
    std::vector<double> values(n);
    for (double& value : values) value = random.normal();
    return values;
  }
  static std::vector<double> mixed(const std::vector<double>& a, const std::vector<double>& b,
                                   double share) {
    std::vector<double> result(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      result[i] = share * a[i] + std::sqrt(1 - share * share) * b[i];
    }
    return result;
  }

  PairWorldOptions o_;
  std::vector<double> first_weights_;  // [L, E, dimensions]
  std::vector<double> second_weights_;
  std::vector<std::vector<double>> places_;  // [K, dimensions]
};

}  // namespace moexray::bench
