#include "moexray/stats/router_outputs.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "moexray/core/error.h"

namespace moexray::stats {

RouterOutputAccumulator::RouterOutputAccumulator(const RoutingShape& shape, std::size_t n_prompts,
                                                 Selection selection)
    : shape_(shape),
      selection_(std::move(selection)),
      probabilities_(Matrix::Zero(static_cast<Eigen::Index>(n_prompts),
                                  static_cast<Eigen::Index>(shape.n_layers) * shape.n_experts)),
      squares_(Matrix::Zero(probabilities_.rows(), shape.n_layers)),
      tokens_(Matrix::Zero(probabilities_.rows(), shape.n_layers)) {}

void RouterOutputAccumulator::add(std::size_t prompt, const RoutingRecord& record,
                                  std::span<const float> logits) {
  const auto row = static_cast<Eigen::Index>(prompt);
  const auto n_experts = static_cast<std::size_t>(shape_.n_experts);
  if (row >= tokens_.rows() || record.layer < 0 || record.layer >= shape_.n_layers ||
      logits.size() != n_experts ||
      !std::all_of(logits.begin(), logits.end(), [](float z) { return std::isfinite(z); })) {
    throw Error(ErrorKind::data,
                {"router logits do not fit", "layer " + std::to_string(record.layer),
                 std::to_string(n_experts) + " finite numbers",
                 std::to_string(logits.size()) + " of them"});
  }
  if (!selection_.counts(record)) return;
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float z : logits) sum += std::exp(z - largest);
  const double log_sum = largest + std::log(sum);
  auto own = probabilities_.row(row).segment(
      static_cast<Eigen::Index>(record.layer) * shape_.n_experts, shape_.n_experts);
  for (std::size_t e = 0; e < n_experts; ++e) {
    own(static_cast<Eigen::Index>(e)) += std::exp(logits[e] - log_sum);
  }
  squares_(row, record.layer) += log_sum * log_sum;
  tokens_(row, record.layer) += 1;
}

RouterOutputs RouterOutputAccumulator::finish(const Signatures& signatures) const {
  RouterOutputs result{Matrix::Zero(shape_.n_layers, shape_.n_experts),
                       Vector::Zero(shape_.n_layers)};
  Vector n_tokens = Vector::Zero(shape_.n_layers);
  for (const std::size_t prompt : signatures.prompt_indices) {
    const auto row = static_cast<Eigen::Index>(prompt);
    for (Eigen::Index layer = 0; layer < shape_.n_layers; ++layer) {
      result.probabilities.row(layer) +=
          probabilities_.row(row).segment(layer * shape_.n_experts, shape_.n_experts);
    }
    result.z_loss += squares_.row(row).transpose();
    n_tokens += tokens_.row(row).transpose();
  }
  result.probabilities.array().colwise() /= n_tokens.array();
  result.z_loss.array() /= n_tokens.array();
  return result;
}

}  // namespace moexray::stats
