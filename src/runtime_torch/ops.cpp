#include "ops.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {

namespace {

// The k largest of p, largest first; of equal values the one with the lower index comes first.
void top_k_of(const float* p, int n, int k, ExpertId* ids) {
  int n_found = 0;
  for (int e = 0; e < n; ++e) {
    if (n_found == k && !(p[e] > p[ids[k - 1]])) continue;
    int at = n_found < k ? n_found++ : k - 1;
    for (; at > 0 && p[e] > p[ids[at - 1]]; --at) ids[at] = ids[at - 1];
    ids[at] = e;
  }
}

}  // namespace

void select_experts(const float* logits, std::int64_t n_rows, int n_experts, int top_k,
                    bool normalise, ExpertId* experts, float* weights, float* probabilities) {
  const auto& kernels = kernels::row_kernels();
  at::parallel_for(0, n_rows, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> p(static_cast<std::size_t>(n_experts));
    for (std::int64_t row = begin; row < end; ++row) {
      std::copy_n(logits + row * n_experts, n_experts, p.begin());
      const float sum = kernels.exp_sum(p.data(), n_experts, kernels.max(p.data(), n_experts));
      for (float& value : p) value /= sum;
      ExpertId* ids = experts + row * top_k;
      top_k_of(p.data(), n_experts, top_k, ids);
      float total = 0;
      for (int j = 0; j < top_k; ++j) total += p[static_cast<std::size_t>(ids[j])];
      for (int j = 0; j < top_k; ++j) {
        const float weight = p[static_cast<std::size_t>(ids[j])];
        weights[row * top_k + j] = normalise ? weight / total : weight;
      }
      if (probabilities != nullptr) std::copy(p.begin(), p.end(), probabilities + row * n_experts);
    }
  });
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

RotaryTable make_rotary_table(const ModelConfig& config, std::int64_t n_positions) {
  // As transformers computes it: the inverse frequencies and the angles are rounded to float32.
  const std::int64_t half = config.head_dim() / 2;
  const auto options = at::TensorOptions(at::kFloat);
  RotaryTable table{at::empty({n_positions, half}, options),
                    at::empty({n_positions, half}, options)};
  auto* cos = table.cos.data_ptr<float>();
  auto* sin = table.sin.data_ptr<float>();
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim());
    const float frequency = 1.0F / std::pow(static_cast<float>(config.rope_theta), exponent);
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      const float angle = static_cast<float>(pos) * frequency;
      cos[pos * half + i] = std::cos(angle);
      sin[pos * half + i] = std::sin(angle);
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
