#include "repulsion_sums.h"

namespace moexray::stats {

Repulsion repulsion_avx2(const float* x, const float* y, int n, int i) {
  return repulsion_sums<8>(x, y, n, i);
}

}  // namespace moexray::stats
