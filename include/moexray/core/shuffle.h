#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "moexray/core/random.h"

namespace moexray {

/// Puts the values in an order of which all are equally likely (Fisher and Yates).
template <typename T>
void shuffle(std::vector<T>& values, RandomStream& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.below(i)]);
  }
}

}  // namespace moexray
