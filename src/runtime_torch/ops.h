#pragma once

#include <functional>
#include <span>
#include <vector>

#include "moexray/architecture/model_spec.h"
#include "moexray/routing/router_rule.h"
#include "torch_api.h"

namespace moexray::torch_runtime {

/// The weights of one layer's experts. Inference reads one tensor per expert, as checkpoints store
/// them; training needs them stacked, and leaves the lists empty.
struct ExpertWeights {
  std::vector<at::Tensor> gate;  ///< E × [intermediate, hidden]
  std::vector<at::Tensor> up;    ///< E × [intermediate, hidden]
  std::vector<at::Tensor> down;  ///< E × [hidden, intermediate]
  at::Tensor gate_up_stack;      ///< [E, 2 · intermediate, hidden], gate above up
  at::Tensor down_stack;         ///< [E, hidden, intermediate]
};

/// Of a network down(silu(gate(x)) · up(x)).
struct FeedForwardWeights {
  at::Tensor gate;  ///< [width, hidden]
  at::Tensor up;    ///< [width, hidden]
  at::Tensor down;  ///< [hidden, width]
};

/// What a router decided for n tokens.
struct RouterOutput {
  at::Tensor logits;   ///< [n, E]
  at::Tensor experts;  ///< [n, k], int32 on the CPU, in the order of the choice
  at::Tensor weights;  ///< [n, k] as the model applies them: float32, or in the computation's type
};

/// The operations a model is written in, each with the spec of its part. Inference and training
/// implement them differently: the one with a key-value cache and results that do not depend on the
/// batch, the other with gradients.
class Ops {
 public:
  virtual ~Ops() = default;
  /// x [n, in] · wᵀ + bias, w [out, in], bias [out] in float32 or undefined: none.
  virtual at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) = 0;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& w) { return linear(x, w, {}); }
  /// The products of x with each of several matrices of one shape, to the bits of linear():
  /// [matrices, n, out].
  virtual at::Tensor linear_each(const at::Tensor& x, std::span<const at::Tensor> ws);
  /// x / √(mean(x²) + eps) · w over the last dimension.
  virtual at::Tensor rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) = 0;
  /// Rotary embedding of q and k, then causal attention in transformer layer `layer`.
  /// q [n, heads · d], k and v [n, kv_heads · d].
  virtual at::Tensor attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                               const at::Tensor& k, const at::Tensor& v) = 0;
  /// silu(gate) · up, both [n, width].
  virtual at::Tensor silu_times(const at::Tensor& gate, const at::Tensor& up) = 0;
  /// sigmoid(z) · x, z [n, 1] and x [n, width].
  virtual at::Tensor sigmoid_times(const at::Tensor& z, const at::Tensor& x) = 0;
  /// What select_experts() chooses in MoE layer `moe_layer`. h [n, hidden] is what the router has
  /// multiplied to logits [n, E].
  virtual RouterOutput route(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                             const at::Tensor& logits) = 0;
  /// Σ over the selected experts of weight · down(silu(gate(x)) · up(x)).
  virtual at::Tensor mix_experts(const MoeSpec& spec, const at::Tensor& x,
                                 const RouterOutput& routing, const ExpertWeights& experts) = 0;
};

/// Called with every MoE layer's routing as soon as it is known, and with what its router has
/// multiplied, h [n, hidden]: the forward hook of the routers.
using RouterHook = std::function<void(int moe_layer, const at::Tensor& h, const RouterOutput&)>;

/// Rows [begin, end) of a contiguous matrix on the CPU.
template <typename Value>
std::span<Value> rows_of(const at::Tensor& t, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = t.size(1);
  return {t.data_ptr<Value>() + begin * width, static_cast<std::size_t>((end - begin) * width)};
}

/// select_experts() on all threads: logits [n, E] are float32 on the CPU and contiguous, and so are
/// the weights. `probabilities` [n, E], where not null, receives the whole softmax.
RouterOutput select_rows(const RouterSpec& router, const at::Tensor& logits,
                         const at::Tensor* probabilities = nullptr);

/// Rows grouped by expert: expert e has the entries order[starts[e] … starts[e + 1]), each of which
/// is row · k + rank. Rows ascend within an expert.
struct ExpertGroups {
  std::vector<std::int64_t> starts;  ///< [E + 1]
  std::vector<std::int64_t> order;   ///< [n · k]
};

ExpertGroups group_by_expert(const at::Tensor& experts, int n_experts);

/// out[row] = Σ_rank parts[row · k + rank], in the order of the ranks; parts [n · k, d], out [n,
/// d].
void sum_over_ranks(const float* parts, std::int64_t n, std::int64_t k, std::int64_t d, float* out);

/// cos and sin of position · f_i (moexray/architecture/rotary.h): two tensors
/// [n_positions, dim / 2] in float32.
struct RotaryTable {
  at::Tensor cos;
  at::Tensor sin;
};

RotaryTable make_rotary_table(const RotarySpec& rotary, std::int64_t n_positions);

/// Rotates the first 2 · half values of a head in place, half-split:
/// (x₁, x₂) → (x₁ cos − x₂ sin, x₂ cos + x₁ sin).
void rotate_head(float* head, const float* cos, const float* sin, std::int64_t half);

}  // namespace moexray::torch_runtime
