#include <algorithm>
#include <cmath>

#include "gradients.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// [rows, cols] of foreign memory.
at::Tensor matrix(float* data, std::int64_t rows, std::int64_t cols) {
  return at::from_blob(data, {rows, cols}, at::kFloat);
}

struct AttentionShape {
  std::int64_t n_sequences, n_positions, n_heads, n_kv_heads, head_dim;
  std::int64_t row(std::int64_t b, std::int64_t t) const { return b * n_positions + t; }
};

// Queries are taken in blocks, so that half of the products above the diagonal are never formed.
constexpr std::int64_t query_block = 128;

// Copies head `head` of sequence b out of x [rows, heads · d] into a [T, d] block, rotated by
// `direction` (+1 or −1; 0: as it is).
void take_head(const float* x, std::int64_t n_heads, std::int64_t b, std::int64_t head,
               const AttentionShape& shape, const RotaryTable* table, float* out) {
  const std::int64_t d = shape.head_dim, half = d / 2;
  const float* cos = table == nullptr ? nullptr : table->cos.data_ptr<float>();
  const float* sin = table == nullptr ? nullptr : table->sin.data_ptr<float>();
  for (std::int64_t t = 0; t < shape.n_positions; ++t) {
    std::copy_n(x + (shape.row(b, t) * n_heads + head) * d, d, out + t * d);
    if (table != nullptr) rotate_head(out + t * d, cos + t * half, sin + t * half, half);
  }
}

// The reverse for gradients: adds a [T, d] block, rotated back, to x.
void add_head(float* block, std::int64_t n_heads, std::int64_t b, std::int64_t head,
              const AttentionShape& shape, const RotaryTable* table, float* x) {
  const std::int64_t d = shape.head_dim, half = d / 2;
  std::vector<float> minus_sin(static_cast<std::size_t>(half));
  for (std::int64_t t = 0; t < shape.n_positions; ++t) {
    if (table != nullptr) {
      for (std::int64_t i = 0; i < half; ++i)
        minus_sin[i] = -table->sin.data_ptr<float>()[t * half + i];
      rotate_head(block + t * d, table->cos.data_ptr<float>() + t * half, minus_sin.data(), half);
    }
    float* row = x + (shape.row(b, t) * n_heads + head) * d;
    for (std::int64_t i = 0; i < d; ++i) row[i] += block[t * d + i];
  }
}

// softmax over positions 0 … t of row t, zero after it; scores [rows, cols], a row every `stride`
// values, start at query `first`.
void causal_softmax(float* scores, std::int64_t rows, std::int64_t stride, std::int64_t cols,
                    std::int64_t first, float scale) {
  const auto& kernels = kernels::row_kernels();
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * stride;
    const std::int64_t n = first + r + 1;
    for (std::int64_t i = 0; i < n; ++i) row[i] *= scale;
    const float inverse = 1.0F / kernels.exp_sum(row, n, kernels.max(row, n));
    for (std::int64_t i = 0; i < n; ++i) row[i] *= inverse;
    std::fill(row + n, row + cols, 0.0F);
  }
}

struct Attention : Function<Attention> {
  // `probabilities` [sequences, heads, T, T] keeps the softmax for the backward pass.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const RotaryTable& table,
                            const AttentionShape& shape) {
    const std::int64_t T = shape.n_positions, d = shape.head_dim;
    const float scale = 1.0F / std::sqrt(static_cast<float>(d));
    auto out = at::empty({q.size(0), shape.n_heads * d}, q.options());
    auto probabilities = at::empty({shape.n_sequences, shape.n_heads, T, T}, q.options());
    const auto qc = q.contiguous(), kc = k.contiguous(), vc = v.contiguous();
    at::parallel_for(
        0, shape.n_sequences * shape.n_heads, 1, [&](std::int64_t begin, std::int64_t end) {
          const at::NoGradGuard no_grad;
          auto block = at::empty({4, T, d}, at::kFloat);
          const auto Q = block[0], K = block[1], V = block[2], O = block[3];
          for (std::int64_t task = begin; task < end; ++task) {
            const std::int64_t b = task / shape.n_heads, h = task % shape.n_heads;
            const std::int64_t kv = h / (shape.n_heads / shape.n_kv_heads);
            take_head(qc.data_ptr<float>(), shape.n_heads, b, h, shape, &table,
                      Q.data_ptr<float>());
            take_head(kc.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, &table,
                      K.data_ptr<float>());
            take_head(vc.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, nullptr,
                      V.data_ptr<float>());
            float* P = probabilities.data_ptr<float>() + task * T * T;
            auto scores = matrix(P, T, T);
            for (std::int64_t first = 0; first < T; first += query_block) {
              const std::int64_t rows = std::min(query_block, T - first), cols = first + rows;
              auto part = scores.narrow(0, first, rows).narrow(1, 0, cols);
              at::mm_out(part, Q.narrow(0, first, rows), K.narrow(0, 0, cols).t());
              scores.narrow(0, first, rows).narrow(1, cols, T - cols).zero_();
              causal_softmax(P + first * T, rows, T, cols, first, scale);
              auto o = O.narrow(0, first, rows);
              at::mm_out(o, part, V.narrow(0, 0, cols));
            }
            const float* o = O.data_ptr<float>();
            float* target = out.data_ptr<float>();
            for (std::int64_t t = 0; t < T; ++t) {
              std::copy_n(o + t * d, d, target + (shape.row(b, t) * shape.n_heads + h) * d);
            }
          }
        });
    context->save_for_backward({qc, kc, vc, probabilities});
    context->saved_data["table"] = variable_list{table.cos, table.sin};
    context->saved_data["shape"] =
        std::vector<std::int64_t>{shape.n_sequences, T, shape.n_heads, shape.n_kv_heads, d};
    return out;
  }

  // dV = Pᵀ dO; dP = dO Vᵀ; dS = P ∘ (dP − rowsum(dP ∘ P)) · scale; dQ = dS K; dK = dSᵀ Q.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &probabilities = saved[3];
    const auto tables = context->saved_data["table"].toTensorVector();
    const RotaryTable table{tables[0], tables[1]};
    const auto dims = context->saved_data["shape"].toIntVector();
    const AttentionShape shape{dims[0], dims[1], dims[2], dims[3], dims[4]};
    const auto g = gradients[0].contiguous();
    auto dq = at::zeros_like(q), dk = at::zeros_like(k), dv = at::zeros_like(v);
    const std::int64_t group = shape.n_heads / shape.n_kv_heads;
    at::parallel_for(
        0, shape.n_sequences * shape.n_kv_heads, 1, [&](std::int64_t begin, std::int64_t end) {
          const at::NoGradGuard no_grad;
          const std::int64_t T = shape.n_positions, d = shape.head_dim;
          auto block = at::empty({7, T, d}, at::kFloat);
          auto ds = at::empty({std::min(query_block, T), T}, at::kFloat);
          for (std::int64_t task = begin; task < end; ++task) {
            const std::int64_t b = task / shape.n_kv_heads, kv = task % shape.n_kv_heads;
            for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
              const auto Q = block[0], K = block[1], V = block[2], dO = block[3], dQ = block[4],
                         dK = block[5], dV = block[6];
              take_head(q.data_ptr<float>(), shape.n_heads, b, h, shape, &table,
                        Q.data_ptr<float>());
              take_head(k.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, &table,
                        K.data_ptr<float>());
              take_head(v.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, nullptr,
                        V.data_ptr<float>());
              take_head(g.data_ptr<float>(), shape.n_heads, b, h, shape, nullptr,
                        dO.data_ptr<float>());
              dK.zero_();
              dV.zero_();
              auto P =
                  matrix(probabilities.data_ptr<float>() + (b * shape.n_heads + h) * T * T, T, T);
              for (std::int64_t first = 0; first < T; first += query_block) {
                const std::int64_t rows = std::min(query_block, T - first), cols = first + rows;
                const auto part = P.narrow(0, first, rows).narrow(1, 0, cols);
                const auto dO_part = dO.narrow(0, first, rows);
                auto dV_part = dV.narrow(0, 0, cols), dK_part = dK.narrow(0, 0, cols),
                     dQ_part = dQ.narrow(0, first, rows);
                auto dS = ds.narrow(0, 0, rows).narrow(1, 0, cols);
                dV_part.addmm_(part.t(), dO_part);
                at::mm_out(dS, dO_part, V.narrow(0, 0, cols).t());
                softmax_backward(part.data_ptr<float>(), dS.data_ptr<float>(), rows, cols, T,
                                 1.0F / std::sqrt(static_cast<float>(d)));
                at::mm_out(dQ_part, dS, K.narrow(0, 0, cols));
                dK_part.addmm_(dS.t(), Q.narrow(0, first, rows));
              }
              add_head(dQ.data_ptr<float>(), shape.n_heads, b, h, shape, &table,
                       dq.data_ptr<float>());
              add_head(dK.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, &table,
                       dk.data_ptr<float>());
              add_head(dV.data_ptr<float>(), shape.n_kv_heads, b, kv, shape, nullptr,
                       dv.data_ptr<float>());
            }
          }
        });
    return {dq, dk, dv, at::Tensor(), at::Tensor()};
  }

  static void softmax_backward(const float* p, float* ds, std::int64_t rows, std::int64_t cols,
                               std::int64_t stride, float scale) {
    const auto& kernels = kernels::row_kernels();
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* pr = p + r * stride;
      float* dr = ds + r * stride;
      const float mean = kernels.dot(pr, dr, cols);
      for (std::int64_t i = 0; i < cols; ++i) dr[i] = pr[i] * (dr[i] - mean) * scale;
    }
  }
};

}  // namespace

at::Tensor TrainingOps::attention(const AttentionSpec& spec, int /*layer*/, const at::Tensor& q,
                                  const at::Tensor& k, const at::Tensor& v) {
  const AttentionShape shape{batch_.n_sequences, batch_.n_positions, spec.n_heads, spec.n_kv_heads,
                             spec.head_dim};
  return Attention::apply(q, k, v, table_, shape);
}

}  // namespace moexray::torch_runtime
