#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "moexray/report/number.h"

namespace moexray::app {

/// A p-value with the decimals that so many draws support.
inline std::string p_value_text(double p_value, int n_draws) {
  const int n_decimals = static_cast<int>(std::ceil(std::log10(n_draws + 1.0)));
  return report::fixed(p_value, std::max(n_decimals, 2));
}

}  // namespace moexray::app
