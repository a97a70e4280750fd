// The bfloat16 operations of the CPU with kernels that read weights where they are mapped.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cached_attention.h"
#include "inference_ops.h"
#include "kernels/bf16_kernels.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

// Rows of a weight matrix that a thread takes at a time: few enough for both ends of a pass to be
// balanced, enough for a few hundred kilobytes of memory in a row.
constexpr std::int64_t column_block = 64;
// Rows of x whose results are kept in float32 before they are rounded.
constexpr std::int64_t rows_at_once = 48;

std::uint16_t* bits_of(const at::Tensor& t) {
  return reinterpret_cast<std::uint16_t*>(t.data_ptr<at::BFloat16>());
}

// Calls run(task) for all tasks; threads take the next one when they are done with theirs.
template <typename Run>
void for_each_task(std::int64_t n_tasks, const Run& run) {
  std::atomic<std::int64_t> next = 0;
  at::parallel_for(0, std::min<std::int64_t>(n_tasks, at::get_num_threads()), 1,
                   [&](std::int64_t, std::int64_t) {
                     for (std::int64_t task = next++; task < n_tasks; task = next++) run(task);
                   });
}

// Rows of one expert, as a contiguous part of the gathered rows.
struct ExpertBlock {
  std::size_t expert = 0;
  std::int64_t first = 0, n = 0;
};

// Columns first … first + n of silu(x · gateᵀ) · (x · upᵀ), rounded as libtorch rounds between its
// operations.
void gated_columns(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
                   const std::uint16_t* gate, const std::uint16_t* up, std::int64_t first,
                   std::int64_t n, std::int64_t n_out, std::uint16_t* hidden) {
  float g[rows_at_once * column_block], u[rows_at_once * column_block];
  for (std::int64_t r = 0; r < n_rows; r += rows_at_once) {
    const std::int64_t rows = std::min(rows_at_once, n_rows - r);
    const auto& kernels = kernels::bf16_kernels();
    kernels.linear(x + r * n_in, rows, n_in, gate + first * n_in, n, g);
    kernels.linear(x + r * n_in, rows, n_in, up + first * n_in, n, u);
    kernels::round_through_bf16(g, rows * n);
    kernels::round_through_bf16(u, rows * n);
    kernels::row_kernels().silu_mul(g, u, rows * n, g);
    for (std::int64_t i = 0; i < rows; ++i) {
      kernels::round_to_bf16(g + i * n, n, hidden + (r + i) * n_out + first);
    }
  }
}

// Attention by blocks of consecutive queries of a sequence, so that keys and values are read once a
// block and not once a query.
class BlockAttention : public CachedAttention<at::BFloat16> {
 public:
  BlockAttention(const ModelConfig& config, TorchSession& session, const RaggedBatch& batch,
                 int layer)
      : CachedAttention(config, session, batch, layer) {
    constexpr std::int64_t max_queries = 16;
    const auto n_rows = static_cast<std::int64_t>(rows_.size());
    for (std::int64_t first = 0, n = 0; first < n_rows; first += n) {
      n = 1;
      while (n < max_queries && first + n < n_rows && row(first + n).slot == row(first).slot) ++n;
      blocks_.push_back({first, n});
    }
  }

  void attend(const at::BFloat16* q, at::BFloat16* out) {
    const auto n_blocks = static_cast<std::int64_t>(blocks_.size());
    // The last blocks of a sequence take the longest, so they come first.
    for_each_task(n_blocks * n_heads_, [&](std::int64_t task) {
      attend_block(blocks_[static_cast<std::size_t>(n_blocks - 1 - task / n_heads_)],
                   task % n_heads_, q, out);
    });
  }

 private:
  struct Block {
    std::int64_t first, n;  // rows of the pass
  };

  const RowPlace& row(std::int64_t r) const { return rows_[static_cast<std::size_t>(r)]; }

  void attend_block(const Block& block, std::int64_t h, const at::BFloat16* q,
                    at::BFloat16* out) const {
    const Cache& cache = caches_[static_cast<std::size_t>(row(block.first).slot)];
    const std::int64_t offset = offset_of(cache, h), width = n_heads_ * d_;
    const std::int64_t n_common = row(block.first).pos + 1, n_all = n_common + block.n - 1;
    thread_local std::vector<float> queries, scores, sums;
    thread_local std::vector<std::uint16_t> query_bits;
    queries.resize(static_cast<std::size_t>(block.n * d_));
    query_bits.resize(queries.size());
    sums.assign(queries.size(), 0.0F);
    scores.resize(static_cast<std::size_t>(block.n * n_all));
    for (std::int64_t i = 0; i < block.n; ++i) {
      take_rotated(q + (block.first + i) * width + h * d_, n_common - 1 + i,
                   queries.data() + i * d_);
    }
    kernels::round_to_bf16(queries.data(), block.n * d_, query_bits.data());
    const auto* keys = reinterpret_cast<const std::uint16_t*>(cache.keys) + offset;
    const auto* values = reinterpret_cast<const std::uint16_t*>(cache.values) + offset;
    kernels::bf16_kernels().linear(query_bits.data(), block.n, d_, keys, n_all, scores.data());
    for (std::int64_t i = 0; i < block.n; ++i) {
      float* s = scores.data() + i * n_all;
      const float total = exponentials(s, n_common + i);
      for (std::int64_t t = 0; t < n_common + i; ++t) s[t] /= total;
    }
    // What all queries of the block see, then what only the later ones do.
    kernels_.combine_bf16(scores.data(), block.n, n_all, values, n_common, d_, sums.data());
    for (std::int64_t i = 1; i < block.n; ++i) {
      kernels_.combine_bf16(scores.data() + i * n_all + n_common, 1, n_all, values + n_common * d_,
                            i, d_, sums.data() + i * d_);
    }
    for (std::int64_t i = 0; i < block.n; ++i) {
      kernels::round_to_bf16(
          sums.data() + i * d_, d_,
          reinterpret_cast<std::uint16_t*>(out) + (block.first + i) * width + h * d_);
    }
  }

  std::vector<Block> blocks_;
};

}  // namespace

at::Tensor FastOps::attention(int layer, const at::Tensor& q, const at::Tensor& k,
                              const at::Tensor& v) {
  auto out = at::empty_like(q);
  BlockAttention attention(config_, session_, batch_, layer);
  attention.append(k.data_ptr<at::BFloat16>(), v.data_ptr<at::BFloat16>());
  attention.attend(q.data_ptr<at::BFloat16>(), out.data_ptr<at::BFloat16>());
  return out;
}

at::Tensor FastOps::linear(const at::Tensor& x, const at::Tensor& w) {
  const std::int64_t n_rows = x.size(0), n_in = x.size(1), n_out = w.size(0);
  const at::Tensor rows = x.contiguous();
  auto y = at::empty({n_rows, n_out}, x.options());
  const std::uint16_t *px = bits_of(rows), *pw = bits_of(w);
  std::uint16_t* py = bits_of(y);
  for_each_task((n_out + column_block - 1) / column_block, [&](std::int64_t task) {
    const std::int64_t first = task * column_block, n = std::min(column_block, n_out - first);
    float part[rows_at_once * column_block];
    for (std::int64_t r = 0; r < n_rows; r += rows_at_once) {
      const std::int64_t n_part = std::min(rows_at_once, n_rows - r);
      kernels::bf16_kernels().linear(px + r * n_in, n_part, n_in, pw + first * n_in, n, part);
      for (std::int64_t i = 0; i < n_part; ++i) {
        kernels::round_to_bf16(part + i * n, n, py + (r + i) * n_out + first);
      }
    }
  });
  return y;
}

at::Tensor FastOps::mix_experts(const at::Tensor& x, const RouterOutput& routing,
                                const ExpertWeights& experts) {
  const std::int64_t n = x.size(0), H = x.size(1), k = routing.experts.size(1),
                     I = config_.intermediate_size;
  const auto groups = group_by_expert(routing.experts, config_.num_experts);
  const auto weights = routing.weights.to(at::kFloat);
  const float* weight = weights.data_ptr<float>();
  std::vector<ExpertBlock> active;
  for (std::size_t e = 0; e + 1 < groups.starts.size(); ++e) {
    const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
    if (rows > 0) active.push_back({e, first, rows});
  }
  const auto n_active = static_cast<std::int64_t>(active.size());
  auto gathered = at::empty({n * k, H}, x.options()), hidden = at::empty({n * k, I}, x.options());
  auto parts = at::empty({n * k, H}, at::kFloat);
  std::uint16_t *px = bits_of(x), *rows = bits_of(gathered), *ph = bits_of(hidden);
  float* pp = parts.data_ptr<float>();
  at::parallel_for(0, n * k, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(px + groups.order[static_cast<std::size_t>(i)] / k * H, H, rows + i * H);
    }
  });

  const std::int64_t gate_blocks = (I + column_block - 1) / column_block,
                     down_blocks = (H + column_block - 1) / column_block;
  for_each_task(n_active * gate_blocks, [&](std::int64_t task) {
    const ExpertBlock& block = active[static_cast<std::size_t>(task / gate_blocks)];
    const std::int64_t first = task % gate_blocks * column_block;
    gated_columns(rows + block.first * H, block.n, H, bits_of(experts.gate[block.expert]),
                  bits_of(experts.up[block.expert]), first, std::min(column_block, I - first), I,
                  ph + block.first * I);
  });
  for_each_task(n_active * down_blocks, [&](std::int64_t task) {
    const ExpertBlock& block = active[static_cast<std::size_t>(task / down_blocks)];
    const std::int64_t first = task % down_blocks * column_block,
                       columns = std::min(column_block, H - first);
    const std::uint16_t* down = bits_of(experts.down[block.expert]) + first * I;
    float y[rows_at_once * column_block];
    for (std::int64_t r = 0; r < block.n; r += rows_at_once) {
      const std::int64_t n_rows = std::min(rows_at_once, block.n - r);
      kernels::bf16_kernels().linear(ph + (block.first + r) * I, n_rows, I, down, columns, y);
      kernels::round_through_bf16(y, n_rows * columns);
      for (std::int64_t i = 0; i < n_rows; ++i) {
        const std::int64_t entry = groups.order[static_cast<std::size_t>(block.first + r + i)];
        float* part = pp + entry * H + first;
        for (std::int64_t c = 0; c < columns; ++c) part[c] = weight[entry] * y[i * columns + c];
      }
    }
  });
  auto out = at::empty({n, H}, at::kFloat);
  sum_over_ranks(pp, n, k, H, out.data_ptr<float>());
  return out.to(x.scalar_type());
}

}  // namespace moexray::torch_runtime
