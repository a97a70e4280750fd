#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/runtime/model.h"

namespace moexray::parity {

/// What `transformers` computed for one prompt: see scripts/make_model_fixtures.py and
/// scripts/make_family_fixtures.py.
struct ExpectedPrompt {
  std::vector<TokenId> prompt;         ///< [P]
  std::vector<TokenId> generated;      ///< [G]
  std::vector<float> logits;           ///< [T, vocab], T = P + max(G − 1, 0)
  std::vector<ExpertId> experts;       ///< [layers, T, k]
  std::vector<float> weights;          ///< [layers, T, k]
  std::vector<ExpertId> experts_bf16;  ///< [layers, T, k]
  std::vector<float> router_logits;    ///< [layers, T, E]; empty where the fixture has none

  /// The T tokens that go through the model: all but the last one generated.
  std::vector<TokenId> tokens() const;
};

/// The directory of a variant below tests/data/parity.
std::filesystem::path variant_directory(const std::string& variant);

std::vector<ExpectedPrompt> read_expected(const std::string& variant);

/// The runtime of the torch module in the build tree.
Runtime& runtime();

/// Keeps everything that the routers report, each layer's rows in the order of the passes, and
/// checks the promises of RouterBatch on the way.
class RouterRecorder : public RouterTap {
 public:
  explicit RouterRecorder(const ModelConfig& config, bool wants_logits = false);
  bool wants_logits() const override { return wants_logits_; }
  void on_router(const RouterBatch& batch) override;

  std::int64_t n_rows() const;
  /// Rows `begin` to `end` of all layers, [layers, end − begin, k].
  std::vector<ExpertId> experts(std::int64_t begin, std::int64_t end) const;
  std::vector<float> weights(std::int64_t begin, std::int64_t end) const;
  std::vector<ExpertId> experts() const { return experts(0, n_rows()); }
  std::vector<float> weights() const { return weights(0, n_rows()); }
  /// Router logits of one layer, [rows, n_experts].
  const std::vector<float>& logits(int layer) const { return layers_.at(layer).logits; }

 private:
  struct Layer {
    std::vector<ExpertId> experts;
    std::vector<float> weights;
    std::vector<float> logits;
  };
  int n_experts_ = 0;
  int top_k_ = 0;
  int next_layer_ = 0;
  bool wants_logits_ = false;
  std::vector<Layer> layers_;
};

/// What a forward pass gives for one sequence.
struct Pass {
  std::vector<float> logits;  ///< [T, vocab]
  std::vector<ExpertId> experts;
  std::vector<float> weights;
};

/// One sequence, alone, in chunks of at most `chunk_size` tokens.
Pass run_alone(Model& model, const std::vector<TokenId>& tokens, std::size_t chunk_size,
               const RoutingPolicy* policy = nullptr);

struct PrefillAndStep {
  Pass prefill;
  Pass step;
};

/// All sequences as one ragged batch, then one step with `next` for each of them.
std::vector<PrefillAndStep> run_batch(Model& model,
                                      const std::vector<std::vector<TokenId>>& sequences,
                                      TokenId next, const RoutingPolicy* policy = nullptr);

/// Greedy decoding with the key-value cache until an end-of-sequence token or `max_new_tokens`.
std::vector<TokenId> generate_greedily(Model& model, const std::vector<TokenId>& prompt,
                                       int max_new_tokens);

/// True if both passes gave the same bytes.
bool same_bytes(const Pass& a, const Pass& b);

/// The largest absolute difference; infinite for different sizes or a NaN.
double largest_difference(const std::vector<float>& a, const std::vector<float>& b);

/// The share of each token's k experts in `a` that are among its k experts in `b`.
double shared_experts(const std::vector<ExpertId>& a, const std::vector<ExpertId>& b, int top_k);

}  // namespace moexray::parity
