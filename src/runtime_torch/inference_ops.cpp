#include "inference_ops.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace moexray::torch_runtime {
namespace {

// The weights of experts that were chosen otherwise, by the probabilities of a free choice [n, E].
void weigh_again(const RouterSpec& spec, const at::Tensor& probabilities, RouterOutput& output) {
  // The softmax of those that are chosen is that of all, divided by the sum.
  const bool divides = spec.normalise || spec.softmax == SoftmaxOver::chosen;
  const std::int64_t n = probabilities.size(0);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto p = rows_of<float>(probabilities, i, i + 1);
    const auto experts = rows_of<ExpertId>(output.experts, i, i + 1);
    const auto weights = rows_of<float>(output.weights, i, i + 1);
    float total = 0;
    for (std::size_t j = 0; j < experts.size(); ++j) {
      total += weights[j] = p[static_cast<std::size_t>(experts[j])];
    }
    if (!divides || total <= 0) continue;
    for (float& weight : weights) weight /= total;
  }
}

// The router's output, its weights in the type that the rule says.
RouterOutput with_logits(const RouterSpec& spec, RouterOutput output, const at::Tensor& logits) {
  output.logits = logits;  // the router's own, whatever a policy made of them
  const auto type = spec.float32_weights ? at::kFloat : logits.scalar_type();
  output.weights = output.weights.to(logits.options().dtype(type));
  return output;
}

at::Tensor float_rows(const at::Tensor& logits) {
  return logits.to(at::kCPU, at::kFloat).contiguous();
}

}  // namespace

RouterOutput InferenceOps::route(const RouterSpec& spec, int moe_layer, const at::Tensor& h,
                                 const at::Tensor& logits) {
  if (policy_ == nullptr) return choose(spec, logits);
  return with_logits(spec, select_under_policy(spec, moe_layer, h, float_rows(logits)), logits);
}

RouterOutput InferenceOps::choose(const RouterSpec& spec, const at::Tensor& logits) {
  return with_logits(spec, select_rows(spec, float_rows(logits)), logits);
}

RouterOutput InferenceOps::choose_with_biases(const RouterSpec& spec, const at::Tensor& logits,
                                              std::span<const float> biases, bool wants_weights) {
  const auto values = float_rows(logits);
  TORCH_CHECK(std::ssize(biases) == values.size(1), "biases of ", biases.size(), " experts");
  const auto bias = at::empty({values.size(1)}, at::kFloat);
  std::ranges::copy(biases, bias.data_ptr<float>());
  RouterOutput output = select_rows(spec, values + bias);
  if (wants_weights) {
    const auto probabilities = at::empty_like(values);
    select_rows(spec, values, &probabilities);
    weigh_again(spec, probabilities, output);
  }
  return with_logits(spec, std::move(output), logits);
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
