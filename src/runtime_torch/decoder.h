#pragma once

#include <vector>

#include "moexray/architecture/weights.h"
#include "ops.h"

namespace moexray::torch_runtime {

/// The weights of one layer; which of them are there follows from its spec.
struct LayerWeights {
  at::Tensor attention_norm;     ///< [hidden]
  at::Tensor query, key, value;  ///< [heads · d, hidden], [kv heads · d, hidden] twice
  at::Tensor output;             ///< [hidden, heads · d]
  at::Tensor query_bias, key_bias, value_bias, output_bias;  ///< [rows of the matrix]
  at::Tensor query_norm, key_norm;  ///< [d], or [heads · d] and [kv heads · d]
  at::Tensor mlp_norm;              ///< [hidden]
  at::Tensor router;                ///< [E, hidden]
  ExpertWeights experts;
  FeedForwardWeights network;  ///< of a dense layer, or the shared expert
  at::Tensor shared_router;    ///< [1, hidden]
};

/// A decoder-only model as its spec says (moexray/architecture/model_spec.h): the one forward pass
/// of all architectures, for inference and training.
struct Decoder {
  ModelSpec spec;
  at::Tensor embedding;  ///< [vocab, hidden]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  ///< [hidden]
  at::Tensor head;        ///< [vocab, hidden]; the embedding where they are tied

  /// Weights are still to be put at their places.
  explicit Decoder(ModelSpec spec);

  /// Where a weight belongs; not those of single experts (expert_weights()).
  at::Tensor& weight(WeightRole role, int layer = -1);
  /// The list of gate, up or down matrices of a layer's experts.
  std::vector<at::Tensor>& expert_weights(WeightRole role, int layer);

  /// Hidden states after the last norm for tokens x [n, hidden], as the embedding has them. `hook`
  /// sees every MoE layer's routing.
  at::Tensor forward(at::Tensor x, Ops& ops, const RouterHook& hook) const;

  /// The logits [n, vocab] of such states.
  at::Tensor logits(const at::Tensor& hidden, Ops& ops) const;
};

}  // namespace moexray::torch_runtime
