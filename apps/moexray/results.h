#pragma once

#include <memory>
#include <utility>

#include "moexray/stats/baselines.h"
#include "moexray/stats/classify.h"
#include "moexray/stats/confounds.h"
#include "moexray/stats/expert_categories.h"
#include "moexray/stats/experts.h"
#include "moexray/stats/inference.h"
#include "moexray/stats/information.h"
#include "moexray/stats/layer_inference.h"
#include "moexray/stats/layers.h"
#include "moexray/stats/pca.h"
#include "moexray/stats/similarity.h"
#include "moexray/stats/tsne.h"

namespace moexray::app {

/// What analyses found, as they computed it: for what is said of several together (the verdict and
/// the page). A section fills in its own; null where an analysis was not run or was left out.
struct Results {
  std::shared_ptr<const stats::SimilarityResult> similarity;
  std::shared_ptr<const stats::BaselinesResult> baselines;
  std::shared_ptr<const stats::LayersResult> layers;
  std::shared_ptr<const stats::LayerInference> layer_inference;
  std::shared_ptr<const stats::InferenceResult> inference;
  std::shared_ptr<const stats::PcaResult> pca;
  std::shared_ptr<const stats::TsneResult> tsne;
  std::shared_ptr<const stats::ClassifyResult> classify;
  std::shared_ptr<const stats::ConfoundsResult> confounds;
  std::shared_ptr<const stats::InformationResult> information;
  std::shared_ptr<const stats::ExpertsResult> experts;  ///< load
  /// Which experts the categories use more or less than others.
  std::shared_ptr<const stats::ExpertCategoriesResult> expert_categories;

  /// Takes over what `other` has.
  void merge(const Results& other) {
    const auto take = [](auto& mine, const auto& theirs) {
      if (theirs != nullptr) mine = theirs;
    };
    take(similarity, other.similarity);
    take(baselines, other.baselines);
    take(layers, other.layers);
    take(layer_inference, other.layer_inference);
    take(inference, other.inference);
    take(pca, other.pca);
    take(tsne, other.tsne);
    take(classify, other.classify);
    take(confounds, other.confounds);
    take(information, other.information);
    take(experts, other.experts);
    take(expert_categories, other.expert_categories);
  }
};

/// The result as a Section holds it.
template <typename Result>
std::shared_ptr<const Result> kept(Result result) {
  return std::make_shared<const Result>(std::move(result));
}

}  // namespace moexray::app
