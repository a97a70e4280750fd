#include "unit_loads.h"

#include "moexray/stats/units.h"

namespace moexray::stats {

UnitLoads unit_loads(const Signatures& signatures, std::span<const std::string> groups) {
  const Units units = units_without_categories(signatures.ids, groups);
  const Eigen::Index n_layers = signatures.shape.n_layers;
  const Eigen::Index n_experts = signatures.shape.n_experts;
  UnitLoads loads{Matrix::Zero(static_cast<Eigen::Index>(units.size()), n_layers * n_experts),
                  Matrix::Zero(static_cast<Eigen::Index>(units.size()), n_layers), units.grouped};
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    const Eigen::Index unit = units.of_prompt[i];
    for (Eigen::Index layer = 0; layer < n_layers; ++layer) {
      // Shares times their sums miss the integers they come from by rounding errors.
      loads.counts.row(unit).segment(layer * n_experts, n_experts) +=
          (signatures.layer_sums(row, layer) *
           signatures.values.row(row).segment(layer * n_experts, n_experts))
              .array()
              .round()
              .matrix();
      loads.tokens(unit, layer) += signatures.shape.top_k > 0
                                       ? static_cast<double>(signatures.layer_tokens(row, layer))
                                       : signatures.layer_sums(row, layer);
    }
  }
  return loads;
}

}  // namespace moexray::stats
