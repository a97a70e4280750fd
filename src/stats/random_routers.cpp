#include "moexray/stats/random_routers.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "calibrated_pipeline.h"
#include "feature_sets.h"
#include "moexray/core/error.h"
#include "moexray/stats/experts.h"
#include "moexray/stats/folds.h"
#include "moexray/stats/rates.h"
#include "moexray/stats/similarity.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

// Sums of 1 − similarity over the pairs of prompts of different units.
struct Distances {
  double all = 0;
  double n_all = 0;
  std::vector<double> within, n_within;  // [K]
  std::vector<double> n_prompts;         // [K]

  explicit Distances(std::size_t n_categories)
      : within(n_categories), n_within(n_categories), n_prompts(n_categories) {}

  // 1 − W/T; undefined where a category has no pair.
  double r_squared() const {
    double w = 0, weight = 0;
    for (std::size_t c = 0; c < within.size(); ++c) {
      if (n_within[c] < 0.5) return undefined;
      w += (n_prompts[c] - 1) * within[c] / n_within[c];
      weight += n_prompts[c] - 1;
    }
    const double total = all / n_all;
    return total > 1e-12 ? 1 - w / weight / total : undefined;
  }
};

// r_squared, and what it is without each unit.
void separate_variance(const Matrix& similarity, const CategoryIndex& categories,
                       const Units& units, RouterScores& scores) {
  const std::size_t n_categories = categories.names.size();
  Distances total(n_categories);
  std::vector<Distances> of_unit(units.size(), Distances(n_categories));
  const auto n = static_cast<std::size_t>(similarity.rows());
  for (std::size_t i = 0; i < n; ++i) {
    const auto c = static_cast<std::size_t>(categories.of_prompt[i]);
    const auto u = static_cast<std::size_t>(units.of_prompt[i]);
    total.n_prompts[c] += 1;
    of_unit[u].n_prompts[c] += 1;
    for (std::size_t j = 0; j < i; ++j) {
      const auto v = static_cast<std::size_t>(units.of_prompt[j]);
      if (u == v) continue;
      const double distance =
          1 - similarity(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
      const bool is_within = categories.of_prompt[i] == categories.of_prompt[j];
      for (Distances* sums : {&total, &of_unit[u], &of_unit[v]}) {
        sums->all += distance;
        sums->n_all += 1;
        if (!is_within) continue;
        sums->within[c] += distance;
        sums->n_within[c] += 1;
      }
    }
  }
  scores.r_squared = total.r_squared();
  scores.r_squared_without = Vector(static_cast<Eigen::Index>(units.size()));
  for (std::size_t u = 0; u < units.size(); ++u) {
    Distances rest = total;
    rest.all -= of_unit[u].all;
    rest.n_all -= of_unit[u].n_all;
    for (std::size_t c = 0; c < n_categories; ++c) {
      rest.within[c] -= of_unit[u].within[c];
      rest.n_within[c] -= of_unit[u].n_within[c];
      rest.n_prompts[c] -= of_unit[u].n_prompts[c];
    }
    scores.r_squared_without(static_cast<Eigen::Index>(u)) = rest.r_squared();
  }
}

// Held-out predictions, averaged over divisions into folds. Nothing where the design allows none.
void classify_held_out(const ComparedPrompts& compared, const Signatures& signatures,
                       const RouterScoresOptions& options, RouterScores& scores) {
  if (options.n_divisions == 0) return;
  const PipelineOptions pipeline = calibrated_pipeline();
  const CategoryIndex& categories = compared.categories;
  const FeatureMaker features = signature_features(signatures);
  const auto n = static_cast<double>(signatures.size());
  double entropy = 0;
  for (const std::int64_t size : categories.n_prompts) {
    const double share = static_cast<double>(size) / n;
    entropy -= share * std::log2(share);
  }
  Vector bits = Vector::Zero(static_cast<Eigen::Index>(compared.units.size()));
  double n_right = 0;
  for (int division = 0; division < options.n_divisions; ++division) {
    std::vector<int> folds;
    try {
      folds = grouped_folds(signatures.ids, categories, compared.units, options.n_folds,
                            options.seed + static_cast<std::uint64_t>(division));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      return;  // fewer units than folds
    }
    FoldModels models(features, categories.of_prompt, static_cast<int>(categories.names.size()),
                      folds, options.n_folds, pipeline);
    for (int fold = 0; fold < options.n_folds; ++fold) {
      const HeldOut held_out = models.predict(FoldSet{1} << fold);
      for (std::size_t i = 0; i < held_out.rows.size(); ++i) {
        const auto row = static_cast<std::size_t>(held_out.rows[i]);
        const Eigen::RowVectorXd p = held_out.probabilities.row(static_cast<Eigen::Index>(i));
        const int label = categories.of_prompt[row];
        n_right += 1 - error_loss(p, label);
        bits(compared.units.of_prompt[row]) += entropy - log_loss_bits(p, label);
      }
    }
  }
  // A unit's mean, so that the mean of all units with their sizes as weights is that of prompts.
  scores.accuracy = n_right / n / options.n_divisions;
  scores.bits = bits.sum() / n / options.n_divisions;
  for (std::size_t u = 0; u < compared.units.size(); ++u) {
    bits(static_cast<Eigen::Index>(u)) /=
        static_cast<double>(compared.units.members[u].size()) * options.n_divisions;
  }
  scores.unit_bits = std::move(bits);
}

constexpr std::array score_members = {&RouterScores::gap,       &RouterScores::cohens_d,
                                      &RouterScores::r_squared, &RouterScores::accuracy,
                                      &RouterScores::bits,      &RouterScores::load_cv};

std::string kind_of(const std::string& router) {
  return router.starts_with("router:") ? router : router.substr(0, router.find(':'));
}

std::vector<RouterFamily> families_of(const RandomRoutersResult& result, const Units& units) {
  std::vector<RouterFamily> families;
  for (std::size_t i = 0; i < result.watched.size(); ++i) {
    const WatchedRouter& own = result.watched[i];
    const auto found = std::find_if(families.begin(), families.end(), [&](const auto& family) {
      return family.kind == kind_of(own.router) && family.form == own.form;
    });
    RouterFamily& family = found != families.end() ? *found : families.emplace_back();
    family.kind = kind_of(own.router);
    family.form = own.form;
    family.members.push_back(i);
  }
  for (RouterFamily& family : families) {
    const auto values_of = [&](auto member) {
      std::vector<double> values;
      for (const std::size_t i : family.members) values.push_back(result.scores[i].*member);
      return values;
    };
    for (const auto member : score_members) {
      const auto [mean, sd] = mean_and_sd(values_of(member));
      family.mean.*member = mean;
      family.sd.*member = sd;
    }
    const auto contrast = [&](double RouterScores::* member, auto without_of) {
      std::vector<Vector> without;
      for (const std::size_t i : family.members) without.push_back(without_of(result.scores[i]));
      return router_contrast(result.trained.*member, without_of(result.trained), values_of(member),
                             without, units);
    };
    family.r_squared = contrast(&RouterScores::r_squared, [](const RouterScores& scores) {
      return scores.r_squared_without;
    });
    family.bits = contrast(&RouterScores::bits, [](const RouterScores& scores) {
      return means_without(scores.unit_bits);
    });
    family.cohens_d =
        contrast(&RouterScores::cohens_d, [](const RouterScores&) { return Vector(); });
  }
  return families;
}

// Why there is no verdict; empty: there is one.
std::string nothing_to_judge(const RandomRoutersResult& result) {
  if (result.verdict_family < 0) return "no load-matched random router watched";
  const RouterFamily& family = result.families[static_cast<std::size_t>(result.verdict_family)];
  if (family.members.size() < min_random_routers) {
    return std::to_string(family.members.size()) + " random routers watched, fewer than " +
           std::to_string(min_random_routers);
  }
  if (std::isnan(family.r_squared.ci95[0])) return "the variance between categories is not defined";
  return {};
}

constexpr std::size_t min_router_units = 5;

// Why scores cannot be compared at all; empty: they can.
std::string nothing_to_score(const ComparedPrompts& compared) {
  if (!compared.comparable()) return compared.check.reason;
  std::vector<std::vector<bool>> seen(compared.categories.names.size(),
                                      std::vector<bool>(compared.units.size()));
  for (std::size_t i = 0; i < compared.categories.of_prompt.size(); ++i) {
    seen[static_cast<std::size_t>(compared.categories.of_prompt[i])]
        [static_cast<std::size_t>(compared.units.of_prompt[i])] = true;
  }
  for (std::size_t c = 0; c < seen.size(); ++c) {
    const auto n = static_cast<std::size_t>(std::count(seen[c].begin(), seen[c].end(), true));
    if (n >= min_router_units) continue;
    return "category \"" + compared.categories.names[c] + "\" has " + std::to_string(n) +
           (compared.units.grouped ? " groups" : " prompts") + ", fewer than " +
           std::to_string(min_router_units);
  }
  return {};
}

}  // namespace

std::array<double, 2> mean_and_sd(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  const auto n = static_cast<double>(values.size());
  const double mean = sum / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1)) : undefined};
}

RouterScores router_scores(const ComparedPrompts& compared, const Signatures& signatures,
                           const Signatures& selected, const RouterScoresOptions& options) {
  RouterScores scores;
  const Matrix blocks = unit_blocks(signatures);
  const WithinAcross pairs = pair_statistics(blocks, compared.categories);
  scores.gap = pairs.within.mean - pairs.across.mean;
  scores.cohens_d = cohens_d(pairs.within, pairs.across);
  separate_variance(pair_similarity(blocks), compared.categories, compared.units, scores);
  classify_held_out(compared, signatures, options, scores);
  const ExpertsResult usage = expert_usage(selected, {});
  scores.load_cv = 0;
  for (const LayerLoad& layer : usage.layers) {
    scores.load_cv += layer.load_cv / static_cast<double>(usage.layers.size());
  }
  return scores;
}

Vector means_without(const Vector& values) {
  if (values.size() < 2) return {};
  const auto n = static_cast<double>(values.size());
  return (values.sum() - values.array()) / (n - 1);
}

RouterContrast router_contrast(double own, const Vector& own_without,
                               std::span<const double> random,
                               std::span<const Vector> random_without, const Units& units) {
  RouterContrast contrast;
  contrast.own = own;
  if (random.empty()) return contrast;
  const auto [mean, sd] = mean_and_sd(random);
  const auto n_random = static_cast<double>(random.size());
  contrast.mean = mean;
  contrast.sd = sd;
  contrast.difference = own - mean;
  if (random.size() < 2) return contrast;
  contrast.router_error =
      student_t_quantile(0.975, n_random - 1) * sd * std::sqrt(1 + 1 / n_random);
  double error = contrast.router_error;
  if (own_without.size() == static_cast<Eigen::Index>(units.size())) {
    Vector differences = own_without;
    for (const Vector& one : random_without) differences -= one / n_random;
    const int n_strata = units.category.empty()
                             ? 0
                             : *std::max_element(units.category.begin(), units.category.end());
    double variance = 0;
    for (int stratum = -1; stratum <= n_strata; ++stratum) {  // −1: units of several categories
      std::vector<double> values;
      for (std::size_t u = 0; u < units.size(); ++u) {
        if (units.category[u] == stratum) {
          values.push_back(differences(static_cast<Eigen::Index>(u)));
        }
      }
      if (values.size() < 2) continue;
      const auto n = static_cast<double>(values.size());
      const double own_sd = mean_and_sd(values)[1];
      variance += (n - 1) / n * own_sd * own_sd * (n - 1);
    }
    constexpr double normal_quantile = 1.959963984540054;
    contrast.prompt_error = normal_quantile * std::sqrt(variance);
    error = std::max(error, contrast.prompt_error);
  }
  contrast.ci95 = {contrast.difference - error, contrast.difference + error};
  return contrast;
}

RouterOutcome router_outcome(const RouterContrast& contrast) {
  if (std::isnan(contrast.ci95[0])) return RouterOutcome::cannot_tell;
  if (contrast.ci95[0] > 0) return RouterOutcome::better;
  return contrast.ci95[1] < 0 ? RouterOutcome::worse : RouterOutcome::no_better;
}

Signatures selected_signatures(const RoutedTokens& tokens, const Signatures& own) {
  Signatures result = own;
  const auto values =
      signatures_of(tokens, [&](std::size_t t) { return tokens.tokens[t].selected; });
  if (values == nullptr) throw Error(ErrorKind::data, "a prompt has no selected token");
  result.values = *values;
  result.layer_sums = own.layer_tokens.cast<double>() * static_cast<double>(own.shape.top_k);
  return result;
}

RandomRoutersResult random_routers(const Signatures& signatures, const ComparedPrompts& compared,
                                   std::vector<WatchedRouter> watched,
                                   const std::function<RoutedTokens(std::size_t)>& routed,
                                   const RandomRoutersOptions& options) {
  RandomRoutersResult result;
  result.watched = std::move(watched);
  result.scores.resize(result.watched.size());
  result.selected_d.resize(result.watched.size(), undefined);
  result.reason = nothing_to_score(compared);
  if (!result.reason.empty()) return result;
  const auto d_of = [](const Signatures& all) { return similarity(all).cohens_d; };
  result.trained = router_scores(compared, compared.signatures, signatures, options.scores);
  result.trained_d = d_of(signatures);
  parallel_for(static_cast<int>(result.watched.size()), options.n_threads, [&](int i) {
    throw_if_stopped(options.work.stop);
    const auto index = static_cast<std::size_t>(i);
    const RoutedTokens tokens = routed(index);
    const Signatures selected = selected_signatures(tokens, signatures);
    const Signatures common = common_signatures(tokens, selected, compared.positions);
    result.scores[index] = router_scores(compared, common, selected, options.scores);
    result.selected_d[index] = d_of(selected);
    if (options.work.on_steps) options.work.on_steps(1);
  });
  result.families = families_of(result, compared.units);
  for (std::size_t i = 0; i < result.families.size(); ++i) {
    const RouterFamily& family = result.families[i];
    if (family.kind == "random" && family.form == "load matched") {
      result.verdict_family = static_cast<int>(i);
    }
  }
  result.reason = nothing_to_judge(result);
  if (!result.reason.empty()) return result;
  result.outcome =
      router_outcome(result.families[static_cast<std::size_t>(result.verdict_family)].r_squared);
  return result;
}

}  // namespace moexray::stats
