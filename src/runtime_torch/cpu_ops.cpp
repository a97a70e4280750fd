#include <algorithm>
#include <cmath>
#include <cstring>

#include "cached_attention.h"
#include "inference_ops.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using BFloat16 = at::BFloat16;

// Multiply-adds that are worth a thread of their own.
constexpr std::int64_t parallel_grain = 1 << 16;

// bfloat16 matrices up to this many weights are widened and multiplied by our own kernels:
// libtorch's bfloat16 product costs a tenth of a millisecond before it computes anything.
constexpr std::int64_t own_product_weights = 1 << 18;

// With fewer experts the products inside use the threads. A constant: which of the two happens must
// not depend on the number of threads.
constexpr std::int64_t min_parallel_experts = 4;

// Rows that stay in the second-level cache while a block of weights passes over them.
constexpr std::int64_t row_block = 64;

// The products of x [n, in] in float32 with matrices [n_out, in], one behind the other.
at::Tensor float_products(const at::Tensor& x, std::span<const kernels::Weights> matrices,
                          std::int64_t n_out) {
  const auto& kernels = kernels::row_kernels();
  const std::int64_t n_rows = x.size(0), n_in = x.size(1);
  auto products = at::empty({std::ssize(matrices), n_rows, n_out}, x.options());
  const float* px = x.data_ptr<float>();
  float* py = products.data_ptr<float>();
  constexpr std::int64_t tile = 4;
  const std::int64_t n_tiles = (n_out + tile - 1) / tile;
  const std::int64_t grain =
      std::max<std::int64_t>(1, parallel_grain / std::max<std::int64_t>(1, tile * n_rows * n_in));
  at::parallel_for(
      0, std::ssize(matrices) * n_tiles, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin, next = 0; at < end; at = next) {
          const std::int64_t matrix = at / n_tiles;
          next = std::min(end, (matrix + 1) * n_tiles);
          const std::int64_t first = (at - matrix * n_tiles) * tile,
                             last = std::min((next - matrix * n_tiles) * tile, n_out);
          float* y = py + matrix * n_rows * n_out;
          for (std::int64_t r = 0; r < n_rows; r += row_block) {
            const std::int64_t rows = std::min(row_block, n_rows - r);
            kernels.linear(px + r * n_in, rows, n_in, matrices[static_cast<std::size_t>(matrix)],
                           first, last, n_out, y + r * n_out);
          }
        }
      });
  return products;
}

template <typename T>
void rms_norm_rows(const at::Tensor& x, const at::Tensor& w, double eps, at::Tensor& y) {
  const auto& kernels = kernels::row_kernels();
  const std::int64_t n = x.size(0), d = x.size(1);
  const T *px = x.data_ptr<T>(), *pw = w.data_ptr<T>();
  T* py = y.data_ptr<T>();
  at::parallel_for(
      0, n, std::max<std::int64_t>(1, parallel_grain / d),
      [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> row(static_cast<std::size_t>(d));
        for (std::int64_t r = begin; r < end; ++r) {
          for (std::int64_t i = 0; i < d; ++i) row[i] = static_cast<float>(px[r * d + i]);
          const float mean = kernels.dot(row.data(), row.data(), d) / static_cast<float>(d);
          const float inverse = 1.0F / std::sqrt(mean + static_cast<float>(eps));
          // As transformers does it, the normalised value is rounded before the weight is applied.
          for (std::int64_t i = 0; i < d; ++i) {
            py[r * d + i] = static_cast<T>(static_cast<float>(pw[i]) *
                                           static_cast<float>(static_cast<T>(row[i] * inverse)));
          }
        }
      });
}

// silu(gate) · up in float32, rounded once. libtorch's own silu treats the end of each thread's
// share in another way.
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up) {
  const auto g = gate.to(at::kFloat), u = up.to(at::kFloat);
  auto out = at::empty_like(g);
  const float *pg = g.data_ptr<float>(), *pu = u.data_ptr<float>();
  float* po = out.data_ptr<float>();
  at::parallel_for(0, g.numel(), parallel_grain, [&](std::int64_t begin, std::int64_t end) {
    kernels::row_kernels().silu_mul(pg + begin, pu + begin, end - begin, po + begin);
  });
  return out.to(gate.scalar_type());
}

template <typename T>
void sigmoid_times_rows(const std::vector<float>& factors, const at::Tensor& x, at::Tensor& y) {
  const std::int64_t n = x.size(0), d = x.size(1);
  const T* px = x.data_ptr<T>();
  T* py = y.data_ptr<T>();
  at::parallel_for(0, n, std::max<std::int64_t>(1, parallel_grain / d),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t r = begin; r < end; ++r) {
                       // Rounded as libtorch rounds between its operations.
                       const auto factor =
                           static_cast<float>(static_cast<T>(factors[static_cast<std::size_t>(r)]));
                       for (std::int64_t i = r * d; i < (r + 1) * d; ++i) {
                         py[i] = static_cast<T>(factor * static_cast<float>(px[i]));
                       }
                     }
                   });
}

// The rows of x that an expert's entries name, as one block.
at::Tensor gather(const at::Tensor& x, const std::int64_t* entries, std::int64_t n,
                  std::int64_t k) {
  auto block = at::empty({n, x.size(1)}, x.options());
  const std::size_t row_bytes = static_cast<std::size_t>(x.size(1)) * x.element_size();
  const auto* source = static_cast<const char*>(x.data_ptr());
  auto* target = static_cast<char*>(block.data_ptr());
  for (std::int64_t i = 0; i < n; ++i) {
    std::memcpy(target + static_cast<std::size_t>(i) * row_bytes,
                source + static_cast<std::size_t>(entries[i] / k) * row_bytes, row_bytes);
  }
  return block;
}

}  // namespace

kernels::Weights weights_of(const at::Tensor& w, const at::Tensor& bias) {
  TORCH_CHECK(w.size(1) == 1 || w.stride(1) == 1, "the rows of a matrix of weights have gaps");
  const bool is_bfloat16 = w.scalar_type() == at::kBFloat16;
  TORCH_CHECK(is_bfloat16 || w.scalar_type() == at::kFloat, "weights of type ", w.scalar_type());
  return {w.data_ptr(), w.stride(0),
          is_bfloat16 ? kernels::WeightFormat::bfloat16 : kernels::WeightFormat::float32,
          bias.defined() ? bias.data_ptr<float>() : nullptr};
}

std::vector<kernels::Weights> weights_of_each(std::span<const at::Tensor> ws) {
  std::vector<kernels::Weights> weights;
  for (const at::Tensor& w : ws) {
    TORCH_CHECK(w.sizes() == ws.front().sizes(), "matrices of different shapes");
    weights.push_back(weights_of(w));
  }
  return weights;
}

at::Tensor CpuOps::linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  if (const auto type = x.scalar_type(); type != at::kFloat) {
    return w.numel() > own_product_weights ? at::linear(x, w, bias.defined() ? bias.to(type) : bias)
                                           : linear(x.to(at::kFloat), w, bias).to(type);
  }
  const kernels::Weights one[] = {weights_of(w, bias)};
  return float_products(x, one, w.size(0)).squeeze(0);
}

at::Tensor CpuOps::linear_each(const at::Tensor& x, std::span<const at::Tensor> ws) {
  if (x.scalar_type() != at::kFloat) return Ops::linear_each(x, ws);
  return float_products(x, weights_of_each(ws), ws.front().size(0));
}

at::Tensor CpuOps::rms_norm(const NormSpec& spec, const at::Tensor& x, const at::Tensor& w) {
  auto y = at::empty_like(x);
  if (x.scalar_type() == at::kFloat) {
    rms_norm_rows<float>(x, w, spec.eps, y);
  } else {
    rms_norm_rows<BFloat16>(x, w, spec.eps, y);
  }
  return y;
}

at::Tensor CpuOps::silu_times(const at::Tensor& gate, const at::Tensor& up) {
  return gated(gate, up);
}

at::Tensor CpuOps::sigmoid_times(const at::Tensor& z, const at::Tensor& x) {
  const auto values = z.to(at::kFloat);
  std::vector<float> factors(static_cast<std::size_t>(values.numel()));
  kernels::row_kernels().sigmoid(values.data_ptr<float>(), values.numel(), factors.data());
  auto y = at::empty_like(x);
  if (x.scalar_type() == at::kFloat) {
    sigmoid_times_rows<float>(factors, x, y);
  } else {
    sigmoid_times_rows<BFloat16>(factors, x, y);
  }
  return y;
}

at::Tensor CpuOps::attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                             const at::Tensor& k, const at::Tensor& v) {
  auto out = at::empty_like(q);
  const auto run = [&]<typename T>(T*) {
    CachedAttention<T> attention(spec, session_, batch_, layer);
    attention.append(k.data_ptr<T>(), v.data_ptr<T>());
    attention.attend(q.data_ptr<T>(), out.data_ptr<T>());
  };
  if (q.scalar_type() == at::kFloat) {
    run(static_cast<float*>(nullptr));
  } else {
    run(static_cast<BFloat16*>(nullptr));
  }
  return out;
}

const at::Tensor& CpuOps::sized(at::Tensor& buffer, at::IntArrayRef shape,
                                const at::TensorOptions& options) {
  if (!buffer.defined() || buffer.sizes() != shape) buffer = at::empty(shape, options);
  return buffer;
}

at::Tensor CpuOps::mix_experts(const MoeSpec& spec, const at::Tensor& x,
                               const RouterOutput& routing, const ExpertWeights& experts) {
  const std::int64_t n = x.size(0), H = x.size(1), k = routing.experts.size(1);
  const auto groups = group_by_expert(routing.experts, spec.router.n_experts);
  const auto weights = routing.weights.to(at::kFloat);
  const float* w = weights.data_ptr<float>();
  const at::Tensor& parts = sized(parts_, {n * k, H}, at::kFloat);
  float* parts_data = parts.data_ptr<float>();
  std::vector<std::size_t> active;
  for (std::size_t e = 0; e + 1 < groups.starts.size(); ++e) {
    if (groups.starts[e + 1] > groups.starts[e]) active.push_back(e);
  }
  const auto run_experts = [&](std::int64_t begin, std::int64_t end) {
    const at::NoGradGuard no_grad;  // grad mode belongs to the thread
    for (std::int64_t i = begin; i < end; ++i) {
      const std::size_t e = active[static_cast<std::size_t>(i)];
      const std::int64_t* entries = groups.order.data() + groups.starts[e];
      const std::int64_t rows = groups.starts[e + 1] - groups.starts[e];
      const auto xe = gather(x, entries, rows, k);
      const auto hidden = gated(linear(xe, experts.gate[e]), linear(xe, experts.up[e]));
      const auto ye = linear(hidden, experts.down[e]).to(at::kFloat);
      const float* y = ye.data_ptr<float>();
      for (std::int64_t r = 0; r < rows; ++r) {
        float* part = parts_data + entries[r] * H;
        for (std::int64_t c = 0; c < H; ++c) part[c] = w[entries[r]] * y[r * H + c];
      }
    }
  };
  const auto n_active = static_cast<std::int64_t>(active.size());
  if (n_active >= min_parallel_experts) {
    at::parallel_for(0, n_active, 1, run_experts);
  } else {
    run_experts(0, n_active);
  }
  auto out = at::empty({n, H}, at::kFloat);
  sum_over_ranks(parts_data, n, k, H, out.data_ptr<float>());
  return out.to(x.scalar_type());
}

}  // namespace moexray::torch_runtime
