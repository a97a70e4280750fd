#pragma once

#include "moexray/checkpoint/checkpoint.h"

namespace moexray::bench {

/// What this machine can do at most at this moment, with all threads.
struct MachineLimits {
  double read_rate = 0;      ///< bytes a second, from the checkpoint's mapped weights
  double multiply_rate = 0;  ///< 2 · multiply-adds a second of the best instructions
};

MachineLimits measure_machine_limits(const Checkpoint& checkpoint);

}  // namespace moexray::bench
