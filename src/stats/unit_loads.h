#pragma once

#include <span>
#include <string>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// What every unit selects over its selected tokens.
struct UnitLoads {
  Matrix counts;  ///< [units, L·E]
  Matrix tokens;  ///< [units, L]; where k is not known, selections: as if it were 1
  bool grouped = false;
};

/// @param groups [n], or empty: every prompt is a unit
UnitLoads unit_loads(const Signatures& signatures, std::span<const std::string> groups);

}  // namespace moexray::stats
