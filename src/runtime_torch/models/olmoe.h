#pragma once

#include <vector>

#include "../ops.h"
#include "moexray/checkpoint/config.h"

namespace moexray::torch_runtime {

struct OlmoeLayer {
  at::Tensor input_norm;           ///< [hidden]
  at::Tensor q_proj;               ///< [heads · d, hidden]
  at::Tensor k_proj, v_proj;       ///< [kv_heads · d, hidden]
  at::Tensor o_proj;               ///< [hidden, heads · d]
  at::Tensor q_norm, k_norm;       ///< [heads · d], [kv_heads · d]
  at::Tensor post_attention_norm;  ///< [hidden]
  at::Tensor router;               ///< [E, hidden]
  ExpertWeights experts;
};

/// OLMoE (Muennighoff et al., arXiv 2409.02060), as `OlmoeForCausalLM` of transformers computes it.
struct Olmoe {
  ModelConfig config;
  at::Tensor embed_tokens;  ///< [vocab, hidden]
  std::vector<OlmoeLayer> layers;
  at::Tensor norm;     ///< [hidden]
  at::Tensor lm_head;  ///< [vocab, hidden]

  /// Hidden states after the last norm for embedded tokens x [n, hidden]. `hook` sees every layer's
  /// routing.
  at::Tensor forward(at::Tensor x, Ops& ops, const RouterHook& hook) const;
};

}  // namespace moexray::torch_runtime
