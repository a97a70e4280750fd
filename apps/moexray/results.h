#pragma once

#include <memory>
#include <string>
#include <utility>

#include "moexray/stats/accuracy_test.h"
#include "moexray/stats/baselines.h"
#include "moexray/stats/classify.h"
#include "moexray/stats/confounds.h"
#include "moexray/stats/crossed.h"
#include "moexray/stats/expert_categories.h"
#include "moexray/stats/experts.h"
#include "moexray/stats/inference.h"
#include "moexray/stats/layers.h"
#include "moexray/stats/random_routers.h"
#include "moexray/stats/similarity.h"

namespace moexray::app {

struct Verdict;

/// Categories crossed with another property of the prompts.
struct CrossedResult {
  std::string key;    ///< "meta.topic"
  std::string units;  ///< "meta.wording"
  stats::CrossedTests tests;
};

/// What analyses found, as they computed it: for what is said of several together (the verdict, the
/// summary, the first numbers of the page). A section fills in its own; null where an analysis was
/// not run or was left out. One of which nothing is said beside others has no place here.
struct Results {
  std::shared_ptr<const stats::SimilarityResult> similarity;
  std::shared_ptr<const stats::BaselinesResult> baselines;
  std::shared_ptr<const stats::LayersResult> layers;
  std::shared_ptr<const stats::InferenceResult> inference;
  std::shared_ptr<const stats::ClassifyResult> classify;
  std::shared_ptr<const stats::AccuracyTest> accuracy_test;
  std::shared_ptr<const stats::ConfoundsResult> confounds;
  std::shared_ptr<const stats::ExpertsResult> experts;  ///< load
  /// Which experts the categories use more or less than others.
  std::shared_ptr<const stats::ExpertCategoriesResult> expert_categories;
  std::shared_ptr<const CrossedResult> crossed;
  std::shared_ptr<const stats::RandomRoutersResult> random_routers;
  std::shared_ptr<const Verdict> verdict;  ///< on all of them

  /// Takes over what `other` has.
  void merge(const Results& other) {
    const auto take = [](auto& mine, const auto& theirs) {
      if (theirs != nullptr) mine = theirs;
    };
    take(similarity, other.similarity);
    take(baselines, other.baselines);
    take(layers, other.layers);
    take(inference, other.inference);
    take(classify, other.classify);
    take(accuracy_test, other.accuracy_test);
    take(confounds, other.confounds);
    take(experts, other.experts);
    take(expert_categories, other.expert_categories);
    take(crossed, other.crossed);
    take(random_routers, other.random_routers);
    take(verdict, other.verdict);
  }
};

/// The result as a Section holds it.
template <typename Result>
std::shared_ptr<const Result> kept(Result result) {
  return std::make_shared<const Result>(std::move(result));
}

}  // namespace moexray::app
