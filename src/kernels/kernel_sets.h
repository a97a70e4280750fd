#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "weights.h"

namespace moexray::kernels {

/// Products of bfloat16 rows (bit patterns) with matrices where these lie in memory, summed in
/// float32 in an order that is fixed by n_in alone: a value depends on its row and its weights,
/// neither on the other rows, nor on the stride of the weights, nor on the number of threads. One
/// row of the table of sets; sets differ in their bits.
struct KernelSet {
  const char* name;  ///< also what `--kernels` calls it, and what a manifest records
  const char* bits;  ///< sets with the same words here give the same bits

  /// Whether this processor and this operating system run it. Asked before anything else is used.
  bool (*usable)();
  /// Whether `linear` multiplies weights of this format.
  bool (*takes)(WeightFormat format);

  /// What a thread does before it multiplies, and after: libtorch may change the state between two
  /// passes. Null where there is nothing to do. See KernelScope.
  void (*enter)();
  void (*leave)();

  /// Rows of x that are packed together: a part of packed rows begins at a multiple of it.
  std::int64_t group;
  /// Values of a row that are packed together: a packed row has a multiple of it.
  std::int64_t step;
  /// Rows of x that are best multiplied at a time, a multiple of `group`, at most max_rows_at_once.
  std::int64_t rows_at_once;

  /// x [n_rows, n_in] in the order in which `linear` reads it; null: as it is.
  void (*pack)(const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in,
               std::uint16_t* packed);

  /// y[r, j] = Σ_i x[r, i] · w[j, i] + bias[j]; x [n_rows, n_in] packed, w [n_out, n_in] of a
  /// format that the set takes, y [n_rows, n_out]. Nothing beyond n_in is read of a row of w.
  /// `near` says that w has been used a moment ago: memory beyond it is not fetched in advance.
  void (*linear)(const std::uint16_t* packed, std::int64_t n_rows, std::int64_t n_in,
                 const Weights& w, std::int64_t n_out, float* y, bool near);
};

inline constexpr std::int64_t max_rows_at_once = 64;

/// The values that n_rows packed rows take. Packed row r of a multiple of `group` begins at
/// packed_values(set, r, n_in).
std::int64_t packed_values(const KernelSet& set, std::int64_t n_rows, std::int64_t n_in);

/// The table of all sets that this program was built with, best first; the last one runs
/// everywhere.
std::span<const KernelSet> kernel_sets();

/// Those of a table that run here, best first; of kernel_sets() at least one.
std::vector<const KernelSet*> usable_kernel_sets(std::span<const KernelSet> table = kernel_sets());

/// The set of this name, or for "fast" the best one, of those that run here and take weights of
/// this format; null where there is none.
const KernelSet* usable_kernel_set(std::string_view name, WeightFormat format,
                                   std::span<const KernelSet> table = kernel_sets());

/// Rows packed for a set: x itself, which must outlive this, or a packed copy.
class PackedRows {
 public:
  PackedRows(const KernelSet& set, const std::uint16_t* x, std::int64_t n_rows, std::int64_t n_in);
  /// From row `first`, a multiple of the set's group, on.
  const std::uint16_t* from(std::int64_t first) const {
    return values_ + packed_values(*set_, first, n_in_);
  }

 private:
  const KernelSet* set_;
  std::int64_t n_in_;
  const std::uint16_t* values_;
  std::vector<std::uint16_t> copy_;
};

/// While it lives, this thread may call the set's `linear`.
class KernelScope {
 public:
  explicit KernelScope(const KernelSet& set) : set_(set) {
    if (set_.enter != nullptr) set_.enter();
  }
  ~KernelScope() {
    if (set_.leave != nullptr) set_.leave();
  }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  const KernelSet& set_;
};

/// Rounds to nearest, ties to even; NaN stays NaN.
void round_to_bf16(const float* x, std::int64_t n, std::uint16_t* out);
/// The same, back in float32.
void round_through_bf16(float* x, std::int64_t n);

}  // namespace moexray::kernels
