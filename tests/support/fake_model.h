#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/runtime/model.h"

namespace moexray::test {

/// A toy that stands in for a model: what it computes is a function of the tokens of the sequence
/// so far, so a test can say what every router must have decided.
class FakeModel : public Model {
 public:
  struct Options {
    int n_layers = 3;
    int n_experts = 8;
    int top_k = 2;
    int vocab_size = 48;
    int max_positions = 256;
    TokenId eos = 2;
    /// One in so many tokens is followed by eos; 0: none.
    std::uint64_t eos_period = 9;
  };

  /// Called at the start of each forward pass with its number, from 0.
  std::function<void(std::int64_t)> on_forward;
  /// Rows of the forward passes so far.
  std::vector<std::int64_t> pass_rows;

  FakeModel() : FakeModel(Options{}) {}
  explicit FakeModel(const Options& options) : options_(options) {
    config_.name = "fake";
    config_.architecture = &architectures().front();
    LayerSpec layer;
    layer.attention.n_heads = 2;
    layer.attention.n_kv_heads = 2;
    layer.attention.head_dim = 4;
    layer.mlp = MoeSpec{{options.n_experts, options.top_k, false}, {4}, {}};
    config_.spec.vocab_size = options.vocab_size;
    config_.spec.hidden_size = 8;
    config_.spec.layers.assign(static_cast<std::size_t>(options.n_layers), layer);
    config_.max_position_embeddings = options.max_positions;
    config_.eos_token_ids = {options.eos};
    config_.sha256 = "config";
  }

  const ModelConfig& config() const override { return config_; }

  std::unique_ptr<Session> new_session(std::span<const std::int64_t> capacities) override {
    return std::make_unique<FakeSession>(capacities);
  }

  std::vector<float> forward(Session& session, std::span<const SequenceChunk> chunks,
                             const Passage& passage) override {
    auto& fake = dynamic_cast<FakeSession&>(session);
    if (on_forward) on_forward(static_cast<std::int64_t>(pass_rows.size()));
    std::vector<std::uint64_t> states;  // [rows]
    std::vector<float> logits;
    std::int64_t row = 0;
    for (const SequenceChunk& chunk : chunks) {
      auto& [state, length, capacity] = fake.slots.at(static_cast<std::size_t>(chunk.slot));
      if (chunk.token_ids.empty() ||
          length + static_cast<std::int64_t>(chunk.token_ids.size()) > capacity) {
        throw Error(ErrorKind::data, "empty chunk or full slot");
      }
      for (const TokenId id : chunk.token_ids) {
        state = next_state(state, id);
        ++length;
        states.push_back(state);
        if (passage.every_token) {
          std::vector<float> one;
          append_logits(state, one);
          passage.every_token(row++, one);
        }
      }
      if (!passage.every_token) append_logits(state, logits);
    }
    pass_rows.push_back(static_cast<std::int64_t>(states.size()));
    if (passage.tap != nullptr) report_routing(states, *passage.tap);
    for (std::size_t i = 0; i < passage.shadows.size(); ++i) {
      const Shadow& shadow = passage.shadows[i];
      const auto seen = seen_by(dynamic_cast<const FakeShadow&>(*shadow.router), states);
      if (passage.fit_biases && !shadow.biases.empty()) fit(passage.fit_biases, i, states, seen);
      if (shadow.tap != nullptr) report_routing(seen, *shadow.tap);
    }
    return logits;
  }

  /// A shadow hears what its weights' first byte makes of the states; of 0 that is what the model's
  /// own router hears. Biases change nothing.
  std::unique_ptr<ShadowRouter> prepare_shadow(const ShadowWeights& weights) override {
    auto shadow = std::make_unique<FakeShadow>();
    shadow->salt = static_cast<std::uint64_t>(weights.layers.at(0).bytes[0]);
    return shadow;
  }

  /// What a router sees.
  struct Routing {
    std::vector<ExpertId> experts;  ///< [k]
    std::vector<float> weights;     ///< [k]
    std::vector<float> logits;      ///< [E]
  };

  /// The routing of the last of these tokens at a layer.
  Routing expected_routing(std::span<const TokenId> token_ids, int layer) const {
    std::uint64_t state = 0;
    for (const TokenId id : token_ids) state = next_state(state, id);
    return route(state, layer);
  }

  /// The logits after these tokens, [vocab_size].
  std::vector<float> expected_logits(std::span<const TokenId> token_ids) const {
    std::uint64_t state = 0;
    for (const TokenId id : token_ids) state = next_state(state, id);
    std::vector<float> logits;
    append_logits(state, logits);
    return logits;
  }

 protected:
  struct Slot {
    std::uint64_t state = 0;
    std::int64_t length = 0;
    std::int64_t capacity = 0;
  };
  struct FakeSession : Session {
    explicit FakeSession(std::span<const std::int64_t> capacities) {
      for (const std::int64_t capacity : capacities) slots.push_back({0, 0, capacity});
    }
    std::int64_t length(int slot) const override {
      return slots.at(static_cast<std::size_t>(slot)).length;
    }
    std::vector<Slot> slots;
  };

  struct FakeShadow : ShadowRouter {
    std::uint64_t salt = 0;
  };
  static std::vector<std::uint64_t> seen_by(const FakeShadow& shadow,
                                            std::vector<std::uint64_t> states) {
    for (std::uint64_t& state : states) state ^= shadow.salt;
    return states;
  }

  virtual void report_routing(std::span<const std::uint64_t> states, RouterTap& tap) const {
    for (int layer = 0; layer < options_.n_layers; ++layer) {
      Routing all = route_all(states, layer);
      if (!tap.wants_logits()) all.logits.clear();
      tap.on_router({layer, static_cast<std::int64_t>(states.size()), options_.n_experts,
                     options_.top_k, all.experts, all.weights, all.logits});
    }
  }

  void fit(const BiasFit& fit_biases, std::size_t shadow, std::span<const std::uint64_t> own,
           std::span<const std::uint64_t> seen) const {
    for (int layer = 0; layer < options_.n_layers; ++layer) {
      fit_biases(shadow, layer, route_all(own, layer).experts, route_all(seen, layer).logits);
    }
  }

  // Row behind row.
  Routing route_all(std::span<const std::uint64_t> states, int layer) const {
    Routing all;
    for (const std::uint64_t state : states) {
      const Routing one = route(state, layer);
      all.experts.insert(all.experts.end(), one.experts.begin(), one.experts.end());
      all.weights.insert(all.weights.end(), one.weights.begin(), one.weights.end());
      all.logits.insert(all.logits.end(), one.logits.begin(), one.logits.end());
    }
    return all;
  }

  Routing route(std::uint64_t state, int layer) const {
    Routing routing;
    std::uint64_t x = mix(state ^ mix(static_cast<std::uint64_t>(layer) + 1));
    double total = 0;
    for (int e = 0; e < options_.n_experts; ++e) {
      x = mix(x);
      routing.logits.push_back(to_logit(x));
      total += std::exp(static_cast<double>(routing.logits.back()));
    }
    std::vector<ExpertId> order(static_cast<std::size_t>(options_.n_experts));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](ExpertId a, ExpertId b) {
      return routing.logits[static_cast<std::size_t>(a)] >
             routing.logits[static_cast<std::size_t>(b)];
    });
    order.resize(static_cast<std::size_t>(options_.top_k));
    for (const ExpertId e : order) {
      const double logit = routing.logits[static_cast<std::size_t>(e)];
      routing.weights.push_back(static_cast<float>(std::exp(logit) / total));
    }
    routing.experts = std::move(order);
    return routing;
  }

  const Options& options() const { return options_; }

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
  }
  static std::uint64_t next_state(std::uint64_t state, TokenId id) {
    return mix(state * 31 + static_cast<std::uint64_t>(id) + 1);
  }
  // In [−4, 4), in steps of 1/128, so that equal values do occur.
  static float to_logit(std::uint64_t x) { return static_cast<float>(x >> 54) / 128.0F - 4.0F; }

  void append_logits(std::uint64_t state, std::vector<float>& logits) const {
    std::uint64_t x = mix(~state);
    const bool ends = options_.eos_period > 0 && x % options_.eos_period == 0;
    for (TokenId id = 0; id < options_.vocab_size; ++id) {
      x = mix(x);
      logits.push_back(ends && id == options_.eos ? 50.0F : to_logit(x));
    }
  }

  Options options_;
  ModelConfig config_;
};

}  // namespace moexray::test
