#include "ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moexray/architecture/rotary.h"

namespace moexray::torch_runtime {

at::Tensor Ops::linear_each(const at::Tensor& x, std::span<const at::Tensor> ws) {
  std::vector<at::Tensor> products;
  for (const at::Tensor& w : ws) products.push_back(linear(x, w));
  return at::stack(products);
}

RouterOutput select_rows(const RouterSpec& router, const at::Tensor& logits,
                         const at::Tensor* probabilities) {
  const std::int64_t n = logits.size(0);
  RouterOutput output{logits, at::empty({n, router.top_k}, at::kInt),
                      at::empty({n, router.top_k}, at::kFloat)};
  at::parallel_for(0, n, 64, [&](std::int64_t begin, std::int64_t end) {
    std::span<float> p;
    if (probabilities != nullptr) p = rows_of<float>(*probabilities, begin, end);
    select_experts(router, rows_of<float>(logits, begin, end),
                   rows_of<ExpertId>(output.experts, begin, end),
                   rows_of<float>(output.weights, begin, end), p);
  });
  return output;
}

ExpertGroups group_by_expert(const at::Tensor& experts, int n_experts) {
  const std::int64_t n = experts.numel();
  const auto* ids = experts.data_ptr<ExpertId>();
  ExpertGroups groups{std::vector<std::int64_t>(static_cast<std::size_t>(n_experts) + 1, 0),
                      std::vector<std::int64_t>(static_cast<std::size_t>(n))};
  for (std::int64_t i = 0; i < n; ++i) ++groups.starts[static_cast<std::size_t>(ids[i]) + 1];
  std::partial_sum(groups.starts.begin(), groups.starts.end(), groups.starts.begin());
  auto next = groups.starts;
  for (std::int64_t i = 0; i < n; ++i) {
    groups.order[static_cast<std::size_t>(next[static_cast<std::size_t>(ids[i])]++)] = i;
  }
  return groups;
}

void sum_over_ranks(const float* parts, std::int64_t n, std::int64_t k, std::int64_t d,
                    float* out) {
  at::parallel_for(0, n, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      float* row = out + r * d;
      std::copy_n(parts + r * k * d, d, row);
      for (std::int64_t j = 1; j < k; ++j) {
        const float* part = parts + (r * k + j) * d;
        for (std::int64_t i = 0; i < d; ++i) row[i] += part[i];
      }
    }
  });
}

RotaryTable make_rotary_table(const RotarySpec& rotary, std::int64_t n_positions) {
  // As transformers computes it: the frequencies and the angles are rounded to float32.
  const std::vector<float> frequencies = rotary_frequencies(rotary);
  const float amplitude = rotary_amplitude(rotary);
  const std::int64_t half = rotary.dim / 2;
  const auto options = at::TensorOptions(at::kFloat);
  RotaryTable table{at::empty({n_positions, half}, options),
                    at::empty({n_positions, half}, options)};
  auto* cos = table.cos.data_ptr<float>();
  auto* sin = table.sin.data_ptr<float>();
  for (std::int64_t i = 0; i < half; ++i) {
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      const float angle = static_cast<float>(pos) * frequencies[static_cast<std::size_t>(i)];
      cos[pos * half + i] = std::cos(angle) * amplitude;
      sin[pos * half + i] = std::sin(angle) * amplitude;
    }
  }
  return table;
}

void rotate_head(float* head, const float* cos, const float* sin, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = head[i];
    const float b = head[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = b * cos[i] + a * sin[i];
  }
}

}  // namespace moexray::torch_runtime
