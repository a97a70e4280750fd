#include "kernel_sets.h"

#include "bf16_products.h"
#include "processor.h"

namespace moexray::kernels {
namespace {

bool always() { return true; }
bool takes_bfloat16(WeightFormat format) { return format == WeightFormat::bfloat16; }

// Best first.
constexpr KernelSet built_in[] = {
#if defined(__x86_64__)
    {"amx_bf16", "bf16-amx", has_amx_bf16, takes_bfloat16, enter_amx, leave_amx, amx_rows, amx_step,
     64, pack_amx, linear_amx_bf16},
    {"avx512_bf16", "bf16-avx512", has_avx512_bf16, takes_bfloat16, nullptr, nullptr, 1, 1, 48,
     nullptr, linear_avx512_bf16},
    {"avx512", "bf16-fma", has_avx512, takes_bfloat16, nullptr, nullptr, 1, 1, 48, nullptr,
     linear_widened_avx512},
    {"avx2", "bf16-fma", has_avx2, takes_bfloat16, nullptr, nullptr, 1, 1, 48, nullptr,
     linear_avx2_bf16},
#endif
    {"portable", "bf16-portable", always, takes_bfloat16, nullptr, nullptr, 1, 1, 48, nullptr,
     linear_widened_portable},
};

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

std::span<const KernelSet> kernel_sets() { return built_in; }

std::vector<const KernelSet*> usable_kernel_sets(std::span<const KernelSet> table) {
  std::vector<const KernelSet*> usable;
  for (const KernelSet& set : table) {
    if (set.usable()) usable.push_back(&set);
  }
  return usable;
}

const KernelSet* usable_kernel_set(std::string_view name, WeightFormat format,
                                   std::span<const KernelSet> table) {
  for (const KernelSet& set : table) {
    const bool is_meant = name == "fast" || name == set.name;
    if (is_meant && set.takes(format) && set.usable()) return &set;
  }
  return nullptr;
}

std::int64_t packed_values(const KernelSet& set, std::int64_t n_rows, std::int64_t n_in) {
  if (set.pack == nullptr) return n_rows * n_in;
  return rounded_up(n_rows, set.group) * rounded_up(n_in, set.step);
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
