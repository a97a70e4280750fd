// What the tests of kernels multiply: random values, and memory with ends.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/weights.h"
#include "moexray/core/random.h"

namespace moexray::kernels {

inline std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

inline std::vector<std::uint16_t> to_bfloat16(const std::vector<float>& values) {
  std::vector<std::uint16_t> bits;
  for (const float value : values) {
    std::uint32_t word = 0;
    std::memcpy(&word, &value, sizeof word);
    bits.push_back(static_cast<std::uint16_t>(word >> 16));
  }
  return bits;
}

inline float from_bfloat16(std::uint16_t bits) {
  const std::uint32_t word = std::uint32_t{bits} << 16;
  float value = 0;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// A matrix [n_out, n_in] without gaps.
inline Weights whole(const std::vector<std::uint16_t>& w, std::int64_t n_in) {
  return {w.data(), n_in, WeightFormat::bfloat16};
}
inline Weights whole(const std::vector<float>& w, std::int64_t n_in) {
  return {w.data(), n_in, WeightFormat::float32};
}

// Memory of whole pages with pages around it that no one may touch: sanitizers do not see what
// tile instructions read.
template <typename T>
class Guarded {
 public:
  explicit Guarded(std::size_t n) : n_(n) {
    const std::size_t n_bytes = n * sizeof(T);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    size_ = (n_bytes + page - 1) / page * page + 2 * page;
    memory_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ::mprotect(memory_ + page, size_ - 2 * page, PROT_READ | PROT_WRITE);
    begin_ = memory_ + page;
    end_ = memory_ + size_ - page;
  }
  ~Guarded() { ::munmap(memory_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // n values that begin where memory may be touched first, or that end where it may be last.
  T* place(bool at_end) const {
    return reinterpret_cast<T*>(at_end ? end_ - n_ * sizeof(T) : begin_);
  }
  T* place(bool at_end, const std::vector<T>& values) const {
    return std::copy_n(values.data(), n_, place(at_end)) - n_;
  }

 private:
  std::size_t n_, size_ = 0;
  std::byte *memory_ = nullptr, *begin_ = nullptr, *end_ = nullptr;
};

// The rows of a matrix as a part of a wider one, NaN between them. Nothing follows the last value.
template <typename T>
std::vector<T> spread(const std::vector<T>& w, std::int64_t n_out, std::int64_t n_in,
                      std::int64_t stride) {
  const T nan = std::is_same_v<T, float> ? static_cast<T>(std::nanf("")) : static_cast<T>(0x7FC0);
  std::vector<T> wide(static_cast<std::size_t>((n_out - 1) * stride + n_in), nan);
  for (std::int64_t j = 0; j < n_out; ++j) {
    std::copy_n(w.begin() + j * n_in, n_in, wide.begin() + j * stride);
  }
  return wide;
}

// What the products with a matrix without gaps and bias become with one.
inline std::vector<float> with_bias(std::vector<float> y, const std::vector<float>& bias) {
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
  return y;
}

inline bool same_bits(const float* a, const std::vector<float>& b) {
  return std::memcmp(a, b.data(), b.size() * sizeof(float)) == 0;
}

}  // namespace moexray::kernels
