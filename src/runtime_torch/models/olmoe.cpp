#include "olmoe.h"

namespace moexray::torch_runtime {
namespace {

at::Tensor attention_block(const ModelConfig& config, const OlmoeLayer& weights, int layer,
                           const at::Tensor& x, Ops& ops) {
  auto q = ops.rms_norm(ops.linear(x, weights.q_proj), weights.q_norm, config.rms_norm_eps);
  auto k = ops.rms_norm(ops.linear(x, weights.k_proj), weights.k_norm, config.rms_norm_eps);
  auto v = ops.linear(x, weights.v_proj);
  if (config.clip_qkv) {
    const double bound = *config.clip_qkv;
    q = q.clamp(-bound, bound);
    k = k.clamp(-bound, bound);
    v = v.clamp(-bound, bound);
  }
  return ops.linear(ops.attention(layer, q, k, v), weights.o_proj);
}

}  // namespace

at::Tensor Olmoe::forward(at::Tensor x, Ops& ops, const RouterHook& hook) const {
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    const OlmoeLayer& weights = layers[static_cast<std::size_t>(layer)];
    x = x + attention_block(config, weights, layer,
                            ops.rms_norm(x, weights.input_norm, config.rms_norm_eps), ops);
    const auto h = ops.rms_norm(x, weights.post_attention_norm, config.rms_norm_eps);
    const auto routing = ops.route(layer, h, ops.linear(h, weights.router));
    if (hook) hook(layer, routing);
    x = x + ops.mix_experts(h, routing, weights.experts);
  }
  return ops.rms_norm(x, norm, config.rms_norm_eps);
}

}  // namespace moexray::torch_runtime
