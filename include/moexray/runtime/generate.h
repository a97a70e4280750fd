#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/expert_sets.h"
#include "moexray/core/routing.h"
#include "moexray/core/routing_buffer.h"
#include "moexray/runtime/model.h"

namespace moexray {

/// A router that watches a whole generation: see Shadow, which says what each of these means.
struct WatchingRouter {
  const ShadowRouter* router = nullptr;
  std::span<const float> biases = {};
};

/// The pass that a generation begins with where biases of its shadows are still to be fitted: the
/// first tokens of some of its prompts go through the model in it, and their remaining ones later.
struct CalibrationPass {
  struct Part {
    std::size_t prompt = 0;     ///< its place in the batch
    std::int64_t n_tokens = 0;  ///< at least 1
  };
  std::vector<Part> parts;  ///< in the order of the pass, each prompt at most once; empty: no pass
  BiasFit fit;
};

struct GenerationOptions {
  std::int64_t max_new_tokens = 32;    ///< 0: the prompt alone goes through the model
  bool do_sample = false;              ///< false: greedy, of equal logits the lower id
  double temperature = 1.0;            ///< only with do_sample
  double top_p = 1.0;                  ///< only with do_sample
  std::uint64_t seed = 0;              ///< with the prompt's id it gives the prompt's random stream
  std::vector<TokenId> eos_token_ids;  ///< each ends a sequence
  bool ignore_eos = false;             ///< the logits of eos tokens become −∞ instead
  /// Only ids below it can follow, such as the tokenizer has; 0: every row of the model's
  /// vocabulary, which may be padded.
  std::int64_t n_candidates = 0;
  bool router_logits = false;                   ///< keep the router's logits too
  std::shared_ptr<const RoutingPolicy> policy;  ///< null: the routers decide
  /// Made ready by the model. They hear the hidden states as a policy leaves them.
  std::vector<WatchingRouter> shadows = {};
  CalibrationPass calibration = {};
  bool score = false;          ///< take ln p of every token
  bool shadow_events = false;  ///< keep the order and weights of what shadows chose too
  /// Tokens of a forward pass, at most: bounds the memory of activations. Whole prompts are packed
  /// up to it; only a prompt that is longer itself, or begins in a calibration, is split over
  /// several passes.
  std::int64_t max_tokens_per_pass = 2048;
};

/// A prompt to be continued.
struct GenerationInput {
  std::string_view id;
  std::span<const TokenId> token_ids;  ///< [P], not empty
  /// The token that is known to come behind them, for its score alone; −1: none is.
  TokenId following = -1;
};

struct GenerationOutput {
  std::vector<TokenId> token_ids;  ///< [G], a sampled eos included
  std::string finish_reason;       ///< "eos" or "length"
  /// [P + G − 1, one more with GenerationInput::following] ln p of each token but the first, given
  /// those before it: of the softmax over the model's whole vocabulary, whatever sampling does.
  /// Empty unless GenerationOptions::score.
  std::vector<float> logprobs;
  RoutingBuffer routing;                      ///< n_forward_tokens(P, G) positions
  std::vector<ExpertSets> shadows;            ///< [GenerationOptions::shadows] as many positions
  std::vector<RoutingBuffer> shadow_routing;  ///< likewise; empty unless wanted
};

/// Hears of a forward pass: the kind of its tokens, and how many they were.
using OnPass = std::function<void(TokenType, std::int64_t)>;

/// Continues all prompts as one batch: the prompts go through the model as ragged batches, then
/// every sequence that has not ended one token at a time. What a prompt gives depends on the other
/// prompts only as far as the model's arithmetic does.
///
/// `on_pass`, if there is one, is told after each forward pass how many tokens went through it, and
/// whether they were tokens of prompts or generated ones: a pass has only one kind.
/// Between passes `stop` is looked at.
/// @returns one output per prompt, in order.
/// @throws Error (interrupted) when `stop` is set; Error (data) for an empty prompt or what the
///   model refuses; Error (usage) for impossible options; Error (runtime) if the model did not
///   report the routing of every token at every layer.
std::vector<GenerationOutput> generate(Model& model, std::span<const GenerationInput> prompts,
                                       const GenerationOptions& options,
                                       const std::atomic<bool>& stop, const OnPass& on_pass = {});

}  // namespace moexray
