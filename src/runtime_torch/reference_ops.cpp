#include <cmath>

#include "inference_ops.h"

namespace moexray::torch_runtime {
namespace {

// The first values of x [n, heads, d] rotated by the rows' positions, half-split.
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t half = cos.size(-1), d = x.size(-1);
  const auto values = x.to(at::kFloat);
  const auto a = values.narrow(-1, 0, half), b = values.narrow(-1, half, half);
  return at::cat({a * cos - b * sin, b * cos + a * sin, values.narrow(-1, 2 * half, d - 2 * half)},
                 -1)
      .to(x.scalar_type());
}

}  // namespace

at::Tensor ReferenceOps::linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  const auto type = x.scalar_type();
  return at::linear(x, w.to(type), bias.defined() ? bias.to(type) : bias);
}

at::Tensor ReferenceOps::rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) {
  const auto values = x.to(at::kFloat);
  return w * (values * (values.pow(2).mean(-1, true) + spec.eps).rsqrt()).to(x.scalar_type());
}

at::Tensor ReferenceOps::silu_times(const at::Tensor& gate, const at::Tensor& up) {
  return at::silu(gate) * up;
}

at::Tensor ReferenceOps::sigmoid_times(const at::Tensor& z, const at::Tensor& x) {
  return at::sigmoid(z) * x;
}

at::Tensor ReferenceOps::attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                                   const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t d = spec.head_dim, heads = spec.n_heads, kv = spec.n_kv_heads;
  std::vector<at::Tensor> outputs;
  std::size_t first = 0;
  while (first < batch_.rows.size()) {
    // The rows of one sequence.
    const RowPlace start = batch_.rows[first];
    std::size_t last = first + 1;
    while (last < batch_.rows.size() && batch_.rows[last].slot == start.slot) ++last;
    const auto begin = static_cast<std::int64_t>(first),
               n = static_cast<std::int64_t>(last - first);
    const auto cos = session_.rotary_table(layer).cos.narrow(0, start.pos, n).unsqueeze(1),
               sin = session_.rotary_table(layer).sin.narrow(0, start.pos, n).unsqueeze(1);
    const auto rows = [&](const at::Tensor& x, std::int64_t n_heads) {
      return x.narrow(0, begin, n).view({n, n_heads, d});
    };

    LayerCache& cache = session_.sequence(start.slot).layers[static_cast<std::size_t>(layer)];
    cache.keys.narrow(1, start.pos, n).copy_(rotate(rows(k, kv), cos, sin).transpose(0, 1));
    cache.values.narrow(1, start.pos, n).copy_(rows(v, kv).transpose(0, 1));
    const std::int64_t total = start.pos + n;
    const auto keys = cache.keys.narrow(1, 0, total).repeat_interleave(heads / kv, 0);
    const auto values = cache.values.narrow(1, 0, total).repeat_interleave(heads / kv, 0);
    const auto queries = rotate(rows(q, heads), cos, sin).transpose(0, 1);
    const auto all = at::ones({n, total}, q.options().dtype(at::kBool));
    auto hidden = all.triu(start.pos + 1);
    if (spec.window > 0) hidden = hidden.logical_or(all.tril(start.pos - spec.window));
    const auto products = queries.matmul(keys.transpose(1, 2));
    const auto scores =
        (spec.scale ? products * *spec.scale : products / std::sqrt(static_cast<double>(d)))
            .to(at::kFloat)
            .masked_fill(hidden, -INFINITY);
    const auto mixed = scores.softmax(-1).to(q.scalar_type()).matmul(values);
    outputs.push_back(mixed.transpose(0, 1).reshape({n, heads * d}));
    first = last;
  }
  return at::cat(outputs, 0);
}

at::Tensor ReferenceOps::mix_experts(const MoeSpec& spec, const at::Tensor& x,
                                     const RouterOutput& routing, const ExpertWeights& experts) {
  const std::int64_t k = routing.experts.size(1);
  const auto groups = group_by_expert(routing.experts, spec.router.n_experts);
  const auto order = at::tensor(groups.order, at::kLong).to(x.device());
  const auto weights = routing.weights.reshape({-1});
  auto out = at::zeros_like(x);
  for (std::size_t e = 0; e + 1 < groups.starts.size(); ++e) {
    const std::int64_t n = groups.starts[e + 1] - groups.starts[e];
    if (n == 0) continue;
    const auto entries = order.narrow(0, groups.starts[e], n);
    const auto rows = entries.div(k, "floor");
    const auto xe = x.index_select(0, rows);
    const auto hidden = silu_times(linear(xe, experts.gate[e]), linear(xe, experts.up[e]));
    const auto weighted =
        linear(hidden, experts.down[e]) * weights.index_select(0, entries).unsqueeze(1);
    out.index_add_(0, rows, weighted.to(out.scalar_type()));
  }
  return out;
}

}  // namespace moexray::torch_runtime
