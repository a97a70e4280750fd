#pragma once

#include <span>
#include <vector>

#include "kernels/kernel_sets.h"
#include "moexray/routing/policy.h"
#include "ops.h"
#include "session.h"

namespace moexray::torch_runtime {

/// Where a row of a forward pass belongs, and its token.
struct RowPlace {
  int slot = 0;
  std::int64_t pos = 0;
  TokenId token_id = 0;
};

/// The rows of a forward pass: tokens of one or more sequences, those of a sequence together and in
/// order.
struct RaggedBatch {
  std::vector<RowPlace> rows;
};

/// What the operations of inference know, and the routing, which all of them do alike.
class InferenceOps : public Ops {
 public:
  InferenceOps(TorchSession& session, const RaggedBatch& batch)
      : session_(session), batch_(batch) {}

  /// From now on routers choose under this policy; null: they decide.
  void set_policy(const RoutingPolicy* policy) { policy_ = policy; }

  RouterOutput route(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                     const at::Tensor& logits) override;

  /// What a router chooses by logits [n, E] without a policy.
  static RouterOutput choose(const RouterSpec& spec, const at::Tensor& logits);

  /// The same by logits + biases [E]. The weights of what was chosen are those of the logits alone,
  /// if they are wanted, and anything else.
  static RouterOutput choose_with_biases(const RouterSpec& spec, const at::Tensor& logits,
                                         std::span<const float> biases, bool wants_weights);

 protected:
  TorchSession& session_;
  const RaggedBatch& batch_;

 private:
  RouterOutput select_under_policy(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                                   const at::Tensor& logits) const;

  const RoutingPolicy* policy_ = nullptr;
};

/// A matrix [out, in] in bfloat16 or float32 as the kernels take it, where it lies: its rows are
/// contiguous, not necessarily the whole. `bias` [out] is float32, or undefined.
kernels::Weights weights_of(const at::Tensor& w, const at::Tensor& bias = {});
/// Of matrices of one shape.
std::vector<kernels::Weights> weights_of_each(std::span<const at::Tensor> ws);

/// The operations of inference on the CPU. In float32 every row's result depends on that row and
/// its sequence alone, whatever the batch and the number of threads (kernels/row_kernels.h). In
/// bfloat16 products with large matrices are libtorch's, those with small ones the same kernels
/// rounded once; norms, softmax and sums run in float32 and are rounded once.
class CpuOps : public InferenceOps {
 public:
  using InferenceOps::InferenceOps;

  using Ops::linear;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) override;
  at::Tensor linear_each(const at::Tensor& x, std::span<const at::Tensor> ws) override;
  at::Tensor rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) override;
  at::Tensor attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                       const at::Tensor& k, const at::Tensor& v) override;
  at::Tensor silu_times(const at::Tensor& gate, const at::Tensor& up) override;
  at::Tensor sigmoid_times(const at::Tensor& z, const at::Tensor& x) override;
  at::Tensor mix_experts(const MoeSpec& spec, const at::Tensor& x, const RouterOutput& routing,
                         const ExpertWeights& experts) override;

 protected:
  /// A buffer that mix_experts keeps from layer to layer, made anew if it has another shape: memory
  /// that is given back comes again as pages to be cleared, and what lives longer leaves holes.
  static const at::Tensor& sized(at::Tensor& buffer, at::IntArrayRef shape,
                                 const at::TensorOptions& options);
  at::Tensor parts_;
};

/// CpuOps in bfloat16 with our own products (kernels/kernel_sets.h), which read mapped weights
/// where they are and share the columns of all experts among the threads. Rounds where CpuOps
/// rounds. A row's result depends neither on the other rows nor on the number of threads.
class FastOps : public CpuOps {
 public:
  FastOps(TorchSession& session, const RaggedBatch& batch, const kernels::KernelSet& set)
      : CpuOps(session, batch), set_(set) {}

  using Ops::linear;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) override;
  at::Tensor linear_each(const at::Tensor& x, std::span<const at::Tensor> ws) override;
  at::Tensor attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                       const at::Tensor& k, const at::Tensor& v) override;
  at::Tensor mix_experts(const MoeSpec& spec, const at::Tensor& x, const RouterOutput& routing,
                         const ExpertWeights& experts) override;

 private:
  const kernels::KernelSet& set_;
  at::Tensor gathered_, hidden_;
};

/// The same operations in plain libtorch calls, for any device: what runs on CUDA, and what the
/// tests compare CpuOps with.
class ReferenceOps : public InferenceOps {
 public:
  using InferenceOps::InferenceOps;

  using Ops::linear;
  at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) override;
  at::Tensor rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) override;
  at::Tensor attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                       const at::Tensor& k, const at::Tensor& v) override;
  at::Tensor silu_times(const at::Tensor& gate, const at::Tensor& up) override;
  at::Tensor sigmoid_times(const at::Tensor& z, const at::Tensor& x) override;
  at::Tensor mix_experts(const MoeSpec& spec, const at::Tensor& x, const RouterOutput& routing,
                         const ExpertWeights& experts) override;
};

}  // namespace moexray::torch_runtime
