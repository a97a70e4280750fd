#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moexray/stats/confounds.h"
#include "nested_repetitions.h"
#include "type_routing.h"

namespace moexray::stats {

/// Features that a classifier can be given in place of the signature.
struct FeatureSet {
  std::string name;   ///< in files
  std::string title;  ///< for people
  RepetitionFeatures features;
  double coverage = undefined;  ///< mean share of a held-out prompt's tokens that were used
  std::string left_out;         ///< why it cannot be had; empty: it can
};

/// How all of these are classified.
PipelineOptions confounds_pipeline();

/// Columns that need no training, standardised.
FeatureMaker plain_features(std::shared_ptr<const Matrix> values);

/// The signatures themselves, which must outlive the maker.
FeatureMaker signature_features(const Signatures& signatures);

/// The share of each expert over the tokens for which `counts(token)` is true, [n, L·E]; null if
/// some prompt has none.
template <typename Predicate>
std::shared_ptr<const Matrix> signatures_of(const RoutedTokens& tokens, Predicate counts) {
  const RoutingShape& shape = tokens.shape;
  auto values = std::make_shared<Matrix>(
      Matrix::Zero(static_cast<Eigen::Index>(tokens.n_prompts()),
                   static_cast<Eigen::Index>(shape.n_layers) * shape.n_experts));
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) {
    auto row = values->row(static_cast<Eigen::Index>(i));
    double n = 0;
    for (std::size_t t = tokens.first[i]; t < tokens.first[i + 1]; ++t) {
      if (!counts(t)) continue;
      n += 1;
      for (int layer = 0; layer < shape.n_layers; ++layer) {
        for (const std::uint16_t expert : tokens.at(t, layer)) {
          row(layer * shape.n_experts + expert) += 1;
        }
      }
    }
    if (n == 0) return nullptr;
    row /= n * shape.top_k;
  }
  return values;
}

/// All feature sets in the order in which they are shown.
/// @param types null: the tokens have no ids
std::vector<FeatureSet> feature_sets(const Signatures& signatures, const RoutedTokens& tokens,
                                     const std::shared_ptr<const TypeRouting>& types,
                                     const std::vector<int>& folds,
                                     const ConfoundsOptions& options);

}  // namespace moexray::stats
