#include "stats_json.h"

#include <cmath>
#include <string>
#include <utility>

#include "compared_text.h"

namespace moexray::app {
namespace {

using report::Json;
using stats::IntervalEstimate;

Json estimate_json(const IntervalEstimate& estimate, bool calibrated = true) {
  Json result = Json::object({{"estimate", estimate.estimate}});
  if (!estimate.has_interval()) {
    result.set("ci95", Json());
    result.set("method", Json());
    result.set("reason", estimate.reason);
    return result;
  }
  Json::Array interval;
  interval.emplace_back(estimate.low);
  interval.emplace_back(estimate.high);
  result.set("ci95", std::move(interval));
  result.set("method", estimate.method + (calibrated ? "" : ", not calibrated"));
  return result;
}

Json by_kind(const stats::ExpectedSimilarity& expected) {
  return Json::object(
      {{"within", expected.within}, {"across", expected.across}, {"all", expected.all}});
}

Json pairs_json(const stats::PairStatistics& pairs) {
  return Json::object({{"mean", pairs.mean}, {"std", pairs.std}, {"n_pairs", pairs.n_pairs}});
}

Json draws_json(const stats::OverDraws& draws) {
  return Json::object({{"mean", draws.mean}, {"std", draws.std}});
}

Json layers_json(const stats::InferenceResult& result) {
  Json::Array layers;
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    layers.push_back(Json::object({{"layer", i},
                                   {"tested_d", result.layers[i].cohens_d},
                                   {"p_adjusted", result.layers[i].p_adjusted}}));
  }
  return layers;
}

Json corrected_json(const stats::NoiseCorrectedResult& corrected) {
  return Json::object(
      {{"within", pairs_json(corrected.within)},
       {"across", pairs_json(corrected.across)},
       {"gap", corrected.gap},
       {"uniform_excess", corrected.uniform_excess},
       {"assumes", "independent tokens"},
       {"n_prompts", corrected.n_prompts},
       {"n_too_few_tokens", corrected.n_too_few_tokens},
       {"n_without_norm", corrected.n_without_norm},
       {"categories_without_prompts", Json::array(corrected.empty_categories)},
       {"n_shared_prefix", corrected.n_shared_prefix},
       {"split_half", Json::object({{"cosine", corrected.split_half.cosine},
                                    {"corrected", corrected.split_half.corrected},
                                    {"n_prompts", corrected.split_half.n_prompts}})}});
}

Json rarefied_json(const stats::RarefactionResult& rarefied) {
  return Json::object({{"n_tokens", rarefied.n_tokens},
                       {"draws", rarefied.n_draws},
                       {"n_prompts", rarefied.n_prompts},
                       {"n_too_few_tokens", rarefied.n_too_few_tokens},
                       {"categories_without_prompts", Json::array(rarefied.empty_categories)},
                       {"within", draws_json(rarefied.within)},
                       {"across", draws_json(rarefied.across)},
                       {"gap", draws_json(rarefied.gap)},
                       {"cohens_d", draws_json(rarefied.cohens_d)}});
}

Json duplicates_json(const stats::NearDuplicates& duplicates, const stats::Signatures& signatures) {
  Json::Array pairs;
  for (const stats::NearDuplicate& pair : duplicates.pairs) {
    Json::Array ids;
    ids.emplace_back(signatures.ids[pair.row]);
    ids.emplace_back(signatures.ids[pair.other]);
    pairs.push_back(Json::object({{"ids", std::move(ids)},
                                  {"similarity", pair.similarity},
                                  {"equal_text", pair.equal_text}}));
  }
  return Json::object({{"n_pairs", duplicates.n_pairs}, {"pairs", std::move(pairs)}});
}

Json nulls_json(const stats::InferenceResult& result) {
  Json popularity = by_kind(result.popularity.simulated);
  popularity.set("draw_std", result.popularity.draw_std);
  popularity.set("draws", result.popularity.n_draws);
  popularity.set("expected", by_kind(result.popularity.expected));
  return Json::object(
      {{"uniform", by_kind(result.uniform)}, {"popularity", std::move(popularity)}});
}

}  // namespace

Json stats_json(const stats::InferenceResult& result, const stats::ComparedPrompts& compared,
                const stats::Signatures& signatures) {
  const stats::BootstrapResult& b = result.bootstrap;
  const stats::LocationTests& location = result.location;
  const stats::PermutationTest& dispersion = result.dispersion.f;
  Json json = Json::object(
      {{"units", Json::object({{"n", result.n_units},
                               {"grouped", result.grouped},
                               {"nested", result.nested},
                               {"smallest_p_value", result.smallest_p_value}})},
       {"bootstrap", Json::object({{"within", estimate_json(b.within)},
                                   {"across", estimate_json(b.across)},
                                   {"gap", estimate_json(b.gap)},
                                   {"cohens_d", estimate_json(b.cohens_d)},
                                   {"auc", estimate_json(b.auc, b.auc_calibrated)},
                                   {"resamples", b.n_resamples}})},
       {"balanced", Json::object({{"within", estimate_json(b.balanced_within)},
                                  {"across", estimate_json(b.balanced_across)},
                                  {"gap", estimate_json(b.balanced_gap)}})},
       {"permutation", Json::object({{"gap", location.gap.statistic},
                                     {"p_value", location.gap.p_value},
                                     {"draws", location.gap.n_draws}})},
       {"permanova", Json::object({{"f", location.permanova.statistic},
                                   {"r2", location.r_squared},
                                   {"p_value", location.permanova.p_value},
                                   {"is_location", result.permanova_is_location}})},
       {"permdisp", Json::object({{"f", dispersion.statistic}, {"p_value", dispersion.p_value}})},
       {"lengths", Json::object({{"f", result.lengths.f.statistic},
                                 {"p_value", result.lengths.f.p_value},
                                 {"mean_tokens", Json::array(result.lengths.mean_tokens)}})},
       {"layers", layers_json(result)},
       {"nulls", nulls_json(result)},
       {"noise_corrected", corrected_json(result.noise_corrected)},
       {"rarefied", rarefied_json(result.rarefied)},
       {"near_duplicates", duplicates_json(result.near_duplicates, signatures)},
       {"notices", Json::array(result.notices)}});
  add_compared(compared, json);
  return json;
}

}  // namespace moexray::app
