#include "inference_ops.h"

namespace moexray::torch_runtime {

RouterOutput InferenceOps::route(const at::Tensor& logits) {
  const auto values = logits.to(at::kCPU, at::kFloat).contiguous();
  const std::int64_t n = values.size(0), k = config_.num_experts_per_tok;
  auto experts = at::empty({n, k}, at::kInt);
  auto weights = at::empty({n, k}, at::kFloat);
  select_experts(values.data_ptr<float>(), n, config_.num_experts, config_.num_experts_per_tok,
                 config_.norm_topk_prob, experts.data_ptr<ExpertId>(), weights.data_ptr<float>(),
                 nullptr);
  return {logits, experts, weights.to(logits.options())};
}

}  // namespace moexray::torch_runtime
