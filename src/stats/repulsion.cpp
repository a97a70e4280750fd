#include "repulsion.h"

#include "repulsion_sums.h"

namespace moexray::stats {

Repulsion repulsion(const float* x, const float* y, int n, int i) {
  static const auto sums = [] {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return repulsion_avx2;
#endif
    return repulsion_portable;
  }();
  return sums(x, y, n, i);
}

Repulsion repulsion_portable(const float* x, const float* y, int n, int i) {
  return repulsion_sums<4>(x, y, n, i);
}

}  // namespace moexray::stats
