#include "decoder.h"

#include <utility>

namespace moexray::torch_runtime {
namespace {

at::Tensor normed(const QkNormSpec& spec, const at::Tensor& x, const at::Tensor& w, Ops& ops) {
  if (!spec.per_head) return ops.rms_norm(spec.norm, x, w);
  return ops.rms_norm(spec.norm, x.view({-1, w.size(0)}), w).view(x.sizes());
}

at::Tensor attention_block(const AttentionSpec& spec, const LayerWeights& weights, int layer,
                           const at::Tensor& x, Ops& ops) {
  auto q = ops.linear(x, weights.query), k = ops.linear(x, weights.key);
  if (spec.qk_norm) {
    q = normed(*spec.qk_norm, q, weights.query_norm, ops);
    k = normed(*spec.qk_norm, k, weights.key_norm, ops);
  }
  auto v = ops.linear(x, weights.value);
  if (spec.clip) {
    const double bound = *spec.clip;
    q = q.clamp(-bound, bound);
    k = k.clamp(-bound, bound);
    v = v.clamp(-bound, bound);
  }
  return ops.linear(ops.attention(spec, layer, q, k, v), weights.output);
}

at::Tensor feed_forward(const FeedForwardWeights& weights, const at::Tensor& x, Ops& ops) {
  const auto gate = ops.linear(x, weights.gate), up = ops.linear(x, weights.up);
  return ops.linear(ops.silu_times(gate, up), weights.down);
}

}  // namespace

at::Tensor router_logits(const at::Tensor& h, const at::Tensor& router, Ops& ops) {
  return ops.linear(h, router);
}

Decoder::Decoder(ModelSpec spec_) : spec(std::move(spec_)), layers(spec.layers.size()) {}

at::Tensor& Decoder::weight(WeightRole role, int layer) {
  if (role == WeightRole::embedding) return embedding;
  if (role == WeightRole::head) return head;
  if (role == WeightRole::final_norm) return final_norm;
  LayerWeights& own = layers.at(static_cast<std::size_t>(layer));
  switch (role) {
    case WeightRole::attention_norm:
      return own.attention_norm;
    case WeightRole::query:
      return own.query;
    case WeightRole::key:
      return own.key;
    case WeightRole::value:
      return own.value;
    case WeightRole::output:
      return own.output;
    case WeightRole::query_norm:
      return own.query_norm;
    case WeightRole::key_norm:
      return own.key_norm;
    case WeightRole::mlp_norm:
      return own.mlp_norm;
    case WeightRole::router:
      return own.router;
    case WeightRole::gate:
    case WeightRole::shared_gate:
      return own.network.gate;
    case WeightRole::up:
    case WeightRole::shared_up:
      return own.network.up;
    case WeightRole::down:
    case WeightRole::shared_down:
      return own.network.down;
    default:
      TORCH_CHECK(false, "a weight that belongs to no layer");
  }
}

std::vector<at::Tensor>& Decoder::expert_weights(WeightRole role, int layer) {
  ExpertWeights& experts = layers.at(static_cast<std::size_t>(layer)).experts;
  if (role == WeightRole::gate) return experts.gate;
  return role == WeightRole::up ? experts.up : experts.down;
}

at::Tensor Decoder::forward(at::Tensor x, Ops& ops, const RouterHook& hook) const {
  int moe_layer = 0;
  for (int layer = 0; layer < static_cast<int>(layers.size()); ++layer) {
    const LayerSpec& own = spec.layers[static_cast<std::size_t>(layer)];
    const LayerWeights& weights = layers[static_cast<std::size_t>(layer)];
    x = x + attention_block(own.attention, weights, layer,
                            ops.rms_norm(own.norm, x, weights.attention_norm), ops);
    const auto h = ops.rms_norm(own.norm, x, weights.mlp_norm);
    const MoeSpec* moe = own.moe();
    if (moe == nullptr) {
      x = x + feed_forward(weights.network, h, ops);
      continue;
    }
    const auto routing =
        ops.route(moe->router, moe_layer, h, router_logits(h, weights.router, ops));
    if (hook) hook(moe_layer, h, routing);
    ++moe_layer;
    auto mixed = ops.mix_experts(*moe, h, routing, weights.experts);
    if (moe->shared) mixed = mixed + feed_forward(weights.network, h, ops);
    x = x + mixed;
  }
  return ops.rms_norm(spec.final_norm, x, final_norm);
}

}  // namespace moexray::torch_runtime
