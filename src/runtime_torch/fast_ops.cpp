// The bfloat16 operations of the CPU with kernels that read weights where they are mapped.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

#include "cached_attention.h"
#include "inference_ops.h"
#include "kernels/kernel_sets.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {
namespace {

using kernels::KernelSet;

// Rows of a weight matrix that a thread takes at a time: few enough for both ends of a pass to be
// balanced, enough for a few hundred kilobytes of memory in a row.
constexpr std::int64_t max_column_block = 128;
std::int64_t column_block(std::int64_t n_in) { return n_in > 1024 ? 64 : max_column_block; }
// Results that are kept in float32 before they are rounded.
constexpr std::int64_t max_part = kernels::max_rows_at_once * max_column_block;

std::uint16_t* bits_of(const at::Tensor& t) {
  return reinterpret_cast<std::uint16_t*>(t.data_ptr<at::BFloat16>());
}

// Calls run(task) for all tasks; threads take the next one when they are done with theirs.
template <typename Run>
void for_each_task(const KernelSet& set, std::int64_t n_tasks, const Run& run) {
  std::atomic<std::int64_t> next = 0;
  at::parallel_for(0, std::min<std::int64_t>(n_tasks, at::get_num_threads()), 1,
                   [&](std::int64_t, std::int64_t) {
                     const kernels::KernelScope scope(set);
                     for (std::int64_t task = next++; task < n_tasks; task = next++) run(task);
                   });
}

// Rows that are multiplied by the same matrices: those of one expert, as a contiguous part of the
// gathered rows.
struct RowBlock {
  std::size_t expert = 0;
  std::int64_t first = 0, n = 0;
};

// The rows of each block as a set wants them; rows themselves must outlive this.
class PackedBlocks {
 public:
  PackedBlocks(const KernelSet& set, const at::Tensor& rows, std::span<const RowBlock> blocks)
      : set_(set), n_in_(rows.size(1)), rows_(bits_of(rows)), blocks_(blocks) {
    if (set.pack == nullptr) return;
    std::vector<Part> parts;
    std::int64_t n_values = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      starts_.push_back(n_values);
      n_values += kernels::packed_values(set, blocks[b].n, n_in_);
      for (std::int64_t r = 0; r < blocks[b].n; r += set.rows_at_once) parts.push_back({b, r});
    }
    packed_ = at::empty({n_values}, rows.options());
    for_each_task(set, static_cast<std::int64_t>(parts.size()), [&](std::int64_t task) {
      const auto [b, r] = parts[static_cast<std::size_t>(task)];
      set.pack(rows_ + (blocks[b].first + r) * n_in_, std::min(set.rows_at_once, blocks[b].n - r),
               n_in_, bits_of(packed_) + starts_[b] + kernels::packed_values(set, r, n_in_));
    });
  }

  // A block's rows from `first` on, a multiple of the set's rows_at_once.
  const std::uint16_t* from(std::size_t block, std::int64_t first) const {
    if (set_.pack == nullptr) return rows_ + (blocks_[block].first + first) * n_in_;
    return bits_of(packed_) + starts_[block] + kernels::packed_values(set_, first, n_in_);
  }

 private:
  struct Part {
    std::size_t block;
    std::int64_t first;
  };

  const KernelSet& set_;
  std::int64_t n_in_;
  const std::uint16_t* rows_;
  std::span<const RowBlock> blocks_;
  std::vector<std::int64_t> starts_;
  at::Tensor packed_;
};

// Columns first … first + n of silu(x · gateᵀ) · (x · upᵀ) for the rows of a block, rounded as
// libtorch rounds between its operations.
void gated_columns(const KernelSet& set, const PackedBlocks& x, std::size_t block,
                   std::int64_t n_rows, std::int64_t n_in, const kernels::Weights& gate,
                   const kernels::Weights& up, std::int64_t first, std::int64_t n,
                   std::int64_t n_out, std::uint16_t* hidden) {
  const auto gate_rows = rows_from(gate, first), up_rows = rows_from(up, first);
  float g[max_part], u[max_part];
  for (std::int64_t r = 0; r < n_rows; r += set.rows_at_once) {
    const std::int64_t rows = std::min(set.rows_at_once, n_rows - r);
    set.linear(x.from(block, r), rows, n_in, gate_rows, n, g, r > 0);
    set.linear(x.from(block, r), rows, n_in, up_rows, n, u, r > 0);
    kernels::round_through_bf16(g, rows * n);
    kernels::round_through_bf16(u, rows * n);
    kernels::row_kernels().silu_mul(g, u, rows * n, g);
    for (std::int64_t i = 0; i < rows; ++i) {
      kernels::round_to_bf16(g + i * n, n, hidden + (r + i) * n_out + first);
    }
  }
}

// The products of x [n, in] with matrices [n_out, in], one behind the other.
at::Tensor products(const KernelSet& set, const at::Tensor& x,
                    std::span<const kernels::Weights> matrices, std::int64_t n_out) {
  const std::int64_t n_rows = x.size(0), n_in = x.size(1);
  const at::Tensor rows = x.contiguous();
  auto y = at::empty({std::ssize(matrices), n_rows, n_out}, x.options());
  const RowBlock all[] = {{0, 0, n_rows}};
  const PackedBlocks packed(set, rows, all);
  std::uint16_t* py = bits_of(y);
  const std::int64_t width = column_block(n_in), n_blocks = (n_out + width - 1) / width;
  for_each_task(set, std::ssize(matrices) * n_blocks, [&](std::int64_t task) {
    const std::int64_t matrix = task / n_blocks, first = task % n_blocks * width,
                       n = std::min(width, n_out - first);
    const auto columns = rows_from(matrices[static_cast<std::size_t>(matrix)], first);
    float part[max_part];
    for (std::int64_t r = 0; r < n_rows; r += set.rows_at_once) {
      const std::int64_t n_part = std::min(set.rows_at_once, n_rows - r);
      set.linear(packed.from(0, r), n_part, n_in, columns, n, part, r > 0);
      for (std::int64_t i = 0; i < n_part; ++i) {
        kernels::round_to_bf16(part + i * n, n, py + (matrix * n_rows + r + i) * n_out + first);
      }
    }
  });
  return y;
}

// Attention by blocks of consecutive queries of a sequence, so that keys and values are read once a
// block and not once a query.
class BlockAttention : public CachedAttention<at::BFloat16> {
 public:
  BlockAttention(const AttentionSpec& spec, TorchSession& session, const RaggedBatch& batch,
                 int layer, const KernelSet& set)
      : CachedAttention(spec, session, batch, layer), set_(set) {
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
    for_each_task(set_, n_blocks * n_heads_, [&](std::int64_t task) {
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
    // Of the sequence's positions: the first query's, and what any query of the block sees.
    const std::int64_t pos = row(block.first).pos, first = first_seen(pos),
                       n_all = pos + block.n - first;
    thread_local std::vector<float> queries, scores, sums;
    thread_local std::vector<std::uint16_t> query_bits, packed;
    queries.resize(static_cast<std::size_t>(block.n * d_));
    query_bits.resize(queries.size());
    sums.assign(queries.size(), 0.0F);
    scores.resize(static_cast<std::size_t>(block.n * n_all));
    for (std::int64_t i = 0; i < block.n; ++i) {
      take_rotated(q + (block.first + i) * width + h * d_, pos + i, queries.data() + i * d_);
    }
    kernels::round_to_bf16(queries.data(), block.n * d_, query_bits.data());
    const auto* keys = reinterpret_cast<const std::uint16_t*>(cache.keys) + offset + first * d_;
    const auto* values = reinterpret_cast<const std::uint16_t*>(cache.values) + offset + first * d_;
    const std::uint16_t* x = query_bits.data();
    if (set_.pack != nullptr) {
      packed.resize(static_cast<std::size_t>(kernels::packed_values(set_, block.n, d_)));
      set_.pack(query_bits.data(), block.n, d_, packed.data());
      x = packed.data();
    }
    set_.linear(x, block.n, d_, {keys, d_}, n_all, scores.data(), false);
    for (std::int64_t i = 0; i < block.n; ++i) {
      float* s = scores.data() + i * n_all;
      const std::int64_t n_hidden = first_seen(pos + i) - first, n_seen = seen_by(pos + i);
      // A weight of 0 adds nothing to a sum, so that it is the same with more keys in the block.
      std::fill_n(s, n_hidden, 0.0F);
      const float total = exponentials(s + n_hidden, n_seen);
      for (std::int64_t t = n_hidden; t < n_hidden + n_seen; ++t) s[t] /= total;
    }
    // What all queries of the block may see, then what only the later ones do.
    const std::int64_t n_common = pos + 1 - first;
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

  const KernelSet& set_;
  std::vector<Block> blocks_;
};

}  // namespace

at::Tensor FastOps::attention(const AttentionSpec& spec, int layer, const at::Tensor& q,
                              const at::Tensor& k, const at::Tensor& v) {
  auto out = at::empty_like(q);
  BlockAttention attention(spec, session_, batch_, layer, set_);
  attention.append(k.data_ptr<at::BFloat16>(), v.data_ptr<at::BFloat16>());
  attention.attend(q.data_ptr<at::BFloat16>(), out.data_ptr<at::BFloat16>());
  return out;
}

at::Tensor FastOps::linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  const kernels::Weights one[] = {weights_of(w, bias)};
  return products(set_, x, one, w.size(0)).squeeze(0);
}

at::Tensor FastOps::linear_each(const at::Tensor& x, std::span<const at::Tensor> ws) {
  return products(set_, x, weights_of_each(ws), ws.front().size(0));
}

at::Tensor FastOps::mix_experts(const MoeSpec& spec, const at::Tensor& x,
                                const RouterOutput& routing, const ExpertWeights& experts) {
  const std::int64_t n = x.size(0), H = x.size(1), k = routing.experts.size(1),
                     I = spec.expert.width;
  const auto groups = group_by_expert(routing.experts, spec.router.n_experts);
  const auto weights = routing.weights.to(at::kFloat);
  const float* weight = weights.data_ptr<float>();
  std::vector<RowBlock> active;
  for (std::size_t e = 0; e + 1 < groups.starts.size(); ++e) {
    const std::int64_t first = groups.starts[e], rows = groups.starts[e + 1] - first;
    if (rows > 0) active.push_back({e, first, rows});
  }
  const auto n_active = static_cast<std::int64_t>(active.size());
  const at::Tensor &gathered = sized(gathered_, {n * k, H}, x.options()),
                   &hidden = sized(hidden_, {n * k, I}, x.options()),
                   &parts = sized(parts_, {n * k, H}, at::kFloat);
  std::uint16_t *px = bits_of(x), *rows = bits_of(gathered), *ph = bits_of(hidden);
  float* pp = parts.data_ptr<float>();
  at::parallel_for(0, n * k, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::copy_n(px + groups.order[static_cast<std::size_t>(i)] / k * H, H, rows + i * H);
    }
  });

  const PackedBlocks packed(set_, gathered, active);
  const std::int64_t gate_width = column_block(H), gate_blocks = (I + gate_width - 1) / gate_width,
                     down_width = column_block(I), down_blocks = (H + down_width - 1) / down_width;
  for_each_task(set_, n_active * gate_blocks, [&](std::int64_t task) {
    const auto b = static_cast<std::size_t>(task / gate_blocks);
    const RowBlock& block = active[b];
    const std::int64_t first = task % gate_blocks * gate_width;
    gated_columns(set_, packed, b, block.n, H, weights_of(experts.gate[block.expert]),
                  weights_of(experts.up[block.expert]), first, std::min(gate_width, I - first), I,
                  ph + block.first * I);
  });
  const PackedBlocks packed_hidden(set_, hidden, active);
  for_each_task(set_, n_active * down_blocks, [&](std::int64_t task) {
    const auto b = static_cast<std::size_t>(task / down_blocks);
    const RowBlock& block = active[b];
    const std::int64_t first = task % down_blocks * down_width,
                       columns = std::min(down_width, H - first);
    const auto down = rows_from(weights_of(experts.down[block.expert]), first);
    float y[max_part];
    for (std::int64_t r = 0; r < block.n; r += set_.rows_at_once) {
      const std::int64_t n_rows = std::min(set_.rows_at_once, block.n - r);
      set_.linear(packed_hidden.from(b, r), n_rows, I, down, columns, y, r > 0);
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
