#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/agreement.h"
#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"

namespace moexray::test {

/// The signatures and tokens of a routing.
struct MadeRouting {
  stats::Signatures signatures;
  stats::RoutedTokens tokens;
};

/// A token of a made-up routing: prompt, position, layer → experts.
using Choose = std::function<std::vector<ExpertId>(int, int, int)>;

/// Made-up prompts of equal length, whose routing a function chooses.
struct RoutingWorld {
  RoutingShape shape{2, 16, 4};
  int n_prompts = 12;
  int n_tokens = 20;
  std::function<int(int)> length = nullptr;  ///< of a prompt, in place of n_tokens
  std::function<std::string(int)> category = [](int) { return "c"; };
  std::function<TokenId(int, int)> id = [](int i, int t) { return (i * 7 + t * t) % 11; };
  /// Of a token at a layer, as Choose; none: not recorded.
  std::function<std::vector<float>(int, int, int)> weights = nullptr;
  std::function<std::vector<float>(int, int, int)> logits = nullptr;

  MadeRouting routing(const Choose& choose, int first_prompt = 0) const {
    std::vector<stats::PromptLabel> labels;
    for (int i = 0; i < n_prompts; ++i) {
      labels.push_back({"p" + std::to_string(i + first_prompt), category(i)});
    }
    stats::SignatureAccumulator signatures(shape, labels, {});
    stats::TokenAccumulator tokens(shape, labels.size(), {},
                                   {.weights = weights != nullptr, .logits = logits != nullptr});
    for (int i = 0; i < n_prompts; ++i) {
      for (int t = 0; t < (length ? length(i) : n_tokens); ++t) {
        for (int layer = 0; layer < shape.n_layers; ++layer) {
          const std::vector<ExpertId> experts = choose(i, t, layer);
          RoutingRecord record;
          record.layer = layer;
          record.pos = t;
          record.token_id = id(i, t);
          record.experts = experts;
          const std::vector<float> own_weights =
              weights ? weights(i, t, layer) : std::vector<float>();
          const std::vector<float> own_logits = logits ? logits(i, t, layer) : std::vector<float>();
          record.weights = own_weights;
          signatures.add(static_cast<std::size_t>(i), record);
          tokens.add(static_cast<std::size_t>(i), record, own_logits);
        }
      }
    }
    MadeRouting result{std::move(signatures).finish(), {}};
    result.tokens = std::move(tokens).finish(result.signatures);
    return result;
  }

  /// Uniform draws, the same for the same seed.
  Choose uniform(std::uint64_t seed) const {
    return [shape = shape, seed](int i, int t, int layer) {
      RandomStream random(
          seed, std::to_string(i) + "/" + std::to_string(t) + "/" + std::to_string(layer));
      std::vector<ExpertId> all(static_cast<std::size_t>(shape.n_experts));
      for (std::size_t e = 0; e < all.size(); ++e) all[e] = static_cast<ExpertId>(e);
      for (std::size_t j = 0; j < static_cast<std::size_t>(shape.top_k); ++j) {
        std::swap(all[j], all[j + random.below(all.size() - j)]);
      }
      all.resize(static_cast<std::size_t>(shape.top_k));
      return all;
    };
  }
};

inline stats::Alignment aligned(const MadeRouting& a, const MadeRouting& b,
                                std::span<const std::string> groups = {}) {
  return stats::align(a.signatures, a.tokens, b.signatures, b.tokens, groups);
}

}  // namespace moexray::test
