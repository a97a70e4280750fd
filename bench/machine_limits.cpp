#include "machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "moexray/core/system.h"

namespace moexray::bench {
namespace {

// About 0.2 s.
constexpr std::int64_t n_repetitions = 30'000'000;

typedef long long Words __attribute__((vector_size(64), aligned(8)));

// Not optimised away, and not known to the compiler.
std::atomic<long long> sink;

// Sums `n` bytes, 1 KB at a time with eight independent sums; prefetches beyond the page, where the
// processor itself stops.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void read_bytes(const std::byte* bytes, std::size_t n) {
  Words sums[8] = {};
  for (std::size_t i = 0; i + 512 <= n; i += 512) {
    for (std::size_t j = 0; j < 8; ++j) {
      __builtin_prefetch(bytes + i + 64 * j + 8192, 0, 2);
      sums[j] += *reinterpret_cast<const Words*>(bytes + i + 64 * j);
    }
  }
  for (std::size_t j = 1; j < 8; ++j) sums[0] += sums[j];
  sink += sums[0][0] + sums[0][7];
}

#if defined(__x86_64__)
// Sixteen independent chains hide the latency; each instruction is written out so that none is
// merged with another. Returns the operations done (2 a multiply-add).
#define CHAIN(instruction, i) instruction " %%zmm16, %%zmm17, %%zmm" #i "\n "
#define CHAINS(instruction) \
  CHAIN(instruction, 0)     \
  CHAIN(instruction, 1)     \
  CHAIN(instruction, 2)     \
  CHAIN(instruction, 3)     \
  CHAIN(instruction, 4)     \
  CHAIN(instruction, 5)     \
  CHAIN(instruction, 6)     \
  CHAIN(instruction, 7)     \
  CHAIN(instruction, 8)     \
  CHAIN(instruction, 9)     \
  CHAIN(instruction, 10)    \
  CHAIN(instruction, 11)    \
  CHAIN(instruction, 12)    \
  CHAIN(instruction, 13)    \
  CHAIN(instruction, 14)    \
  CHAIN(instruction, 15)
#define RUN_CHAINS(instruction)                                                              \
  asm volatile(CHAINS(instruction)::                                                         \
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                     "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

double multiply_bf16() {
  for (std::int64_t i = 0; i < n_repetitions; ++i) RUN_CHAINS("vdpbf16ps");
  return 2.0 * 32 * 16 * n_repetitions;
}

double multiply_f32_512() {
  for (std::int64_t i = 0; i < n_repetitions; ++i) RUN_CHAINS("vfmadd231ps");
  return 2.0 * 16 * 16 * n_repetitions;
}

#undef RUN_CHAINS
#undef CHAINS
#undef CHAIN

// The same with twelve of the sixteen registers of eight values.
#define CHAIN(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n "
double multiply_f32_256() {
  for (std::int64_t i = 0; i < n_repetitions; ++i) {
    asm volatile(CHAIN(0) CHAIN(1) CHAIN(2) CHAIN(3) CHAIN(4) CHAIN(5) CHAIN(6) CHAIN(7) CHAIN(8)
                     CHAIN(9) CHAIN(10) CHAIN(11)::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11");
  }
  return 2.0 * 8 * 12 * n_repetitions;
}
#undef CHAIN
#endif

// Where no instructions are known: whatever the compiler makes of eight chains.
double multiply_scalar() {
  float sums[8] = {};
  for (std::int64_t i = 0; i < n_repetitions; ++i) {
    for (float& sum : sums) sum = sum * 0.5F + 1e-3F;
  }
  for (const float sum : sums) sink += static_cast<long long>(sum);
  return 2.0 * 8 * n_repetitions;
}

double multiply() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bf16")) return multiply_bf16();
  if (__builtin_cpu_supports("avx512f")) return multiply_f32_512();
  if (__builtin_cpu_supports("fma")) return multiply_f32_256();
#endif
  return multiply_scalar();
}

// Seconds until all threads have run task(index of the thread).
double seconds_of_threads(const std::function<void(std::size_t)>& task) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::jthread> threads;
  for (int i = 0; i < available_threads(); ++i) {
    threads.emplace_back([&, i] { task(static_cast<std::size_t>(i)); });
  }
  threads.clear();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

MachineLimits measure_machine_limits(const Checkpoint& checkpoint) {
  // Every eighth tensor, far more than the caches hold; read once before the clock runs, so that
  // the pages are mapped.
  std::vector<std::span<const std::byte>> weights;
  std::size_t n = 0, n_bytes = 0;
  for (const auto& [name, view] : checkpoint.tensors()) {
    if (n++ % 8 != 0) continue;
    weights.push_back(view.bytes);
    n_bytes += view.bytes.size();
  }
  std::atomic<std::size_t> next = 0;
  const auto read = [&](std::size_t) {
    for (std::size_t i = next++; i < weights.size(); i = next++) {
      read_bytes(weights[i].data(), weights[i].size());
    }
  };
  seconds_of_threads(read);
  double best = 1e9;
  for (int repetition = 0; repetition < 3; ++repetition) {
    next = 0;
    best = std::min(best, seconds_of_threads(read));
  }
  std::vector<double> done(static_cast<std::size_t>(available_threads()));
  const double seconds = seconds_of_threads([&](std::size_t i) { done[i] = multiply(); });
  double operations = 0;
  for (const double value : done) operations += value;
  return {static_cast<double>(n_bytes) / best, operations / seconds};
}

}  // namespace moexray::bench
