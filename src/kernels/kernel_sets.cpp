#include "kernel_sets.h"

#include <iterator>

#include "bf16_products.h"
#include "processor.h"

namespace moexray::kernels {
namespace {

bool always() { return true; }

// Best first.
constexpr KernelSet table[] = {
#if defined(__x86_64__)
    {"amx_bf16", "bf16-amx", has_amx_bf16, enter_amx, leave_amx, amx_rows, 64, pack_amx,
     linear_amx_bf16},
    {"avx512_bf16", "bf16-avx512", has_avx512_bf16, nullptr, nullptr, 1, 48, nullptr,
     linear_avx512_bf16},
    {"avx512", "bf16-fma", has_avx512, nullptr, nullptr, 1, 48, nullptr, linear_widened_avx512},
    {"avx2", "bf16-fma", has_avx2, nullptr, nullptr, 1, 48, nullptr, linear_widened_avx2},
#endif
    {"portable", "bf16-portable", always, nullptr, nullptr, 1, 48, nullptr,
     linear_widened_portable},
};

}  // namespace

std::span<const KernelSet> kernel_sets() { return table; }

std::span<const KernelSet* const> usable_kernel_sets() {
  static const std::vector<const KernelSet*> usable = [] {
    std::vector<const KernelSet*> sets;
    for (const KernelSet& set : table) {
      if (set.usable()) sets.push_back(&set);
    }
    return sets;
  }();
  return usable;
}

const KernelSet* usable_kernel_set(std::string_view name) {
  for (const KernelSet* set : usable_kernel_sets()) {
    if (name == "fast" || name == set->name) return set;
  }
  return nullptr;
}

std::int64_t packed_values(const KernelSet& set, std::int64_t n_rows, std::int64_t n_in) {
  if (set.pack == nullptr) return n_rows * n_in;
  const std::int64_t n_groups = (n_rows + set.group - 1) / set.group;
  return n_groups * set.group * ((n_in + amx_step - 1) / amx_step * amx_step);
}

PackedRows::PackedRows(const KernelSet& set, const std::uint16_t* x, std::int64_t n_rows,
                       std::int64_t n_in)
    : set_(&set), n_in_(n_in), values_(x) {
  if (set.pack == nullptr) return;
  copy_.resize(static_cast<std::size_t>(packed_values(set, n_rows, n_in)));
  set.pack(x, n_rows, n_in, copy_.data());
  values_ = copy_.data();
}

}  // namespace moexray::kernels
