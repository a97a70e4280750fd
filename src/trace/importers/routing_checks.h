#pragma once

#include <span>
#include <string>
#include <vector>

#include "trace/id_array.h"

namespace moexray::imports {

using trace::IdArray;
using trace::Item;

/// Which layers of an array are imported, and which have to be zero because they have no experts.
struct LayerMap {
  std::vector<int> kept;   ///< indices into the array's layers
  std::vector<int> dense;  ///< likewise
  std::vector<int>
      numbers;  ///< of the kept ones, for messages and flags: transformer layers if named
};

/// What the checks found that is no error.
struct RoutingFindings {
  /// Positions without routing: zeros or padding at every layer, or a mark for missing rows. The
  /// prompt can be left out, not imported.
  std::string hole;
  std::string warning;  ///< rows that repeat
  std::string notice;
};

/// Checks the ids of a prompt: in range, distinct in a row, no layer without routing, no rows of
/// zeros, of padding (0, 1, …, k − 1 at every layer) or of −1; zeros and nothing else at layers
/// without experts. Weights have to be finite and not negative.
/// @param weights [tokens, layers, k] as `ids`, or empty
/// @param first_pos the position of the first row, for messages
/// @param is_own they were checked when they became a trace, and what may be a hole of another
///        source is none: zeros and padding may be chance
/// @throws Error (data) for everything but holes.
RoutingFindings check_routing(const IdArray& ids, std::span<const float> weights,
                              const LayerMap& layers, int n_experts, std::int64_t first_pos,
                              const std::string& where, bool is_own = false);

}  // namespace moexray::imports
