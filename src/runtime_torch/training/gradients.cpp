#include "gradients.h"

#include <algorithm>
#include <cmath>

#include "../kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// [rows, cols] of foreign memory.
at::Tensor matrix(float* data, std::int64_t rows, std::int64_t cols) {
  return at::from_blob(data, {rows, cols}, at::kFloat);
}

struct RmsNorm : Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& w,
                            double eps) {
    const auto x = input.contiguous();
    const std::int64_t n = x.size(0), d = x.size(1);
    auto y = at::empty_like(x);
    auto inverse = at::empty({n}, x.options());
    const auto* px = x.data_ptr<float>();
    const auto* pw = w.data_ptr<float>();
    auto* py = y.data_ptr<float>();
    auto* pi = inverse.data_ptr<float>();
    const auto& kernels = kernels::row_kernels();
    at::parallel_for(0, n, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const float* row = px + r * d;
        pi[r] = 1.0F / std::sqrt(kernels.dot(row, row, d) / static_cast<float>(d) +
                                 static_cast<float>(eps));
        for (std::int64_t i = 0; i < d; ++i) py[r * d + i] = row[i] * pi[r] * pw[i];
      }
    });
    context->save_for_backward({x, w, inverse});
    return y;
  }

  // With x̂ = x · inverse and u = g · w: dx = inverse · (u − x̂ · mean(u · x̂)), dw = Σ_rows g · x̂.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &w = saved[1], &inverse = saved[2];
    const auto g = gradients[0].contiguous();
    const std::int64_t n = x.size(0), d = x.size(1);
    auto dx = at::empty_like(x);
    auto dw = at::zeros_like(w);
    const auto *px = x.data_ptr<float>(), *pw = w.data_ptr<float>(),
               *pi = inverse.data_ptr<float>(), *pg = g.data_ptr<float>();
    auto *pdx = dx.data_ptr<float>(), *pdw = dw.data_ptr<float>();
    const auto& kernels = kernels::row_kernels();
    // Sums over rows are formed block by block and added in order, whatever the number of threads.
    constexpr std::int64_t block_rows = 256;
    const std::int64_t n_blocks = (n + block_rows - 1) / block_rows;
    auto partial = at::zeros({n_blocks, d}, x.options());
    auto* pp = partial.data_ptr<float>();
    at::parallel_for(0, n_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> u(static_cast<std::size_t>(d));
      for (std::int64_t r = begin * block_rows; r < std::min(end * block_rows, n); ++r) {
        const float *row = px + r * d, *gr = pg + r * d;
        float* part = pp + r / block_rows * d;
        for (std::int64_t i = 0; i < d; ++i) {
          u[i] = gr[i] * pw[i];
          part[i] += gr[i] * row[i] * pi[r];
        }
        const float mean = kernels.dot(u.data(), row, d) * pi[r] / static_cast<float>(d);
        for (std::int64_t i = 0; i < d; ++i) {
          pdx[r * d + i] = pi[r] * (u[i] - row[i] * pi[r] * mean);
        }
      }
    });
    for (std::int64_t block = 0; block < n_blocks; ++block) {
      for (std::int64_t i = 0; i < d; ++i) pdw[i] += pp[block * d + i];
    }
    return {dx, dw, at::Tensor()};
  }
};

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

// softmax over positions 0 … t of row t, zero after it; scores [rows, cols] start at query `first`.
void causal_softmax(float* scores, std::int64_t rows, std::int64_t cols, std::int64_t first,
                    float scale) {
  const auto& kernels = kernels::row_kernels();
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * cols;
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
              causal_softmax_strided(P + first * T, rows, T, cols, first, scale);
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

  static void causal_softmax_strided(float* scores, std::int64_t rows, std::int64_t stride,
                                     std::int64_t cols, std::int64_t first, float scale) {
    for (std::int64_t r = 0; r < rows; ++r)
      causal_softmax(scores + r * stride, 1, cols, first + r, scale);
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

// Passes the selected weights through and sends gradients, those of the router losses included, to
// the logits.
struct Route : Function<Route> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& probabilities, const at::Tensor& experts,
                            const at::Tensor& weights, const at::Tensor& shares, bool normalise,
                            double load_balancing_weight, double z_weight) {
    context->save_for_backward({logits, probabilities, experts, weights, shares});
    context->saved_data["normalise"] = normalise;
    context->saved_data["load_balancing_weight"] = load_balancing_weight;
    context->saved_data["z_weight"] = z_weight;
    return weights.clone();
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto logits = saved[0].contiguous();
    const auto &probabilities = saved[1], &experts = saved[2], &weights = saved[3],
               &shares = saved[4];
    const bool normalise = context->saved_data["normalise"].toBool();
    const double balance = context->saved_data["load_balancing_weight"].toDouble();
    const double z_weight = context->saved_data["z_weight"].toDouble();
    const auto g = gradients[0].contiguous();
    const std::int64_t n = probabilities.size(0), E = probabilities.size(1), k = experts.size(1);
    auto dlogits = at::empty_like(logits);
    const auto *all_p = probabilities.data_ptr<float>(), *all_g = g.data_ptr<float>(),
               *all_w = weights.data_ptr<float>(), *all_logits = logits.data_ptr<float>(),
               *f = shares.data_ptr<float>();
    const auto* all_ids = experts.data_ptr<ExpertId>();
    auto* all_dlogits = dlogits.data_ptr<float>();
    at::parallel_for(0, n, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> dp(static_cast<std::size_t>(E));
      for (std::int64_t r = begin; r < end; ++r) {
        const float *p = all_p + r * E, *gr = all_g + r * k, *w = all_w + r * k;
        const ExpertId* ids = all_ids + r * k;
        const auto per_row =
            static_cast<float>(balance * static_cast<double>(E) / static_cast<double>(n));
        for (std::int64_t e = 0; e < E; ++e) dp[e] = per_row * f[e];
        float total = 1, mean = 0;
        if (normalise) {
          total = 0;
          for (std::int64_t j = 0; j < k; ++j) total += p[ids[j]], mean += gr[j] * w[j];
        }
        for (std::int64_t j = 0; j < k; ++j) dp[ids[j]] += (gr[j] - mean) / total;
        float projection = 0;
        for (std::int64_t e = 0; e < E; ++e) projection += p[e] * dp[e];
        const float log_partition = all_logits[r * E + ids[0]] - std::log(p[ids[0]]);
        const float z = static_cast<float>(2 * z_weight / static_cast<double>(n)) * log_partition;
        float* out = all_dlogits + r * E;
        for (std::int64_t e = 0; e < E; ++e) out[e] = p[e] * (dp[e] - projection + z);
      }
    });
    return {dlogits,      at::Tensor(), at::Tensor(), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Gathers rows of x [n, d] by entry (row · k + rank).
void gather_rows(const float* x, const std::int64_t* entries, std::int64_t n, std::int64_t k,
                 std::int64_t d, float* out) {
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(x + entries[i] / k * d, d, out + i * d);
}

// out[row] = Σ_rank parts[row · k + rank].
void sum_entries(const float* parts, std::int64_t n, std::int64_t k, std::int64_t d, float* out) {
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

struct MixExperts : Function<MixExperts> {
  // Rows are sorted by expert; `hidden` [n · k, 2 · I] keeps gate and up before the non-linearity.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input,
                            const at::Tensor& weights, const at::Tensor& gate_up,
                            const at::Tensor& down, const at::Tensor& experts) {
    const auto x = input.contiguous();
    const std::int64_t n = x.size(0), H = x.size(1), k = experts.size(1), I = down.size(2),
                       E = down.size(0);
    const auto groups = group_by_expert(experts, static_cast<int>(E));
    auto hidden = at::empty({n * k, 2 * I}, x.options());
    auto parts = at::empty({n * k, H}, x.options());
    const float* w = weights.data_ptr<float>();
    float* parts_data = parts.data_ptr<float>();
    at::parallel_for(0, E, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;
      const auto& kernels = kernels::row_kernels();
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
        if (rows == 0) continue;
        const std::int64_t* entries = groups.order.data() + first;
        auto xe = at::empty({rows, H}, at::kFloat), activation = at::empty({rows, I}, at::kFloat);
        auto ye = at::empty({rows, H}, at::kFloat);
        gather_rows(x.data_ptr<float>(), entries, rows, k, H, xe.data_ptr<float>());
        auto he = hidden.narrow(0, first, rows);
        at::mm_out(he, xe, gate_up[e].t());
        const float* h = he.data_ptr<float>();
        float* a = activation.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i)
          kernels.silu_mul(h + i * 2 * I, h + i * 2 * I + I, I, a + i * I);
        at::mm_out(ye, activation, down[e].t());
        const float* y = ye.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i) {
          const float weight = w[entries[i]];
          float* target = parts_data + entries[i] * H;
          for (std::int64_t c = 0; c < H; ++c) target[c] = weight * y[i * H + c];
        }
      }
    });
    auto out = at::empty_like(x);
    sum_entries(parts.data_ptr<float>(), n, k, H, out.data_ptr<float>());
    context->save_for_backward({x, weights, gate_up, down, experts, hidden});
    return out;
  }

  // With A = silu(G) ∘ U, Y = A Wdᵀ, out = w · Y: dw = A · (dout Wd), dA = w · dout Wd, and back
  // through silu.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weights = saved[1], &gate_up = saved[2], &down = saved[3],
               &experts = saved[4], &hidden = saved[5];
    const auto g = gradients[0].contiguous();
    const std::int64_t n = x.size(0), H = x.size(1), k = experts.size(1), I = down.size(2),
                       E = down.size(0);
    const auto groups = group_by_expert(experts, static_cast<int>(E));
    auto dweights = at::empty_like(weights), dgate_up = at::zeros_like(gate_up),
         ddown = at::zeros_like(down);
    auto parts = at::empty({n * k, H}, x.options());
    float* parts_data = parts.data_ptr<float>();
    at::parallel_for(0, E, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::NoGradGuard no_grad;
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
        if (rows == 0) continue;
        const std::int64_t* entries = groups.order.data() + first;
        auto xe = at::empty({rows, H}, at::kFloat), ge = at::empty({rows, H}, at::kFloat);
        auto da = at::empty({rows, I}, at::kFloat), wa = at::empty({rows, I}, at::kFloat);
        auto dh = at::empty({rows, 2 * I}, at::kFloat);
        gather_rows(x.data_ptr<float>(), entries, rows, k, H, xe.data_ptr<float>());
        gather_rows(g.data_ptr<float>(), entries, rows, k, H, ge.data_ptr<float>());
        at::mm_out(da, ge, down[e]);
        activation_backward(hidden.data_ptr<float>() + first * 2 * I, weights.data_ptr<float>(),
                            entries, rows, I, da.data_ptr<float>(), wa.data_ptr<float>(),
                            dh.data_ptr<float>(), dweights.data_ptr<float>());
        auto ddown_e = ddown[e], dgate_up_e = dgate_up[e];
        at::mm_out(ddown_e, ge.t(), wa);
        at::mm_out(dgate_up_e, dh.t(), xe);
        at::mm_out(xe, dh, gate_up[e]);
        const float* dx_rows = xe.data_ptr<float>();
        for (std::int64_t i = 0; i < rows; ++i)
          std::copy_n(dx_rows + i * H, H, parts_data + entries[i] * H);
      }
    });
    auto dx = at::empty_like(x);
    sum_entries(parts.data_ptr<float>(), n, k, H, dx.data_ptr<float>());
    return {dx, dweights, dgate_up, ddown, at::Tensor()};
  }

  // hidden [rows, 2 I] holds gate and up; da = dout · Wd without the routing weight. Fills wa = w ·
  // A, dh and dw.
  static void activation_backward(const float* hidden, const float* weights,
                                  const std::int64_t* entries, std::int64_t rows, std::int64_t I,
                                  const float* da, float* wa, float* dh, float* dweights) {
    const auto& kernels = kernels::row_kernels();
    std::vector<float> sigmoid(static_cast<std::size_t>(I));
    for (std::int64_t i = 0; i < rows; ++i) {
      const float *gate = hidden + i * 2 * I, *up = gate + I, *d = da + i * I,
                  w = weights[entries[i]];
      kernels.sigmoid(gate, I, sigmoid.data());
      float *activation = wa + i * I, *dgate = dh + i * 2 * I, *dup = dgate + I;
      for (std::int64_t c = 0; c < I; ++c) activation[c] = gate[c] * sigmoid[c] * up[c];
      dweights[entries[i]] = kernels.dot(activation, d, I);
      for (std::int64_t c = 0; c < I; ++c) {
        activation[c] *= w;
        dup[c] = w * d[c] * gate[c] * sigmoid[c];
        dgate[c] = w * d[c] * up[c] * sigmoid[c] * (1.0F + gate[c] * (1.0F - sigmoid[c]));
      }
    }
  }
};

struct CrossEntropy : Function<CrossEntropy> {
  static constexpr std::int64_t block_rows = 512;

  // The gradients come for the price of the products, so they are formed here and only scaled
  // later.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& w,
                            const at::Tensor& targets, bool with_gradients) {
    const at::NoGradGuard no_grad;
    const auto h = input.contiguous();
    const std::int64_t n = h.size(0), V = w.size(0);
    auto dh = with_gradients ? at::empty_like(h) : at::Tensor();
    auto dw = with_gradients ? at::zeros_like(w) : at::Tensor();
    auto logits = at::empty({std::min(block_rows, n), V}, h.options());
    std::vector<double> losses(static_cast<std::size_t>(n));
    const auto* target = targets.data_ptr<TokenId>();
    for (std::int64_t first = 0; first < n; first += block_rows) {
      const std::int64_t rows = std::min(block_rows, n - first);
      auto block = logits.narrow(0, 0, rows);
      at::mm_out(block, h.narrow(0, first, rows), w.t());
      float* block_data = block.data_ptr<float>();
      at::parallel_for(0, rows, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
          losses[first + r] = row_loss(block_data + r * V, V, target[first + r], n);
        }
      });
      if (!with_gradients) continue;
      auto dh_block = dh.narrow(0, first, rows);
      at::mm_out(dh_block, block, w);
      dw.addmm_(block.t(), h.narrow(0, first, rows));
    }
    double loss = 0;
    for (const double value : losses) loss += value;
    if (with_gradients) context->save_for_backward({dh, dw});
    return at::full({}, loss / static_cast<double>(n), at::kFloat);
  }

  // Turns a row of logits into (softmax − one-hot) / n and returns its loss.
  static double row_loss(float* row, std::int64_t V, TokenId target, std::int64_t n) {
    const float largest = kernels::row_kernels().max(row, V);
    const double shifted = row[target] - largest;
    const float sum = kernels::row_kernels().exp_sum(row, V, largest);
    const float scale = 1.0F / (sum * static_cast<float>(n));
    for (std::int64_t i = 0; i < V; ++i) row[i] *= scale;
    row[target] -= 1.0F / static_cast<float>(n);
    return std::log(static_cast<double>(sum)) - shifted;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const auto scale = gradients[0];
    return {saved[0] * scale, saved[1] * scale, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor TrainingOps::linear(const at::Tensor& x, const at::Tensor& w) {
  return at::linear(x, w);
}

at::Tensor TrainingOps::rms_norm(const at::Tensor& x, const at::Tensor& w, double eps) {
  return RmsNorm::apply(x, w, eps);
}

at::Tensor TrainingOps::attention(int /*layer*/, const at::Tensor& q, const at::Tensor& k,
                                  const at::Tensor& v) {
  const AttentionShape shape{batch_.n_sequences, batch_.n_positions, config_.num_attention_heads,
                             config_.num_key_value_heads, config_.head_dim()};
  return Attention::apply(q, k, v, table_, shape);
}

RouterOutput TrainingOps::route(const at::Tensor& logits) {
  const std::int64_t n = logits.size(0), E = logits.size(1), k = config_.num_experts_per_tok;
  const auto values = logits.detach().contiguous();
  auto probabilities = at::empty_like(values), weights = at::empty({n, k}, values.options());
  auto experts = at::empty({n, k}, at::kInt);
  select_experts(values.data_ptr<float>(), n, static_cast<int>(E), static_cast<int>(k),
                 config_.norm_topk_prob, experts.data_ptr<ExpertId>(), weights.data_ptr<float>(),
                 probabilities.data_ptr<float>());
  const auto shares =
      at::bincount(experts.reshape({-1}), {}, E).to(at::kFloat) / static_cast<double>(n * k);
  load_balancing_sum_ +=
      static_cast<double>(E) * (shares * probabilities.mean(0)).sum().item<double>();
  ++n_routers_;
  return {logits, experts,
          Route::apply(logits, probabilities, experts, weights, shares, config_.norm_topk_prob,
                       losses_.load_balancing_weight, losses_.z_weight)};
}

at::Tensor TrainingOps::mix_experts(const at::Tensor& x, const RouterOutput& routing,
                                    const ExpertWeights& experts) {
  return MixExperts::apply(x, routing.weights, experts.gate_up_stack, experts.down_stack,
                           routing.experts);
}

at::Tensor cross_entropy(const at::Tensor& h, const at::Tensor& w, const at::Tensor& targets) {
  return CrossEntropy::apply(h, w, targets, at::GradMode::is_enabled());
}

}  // namespace moexray::torch_runtime
