#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "inference_ops.h"
#include "kernels/row_kernels.h"

namespace moexray::torch_runtime {

inline void axpy(const kernels::RowKernels& kernels, float a, const float* x, float* y,
                 std::int64_t n) {
  kernels.axpy_f32(a, x, y, n);
}

inline void axpy(const kernels::RowKernels& kernels, float a, const at::BFloat16* x, float* y,
                 std::int64_t n) {
  kernels.axpy_bf16(a, reinterpret_cast<const std::uint16_t*>(x), y, n);
}

inline void dots(const kernels::RowKernels& kernels, const float* x, std::int64_t d,
                 const float* keys, std::int64_t n, float* y) {
  kernels.linear(x, 1, d, {keys, d, kernels::WeightFormat::float32}, 0, n, n, y);
}

inline void dots(const kernels::RowKernels& kernels, const float* x, std::int64_t d,
                 const at::BFloat16* keys, std::int64_t n, float* y) {
  kernels.linear(x, 1, d, {keys, d, kernels::WeightFormat::bfloat16}, 0, n, n, y);
}

// Attention over a cache of type T; computed in float32, rounded to T on its way in and out.
template <typename T>
class CachedAttention {
 public:
  CachedAttention(const AttentionSpec& spec, TorchSession& session, const RaggedBatch& batch,
                  int layer)
      : kernels_(kernels::row_kernels()),
        n_heads_(spec.n_heads),
        n_kv_heads_(spec.n_kv_heads),
        d_(spec.head_dim),
        half_(spec.rotary.dim / 2),
        window_(spec.window),
        scale_(spec.scale ? static_cast<float>(*spec.scale)
                          : 1.0F / std::sqrt(static_cast<float>(spec.head_dim))),
        cos_(session.rotary_table(layer).cos.data_ptr<float>()),
        sin_(session.rotary_table(layer).sin.data_ptr<float>()),
        rows_(batch.rows) {
    for (int slot = 0; slot < session.n_slots(); ++slot) {
      SequenceCache& sequence = session.sequence(slot);
      LayerCache& cache = sequence.layers[static_cast<std::size_t>(layer)];
      caches_.push_back({cache.keys.data_ptr<T>(), cache.values.data_ptr<T>(), sequence.capacity});
    }
  }

  void append(const T* k, const T* v) {
    const std::int64_t width = n_kv_heads_ * d_;
    std::vector<float> head(static_cast<std::size_t>(d_));
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const Cache& cache = caches_[static_cast<std::size_t>(rows_[r].slot)];
      for (std::int64_t h = 0; h < n_kv_heads_; ++h) {
        const std::int64_t place = (h * cache.capacity + rows_[r].pos) * d_;
        const std::int64_t source = static_cast<std::int64_t>(r) * width + h * d_;
        take_rotated(k + source, rows_[r].pos, head.data());
        for (std::int64_t i = 0; i < d_; ++i) cache.keys[place + i] = static_cast<T>(head[i]);
        std::copy_n(v + source, d_, cache.values + place);
      }
    }
  }

  void attend(const T* q, T* out) {
    const std::int64_t n_tasks = static_cast<std::int64_t>(rows_.size()) * n_heads_;
    at::parallel_for(0, n_tasks, 8, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> head(static_cast<std::size_t>(d_)), sum(static_cast<std::size_t>(d_)),
          scores;
      for (std::int64_t task = begin; task < end; ++task) {
        const RowPlace& place = rows_[static_cast<std::size_t>(task / n_heads_)];
        take_rotated(q + task * d_, place.pos, head.data());
        for (float& value : head) value = static_cast<float>(static_cast<T>(value));
        attend_one(place, task % n_heads_, head, scores, sum);
        for (std::int64_t i = 0; i < d_; ++i) out[task * d_ + i] = static_cast<T>(sum[i]);
      }
    });
  }

 protected:
  struct Cache {
    T* keys;
    T* values;
    std::int64_t capacity;
  };

  void take_rotated(const T* source, std::int64_t pos, float* head) const {
    for (std::int64_t i = 0; i < d_; ++i) head[i] = static_cast<float>(source[i]);
    rotate_head(head, cos_ + pos * half_, sin_ + pos * half_, half_);
  }

  // Where the keys and the values of attention head h begin.
  std::int64_t offset_of(const Cache& cache, std::int64_t h) const {
    return h / (n_heads_ / n_kv_heads_) * cache.capacity * d_;
  }

  // The first position that the query at `pos` sees, and how many it sees from there to its own.
  std::int64_t first_seen(std::int64_t pos) const {
    return window_ == 0 ? 0 : std::max<std::int64_t>(0, pos - window_ + 1);
  }
  std::int64_t seen_by(std::int64_t pos) const { return pos + 1 - first_seen(pos); }

  // n scores become softmax(scores · scale), but for the division: returns what to divide by.
  float exponentials(float* scores, std::int64_t n) const {
    for (std::int64_t t = 0; t < n; ++t) scores[t] *= scale_;
    return kernels_.exp_sum(scores, n, kernels_.max(scores, n));
  }

  // softmax(q · keys · scale) · values over the positions that the query sees.
  void attend_one(const RowPlace& place, std::int64_t h, const std::vector<float>& q,
                  std::vector<float>& scores, std::vector<float>& sum) const {
    const Cache& cache = caches_[static_cast<std::size_t>(place.slot)];
    const std::int64_t n = seen_by(place.pos);
    const std::int64_t offset = offset_of(cache, h) + first_seen(place.pos) * d_;
    scores.resize(static_cast<std::size_t>(n));
    dots(kernels_, q.data(), d_, cache.keys + offset, n, scores.data());
    const float total = exponentials(scores.data(), n);
    std::fill(sum.begin(), sum.end(), 0.0F);
    for (std::int64_t t = 0; t < n; ++t) {
      axpy(kernels_, scores[static_cast<std::size_t>(t)] / total, cache.values + offset + t * d_,
           sum.data(), d_);
    }
  }

  const kernels::RowKernels& kernels_;
  std::int64_t n_heads_, n_kv_heads_, d_, half_, window_;
  float scale_;
  const float* cos_;
  const float* sin_;
  const std::vector<RowPlace>& rows_;
  std::vector<Cache> caches_;
};

}  // namespace moexray::torch_runtime
