#include "memory.h"

#include <malloc.h>

#include <limits>

namespace moexray::torch_runtime {

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

}  // namespace moexray::torch_runtime
