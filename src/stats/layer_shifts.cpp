#include <algorithm>
#include <cmath>

#include "layer_sums.h"
#include "moexray/stats/agreement.h"
#include "moexray/stats/rates.h"

namespace moexray::stats {
namespace {

// Prompts from all over that have some 20,000 tokens, or all.
Alignment some_prompts(const Alignment& alignment) {
  const std::size_t every = alignment.n_tokens / 20'000 + 1;
  Alignment some;
  some.n_units = alignment.n_units;
  for (std::size_t i = 0; i < alignment.prompts.size(); i += every) {
    some.n_tokens += alignment.prompts[i].tokens.size();
    some.prompts.push_back(alignment.prompts[i]);
  }
  return some;
}

}  // namespace

std::vector<LayerShift> layer_shifts(const RoutedTokens& first, const RoutedTokens& second,
                                     const Alignment& alignment) {
  check_shapes(first, second);
  constexpr int most = 3;
  const int n_layers = first.shape.n_layers;
  const Alignment some = some_prompts(alignment);
  const auto unit_sums = [&](int layer, int shift) {
    return LayerSums(first, second, some, layer, layer + shift).of_counts().same_prompt.sums;
  };
  const auto add = [](const UnitSums& of_layer, UnitSums& sums) {
    for (std::size_t u = 0; u < sums.size(); ++u) {
      sums[u].count += of_layer[u].count;
      sums[u].tokens += of_layer[u].tokens;
    }
  };
  std::vector<UnitSums> unshifted;
  for (int layer = 0; layer < n_layers; ++layer) unshifted.push_back(unit_sums(layer, 0));
  std::vector<LayerShift> shifts;
  for (int shift = -most; shift <= most; ++shift) {
    if (std::abs(shift) >= n_layers) continue;
    UnitSums own(alignment.n_units);
    UnitSums of_none(alignment.n_units);  // over the same layers of the first
    for (int layer = 0; layer < n_layers; ++layer) {
      if (layer + shift < 0 || layer + shift >= n_layers) continue;
      add(unshifted[static_cast<std::size_t>(layer)], of_none);
      add(shift == 0 ? unshifted[static_cast<std::size_t>(layer)] : unit_sums(layer, shift), own);
    }
    LayerShift result{.shift = shift, .kappa = 1 - clustered_rate(own).estimate};
    if (shift != 0) result.t = -paired_contrast(own, of_none).t;
    shifts.push_back(result);
  }
  return shifts;
}

int winning_shift(std::span<const LayerShift> shifts) {
  const auto none =
      std::find_if(shifts.begin(), shifts.end(), [](const LayerShift& s) { return s.shift == 0; });
  if (none == shifts.end()) return 0;
  const LayerShift* best = &*none;
  for (const LayerShift& shift : shifts) {
    if (shift.t > 5 && shift.kappa > none->kappa + 0.1 && shift.kappa > best->kappa) best = &shift;
  }
  return best->shift;
}

}  // namespace moexray::stats
