#include "inference_ops.h"

namespace moexray::torch_runtime {

RouterOutput InferenceOps::route(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                                 const at::Tensor& logits) {
  const auto values = logits.to(at::kCPU, at::kFloat).contiguous();
  RouterOutput output = policy_ == nullptr ? select_rows(spec, values)
                                           : select_under_policy(spec, moe_layer, h, values);
  output.logits = logits;  // the router's own, whatever a policy made of them
  const auto type = spec.float32_weights ? at::kFloat : logits.scalar_type();
  output.weights = output.weights.to(logits.options().dtype(type));
  return output;
}

RouterOutput InferenceOps::select_under_policy(const RouterSpec& spec, int moe_layer,
                                               const at::Tensor& h,
                                               const at::Tensor& logits) const {
  const std::int64_t n = logits.size(0);
  RouterOutput output{logits.clone(), at::empty({n, spec.top_k}, at::kInt),
                      at::empty({n, spec.top_k}, at::kFloat)};
  at::Tensor hidden;
  if (policy_->wants_hidden(moe_layer)) hidden = h.to(at::kCPU, at::kFloat).contiguous();
  at::parallel_for(0, n, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const RowPlace& place = batch_.rows[static_cast<std::size_t>(i)];
      RouterRow row{moe_layer, place.slot, place.pos, place.token_id, {}};
      if (hidden.defined()) row.hidden = rows_of<float>(hidden, i, i + 1);
      moexray::select_under_policy(spec, *policy_, row, rows_of<float>(output.logits, i, i + 1),
                                   rows_of<ExpertId>(output.experts, i, i + 1),
                                   rows_of<float>(output.weights, i, i + 1));
    }
  });
  return output;
}

}  // namespace moexray::torch_runtime
