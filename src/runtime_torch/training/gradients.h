#pragma once

#include "../ops.h"

namespace moexray::torch_runtime {

/// A batch of equally long sequences, packed row after row: row b · n_positions + t.
struct TrainingBatch {
  std::int64_t n_sequences = 0;
  std::int64_t n_positions = 0;
};

struct RouterLosses {
  double load_balancing_weight = 0;  ///< of E · Σ_e f_e P_e of each layer
  double z_weight = 0;               ///< of the mean squared log-partition of each layer
};

/// The operations of a model with gradients. Each is one autograd function whose backward pass is
/// written out: at the widths this project trains, chains of elementwise tensor operations would
/// cost more than the products. The gradients of the router losses enter in `route`'s backward
/// pass, for a total loss of weight 1.
class TrainingOps : public Ops {
 public:
  TrainingOps(const RotaryTable& table, TrainingBatch batch, RouterLosses losses)
      : table_(table), batch_(batch), losses_(losses) {}

  using Ops::linear;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) override;
  at::Tensor rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) override;
  at::Tensor attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                       const at::Tensor& k, const at::Tensor& v) override;
  at::Tensor silu_times(const at::Tensor& gate, const at::Tensor& up) override;
  at::Tensor sigmoid_times(const at::Tensor& z, const at::Tensor& x) override;
  RouterOutput route(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                     const at::Tensor& logits) override;
  at::Tensor mix_experts(const MoeSpec& spec, const at::Tensor& x, const RouterOutput& routing,
                         const ExpertWeights& experts) override;

  /// E · Σ_e f_e P_e, mean over the layers seen so far: f_e the share of selections, P_e the mean
  /// probability.
  double load_balancing_loss() const {
    return n_routers_ == 0 ? 0 : load_balancing_sum_ / n_routers_;
  }

 private:
  const RotaryTable& table_;
  TrainingBatch batch_;
  RouterLosses losses_;
  double load_balancing_sum_ = 0;
  int n_routers_ = 0;
};

/// Mean cross-entropy in nats of softmax(h · wᵀ) for targets [n]: a scalar. h [n, hidden], w
/// [vocab, hidden]. The logits exist only for a block of rows at a time.
at::Tensor cross_entropy(const at::Tensor& h, const at::Tensor& w, const at::Tensor& targets);

}  // namespace moexray::torch_runtime
