// The product of bfloat16 rows with mapped weights alone, beside the machine's limits:
//
//   bf16_linear DIR [SET] [ROWS…]
//
// takes the experts' matrices of a checkpoint of full size (make_full_checkpoint) one after the
// other, in blocks of 64 of their rows as FastOps does, with the kernels of the name SET or the
// best. The limit of a line is the larger of the
// bytes read / B and 2 · multiply-adds / F.

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "kernels/kernel_sets.h"
#include "machine_limits.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/random.h"
#include "moexray/core/system.h"

namespace moexray::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<const TensorView*> matrices(const Checkpoint& checkpoint, const std::string& part) {
  std::vector<const TensorView*> found;
  for (const auto& [name, view] : checkpoint.tensors()) {
    if (name.find(".experts.") != std::string::npos && name.ends_with(part)) found.push_back(&view);
  }
  return found;
}

// Has the pages of a matrix mapped.
void touch(const TensorView& view) {
  static std::atomic<unsigned> sink;  // not known to the compiler
  for (std::size_t i = 0; i < view.bytes.size(); i += 4096) {
    sink += std::to_integer<unsigned>(view.bytes[i]);
  }
}

// Values around 1, some of them negative.
std::vector<std::uint16_t> random_rows(std::int64_t n) {
  RandomStream random(1);
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(n));
  for (auto& value : bits) value = static_cast<std::uint16_t>(0x3F00 | (random() & 0x80FF));
  return bits;
}

void measure(const Checkpoint& checkpoint, const kernels::KernelSet& set, const std::string& part,
             std::int64_t n_rows) {
  constexpr std::int64_t column_block = 64;
  const auto all = matrices(checkpoint, part);
  const std::int64_t n_out = all.front()->shape[0], n_in = all.front()->shape[1];
  const std::int64_t n_blocks = n_out / column_block;
  const auto x = random_rows(n_rows * n_in);
  const kernels::PackedRows packed(set, x.data(), n_rows, n_in);
  const auto n_matrices = static_cast<std::int64_t>(
      std::clamp<std::size_t>(4096 / static_cast<std::size_t>(n_rows), 16, all.size()));
  for (std::int64_t i = 0; i < n_matrices; ++i) touch(*all[static_cast<std::size_t>(i)]);
  const MachineLimits before = measure_machine_limits(checkpoint);
  std::atomic<std::int64_t> next = 0;
  const auto start = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < available_threads(); ++t) {
      threads.emplace_back([&] {
        const kernels::KernelScope scope(set);
        std::vector<float> y(static_cast<std::size_t>(kernels::max_rows_at_once * column_block));
        for (std::int64_t task = next++; task < n_matrices * n_blocks; task = next++) {
          const TensorView& w = *all[static_cast<std::size_t>(task / n_blocks)];
          const auto columns =
              rows_from(kernels::Weights{w.bytes.data(), n_in}, task % n_blocks * column_block);
          for (std::int64_t r = 0; r < n_rows; r += set.rows_at_once) {
            set.linear(packed.from(r), std::min(set.rows_at_once, n_rows - r), n_in, columns,
                       column_block, y.data(), r > 0);
          }
        }
      });
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const MachineLimits after = measure_machine_limits(checkpoint);
  const double weights = static_cast<double>(n_matrices * n_out * n_in),
               operations = 2 * weights * static_cast<double>(n_rows),
               reading = 2 * weights / std::midpoint(before.read_rate, after.read_rate),
               computing = operations / std::midpoint(before.multiply_rate, after.multiply_rate);
  fmt::print("{:>5} {:>6} {:>6} {:>9.1f} {:>10.0f} {:>8.1f}% {:>9.1f} {:>10.0f}\n", n_rows, n_in,
             n_out, 2 * weights / seconds / 1e9, operations / seconds / 1e9,
             100 * std::max(reading, computing) / seconds,
             std::midpoint(before.read_rate, after.read_rate) / 1e9,
             std::midpoint(before.multiply_rate, after.multiply_rate) / 1e9);
  std::fflush(stdout);
}

}  // namespace
}  // namespace moexray::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bf16_linear DIR [SET] [ROWS…]\n");
    return 2;
  }
  const moexray::Checkpoint checkpoint(argv[1]);
  std::vector<std::int64_t> rows;
  const bool is_named = argc > 2 && std::atoll(argv[2]) == 0;
  const auto* set = moexray::kernels::usable_kernel_set(is_named ? argv[2] : "fast",
                                                        moexray::kernels::WeightFormat::bfloat16);
  if (set == nullptr) {
    fmt::print(stderr, "bf16_linear: no kernels \"{}\" here\n", argv[2]);
    return 2;
  }
  for (int i = is_named ? 3 : 2; i < argc; ++i) rows.push_back(std::atoll(argv[i]));
  if (rows.empty()) rows = {1, 2, 4, 5, 10, 16, 40, 256};
  fmt::print("{} kernels, {} threads\n", set->name, moexray::available_threads());
  fmt::print("{:>5} {:>6} {:>6} {:>9} {:>10} {:>9} {:>9} {:>10}\n", "rows", "n_in", "n_out", "GB/s",
             "GFLOP/s", "of limit", "B GB/s", "F GFLOP/s");
  for (const char* part : {"gate_proj.weight", "down_proj.weight"}) {
    for (const std::int64_t n : rows) moexray::bench::measure(checkpoint, *set, part, n);
  }
}
