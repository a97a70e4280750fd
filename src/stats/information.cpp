#include "moexray/stats/information.h"

#include <algorithm>
#include <cmath>

#include "calibrated_pipeline.h"
#include "feature_sets.h"
#include "fold_models.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/stats/false_discovery.h"
#include "moexray/stats/nested_cv.h"
#include "moexray/stats/permutation_tests.h"
#include "moexray/stats/units.h"
#include "nested_repetitions.h"
#include "pair_means.h"
#include "parallel.h"
#include "token_information.h"

namespace moexray::stats {
namespace {

using PlugIn = TokenInformationCounts::PlugIn;

// Observed values that differ from a permuted one by rounding only are tied with it.
constexpr double tie = 1e-12;

double entropy_bits(const CategoryIndex& categories) {
  double bits = 0;
  for (const std::int64_t n : categories.n_prompts) {
    const double share = static_cast<double>(n) / static_cast<double>(categories.of_prompt.size());
    bits -= share * std::log2(share);
  }
  return bits;
}

InformationBound bound_of(const Signatures& signatures, const CategoryIndex& categories,
                          const Units& units, const InformationOptions& options) {
  InformationBound bound;
  bound.entropy = entropy_bits(categories);
  const NestedDesign design{
      signatures.ids, categories,        units,       options.n_folds, options.n_repetitions,
      options.seed,   options.n_threads, options.work};
  const FeatureMaker features = signature_features(signatures);
  constexpr std::array losses = {&log_loss_bits};
  const auto repetitions =
      nested_repetitions(design, [&](int) { return features; }, calibrated_pipeline(), losses);
  const NestedInterval interval = nested_interval(repetitions.front(), units, options.n_folds);
  bound.bits = bound.entropy - interval.cv_mean;
  bound.ci95 = {bound.entropy - interval.ci95[1], bound.entropy - interval.ci95[0]};
  if (std::isnan(bound.ci95[0])) bound.reason = "every prompt costs the classifier the same";
  return bound;
}

// What the permutations add up to.
struct NullSums {
  PlugIn sums;
  PlugIn squares;
  PlugIn reached;  // permutations with at least the observed value

  NullSums(Eigen::Index n_columns, Eigen::Index n_layers) {
    for (PlugIn* part : {&sums, &squares, &reached}) {
      *part = {Vector::Zero(n_columns), Vector::Zero(n_layers)};
    }
  }
  void add(const PlugIn& value, const PlugIn& observed) {
    const auto add_part = [&](Vector PlugIn::* part) {
      const Vector& v = value.*part;
      sums.*part += v;
      (squares.*part).array() += v.array().square();
      (reached.*part).array() += (v.array() >= (observed.*part).array() - tie).cast<double>();
    };
    add_part(&PlugIn::experts);
    add_part(&PlugIn::layers);
  }
  void add(const NullSums& other) {
    for (PlugIn NullSums::* part : {&NullSums::sums, &NullSums::squares, &NullSums::reached}) {
      (this->*part).experts += (other.*part).experts;
      (this->*part).layers += (other.*part).layers;
    }
  }
};

// Permutations that the mean of the null comes from: its error is a thirtieth of a draw's.
constexpr std::int64_t n_null_permutations = 999;

// Permutations that are one step of work: about as long as a repetition of the classifier.
constexpr std::int64_t block_size = 256;

std::int64_t n_blocks_of(std::int64_t n) { return (n + block_size - 1) / block_size; }

// Calls body(block, draw, values) for every permutation, in blocks that do not depend on the
// threads.
template <typename Body>
void for_each_permutation(const TokenInformationCounts& counts, const CategoryIndex& categories,
                          const Units& units, const InformationOptions& options, std::int64_t n,
                          Body body) {
  const auto n_blocks = static_cast<int>(n_blocks_of(n));
  parallel_for(n_blocks, options.n_threads, [&](int block) {
    throw_if_stopped(options.work.stop);
    const std::int64_t end = std::min(n, (block + 1) * block_size);
    for (std::int64_t draw = block * block_size; draw < end; ++draw) {
      RandomStream random(options.seed, "information permutation " + std::to_string(draw));
      const std::vector<int> labels = permuted_labels(units, categories, random);
      body(block, draw, counts.plug_in(labels, static_cast<int>(categories.names.size())));
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
}

// Standardised by the null's mean and standard deviation; 0 where nothing varies.
Vector standardised(const Vector& value, const Vector& sums, const Vector& squares, double n) {
  Vector result(value.size());
  for (Eigen::Index i = 0; i < value.size(); ++i) {
    const double mean = sums(i) / n;
    const double variance = squares(i) / n - mean * mean;
    constexpr double noise = 1e-24;
    result(i) = variance > noise ? (value(i) - mean) / std::sqrt(variance) : 0;
  }
  return result;
}

// Westfall and Young's max-T: the share of permutations whose largest standardised value reaches an
// expert's own.
struct MaxT {
  std::vector<double> experts;  // [R] largest of each permutation
  std::vector<double> layers;

  static double p_value(const std::vector<double>& largest, double value) {
    const auto n =
        std::count_if(largest.begin(), largest.end(), [&](double x) { return x >= value - 1e-9; });
    return (static_cast<double>(n) + 1) / (static_cast<double>(largest.size()) + 1);
  }
};

// One row an expert, or a layer where n_experts is 0. `kept` is the part of an effect that
// relabelled prompts do not have.
std::vector<TokenInformation> rows_of(const Vector& observed, const Vector& null_sums,
                                      const Vector& bias, double n_draws, double kept,
                                      int n_experts) {
  std::vector<TokenInformation> rows;
  for (Eigen::Index i = 0; i < observed.size(); ++i) {
    TokenInformation row;
    const auto index = static_cast<int>(i);
    row.layer = n_experts > 0 ? index / n_experts : index;
    row.expert = n_experts > 0 ? index % n_experts : -1;
    row.plug_in = observed(i);
    row.null_mean = null_sums(i) / n_draws;
    row.bits = (row.plug_in - row.null_mean) / kept;
    row.miller_madow = row.plug_in - bias(i);
    rows.push_back(row);
  }
  return rows;
}

// What false discovery rates need: 20 for each expert of each layer.
std::int64_t n_enough(const Signatures& signatures) { return 20 * signatures.values.cols(); }

std::int64_t n_permutations(const Signatures& signatures, const InformationOptions& options) {
  return options.n_permutations > 0 ? options.n_permutations : n_enough(signatures);
}

// Permutations of the labels and what the observed ones give beside them.
struct Permuted {
  PlugIn observed;
  NullSums null;
};

Permuted permute(const TokenInformationCounts& counts, const Signatures& signatures,
                 const CategoryIndex& categories, const Units& units,
                 const InformationOptions& options, std::int64_t n) {
  const Eigen::Index n_columns = signatures.values.cols();
  Permuted result{counts.plug_in(categories.of_prompt, static_cast<int>(categories.names.size())),
                  NullSums(n_columns, counts.n_layers())};
  std::vector<NullSums> blocks(static_cast<std::size_t>(n_blocks_of(n)), result.null);
  for_each_permutation(counts, categories, units, options, n,
                       [&](int block, std::int64_t, const PlugIn& value) {
                         blocks[static_cast<std::size_t>(block)].add(value, result.observed);
                       });
  for (const NullSums& block : blocks) result.null.add(block);
  return result;
}

void add_estimates(const Signatures& signatures, const CategoryIndex& categories,
                   const Units& units, const InformationOptions& options,
                   InformationResult& result) {
  const TokenInformationCounts counts(signatures);
  const std::int64_t n = std::min(n_permutations(signatures, options), n_null_permutations);
  const Permuted permuted = permute(counts, signatures, categories, units, options, n);
  const auto n_categories = static_cast<double>(categories.names.size()),
             n_units = static_cast<double>(units.size());
  // Nothing is known of units that hold several categories: their share of the effect depends on
  // how these are spread.
  const double kept =
      units.nested() && n_units > n_categories ? 1 - (n_categories - 1) / (n_units - 1) : 1;
  const PlugIn bias = counts.miller_bias(static_cast<int>(categories.names.size()));
  const auto n_draws = static_cast<double>(n);
  result.experts = rows_of(permuted.observed.experts, permuted.null.sums.experts, bias.experts,
                           n_draws, kept, counts.n_experts());
  result.layers =
      rows_of(permuted.observed.layers, permuted.null.sums.layers, bias.layers, n_draws, kept, 0);
}

void set_p_values(const Vector& reached, double n_draws, std::vector<TokenInformation>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].p_value = (reached(static_cast<Eigen::Index>(i)) + 1) / (n_draws + 1);
  }
}

void set_false_discovery_rates(std::vector<TokenInformation>& rows) {
  std::vector<double> p;
  for (const TokenInformation& row : rows) p.push_back(row.p_value);
  const std::vector<double> q = benjamini_hochberg(p);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].q_value = q[i];
}

void add_tests(const ComparedPrompts& compared, const InformationOptions& options,
               InformationResult& result) {
  if (!compared.comparable()) return;
  const Signatures& signatures = compared.signatures;
  const CategoryIndex& categories = compared.categories;
  const Units& units = compared.units;
  if (smallest_p_value(units, categories) > 0.999) {
    result.notices.emplace_back("relabelling the prompts changes nothing: no p-value can be had");
    return;
  }
  const TokenInformationCounts counts(signatures);
  const std::int64_t n = n_permutations(signatures, options);
  const Permuted permuted = permute(counts, signatures, categories, units, options, n);
  const auto n_draws = static_cast<double>(n);
  result.n_permutations = n;
  set_p_values(permuted.null.reached.experts, n_draws, result.experts);
  set_p_values(permuted.null.reached.layers, n_draws, result.layers);
  if (n >= n_enough(signatures)) {
    result.adjustment = "Benjamini-Hochberg";
    set_false_discovery_rates(result.experts);
    set_false_discovery_rates(result.layers);
    return;
  }
  result.adjustment = "max-T";
  MaxT largest{std::vector<double>(static_cast<std::size_t>(n)),
               std::vector<double>(static_cast<std::size_t>(n))};
  // The observed labels are one of the labellings that mean and deviation come from: were they left
  // out, only they would be judged by numbers that they are no part of, and rejected too often.
  NullSums all = permuted.null;
  all.add(permuted.observed, permuted.observed);
  const auto z = [&](const PlugIn& value, Vector PlugIn::* part) {
    return standardised(value.*part, all.sums.*part, all.squares.*part, n_draws + 1);
  };
  InformationOptions silent = options;
  silent.work.on_steps = {};
  for_each_permutation(counts, categories, units, silent, n,
                       [&](int, std::int64_t draw, const PlugIn& value) {
                         const auto i = static_cast<std::size_t>(draw);
                         largest.experts[i] = z(value, &PlugIn::experts).maxCoeff();
                         largest.layers[i] = z(value, &PlugIn::layers).maxCoeff();
                       });
  const auto set_adjusted = [](const std::vector<double>& largest_values, const Vector& values,
                               std::vector<TokenInformation>& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].q_value = MaxT::p_value(largest_values, values(static_cast<Eigen::Index>(i)));
    }
  };
  set_adjusted(largest.experts, z(permuted.observed, &PlugIn::experts), result.experts);
  set_adjusted(largest.layers, z(permuted.observed, &PlugIn::layers), result.layers);
}

}  // namespace

InformationResult information(const Signatures& signatures, const ComparedPrompts& compared,
                              const InformationOptions& options) {
  const CategoryIndex categories = index_categories(signatures);
  if (categories.names.size() < 2) {
    throw Error(ErrorKind::data, nothing_to_compare(categories));
  }
  if (!allows_nesting(options.n_folds, calibrated_pipeline())) {
    throw Error(ErrorKind::usage,
                {"number of folds", {}, "4 to 64", std::to_string(options.n_folds)});
  }
  const Units units = make_units(signatures.ids, categories, options.groups);
  InformationResult result;
  result.categories = categories.names;
  result.bound.entropy = entropy_bits(categories);
  add_estimates(signatures, categories, units, options, result);
  add_tests(compared, options, result);
  if (compared.check.outcome == Comparability::lengths) {
    result.notices.push_back("no test of experts and layers: " + compared.check.reason);
  }
  if (options.n_repetitions > 0) {
    try {
      result.bound = bound_of(signatures, categories, units, options);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      result.notices.push_back(std::string(error.what()) + "; no bound from a classifier");
    }
  }
  if (units.grouped && units.nested()) {
    result.notices.emplace_back(
        "every group lies in one category: what groups have in common cannot be told from what "
        "categories have; permutations exchange whole groups");
  }
  return result;
}

std::optional<InformationOptions> affordable(const InformationOptions& options,
                                             const Signatures& signatures) {
  constexpr double budget = 1e10;
  constexpr std::int64_t most_of_few = 999;  // each is drawn twice for max-T
  constexpr std::int64_t fewest = 199;
  constexpr int fewest_repetitions = 5;
  const auto n = static_cast<double>(signatures.size());
  const auto d = static_cast<double>(signatures.values.cols());
  const double permutation =
      d * (n + 20.0 * static_cast<double>(index_categories(signatures).names.size()));
  const double repetition = repetition_operations(signatures, options.n_folds);
  if (2 * static_cast<double>(fewest) * permutation > 4 * budget) return std::nullopt;
  InformationOptions result = options;
  const std::int64_t asked = n_permutations(signatures, options);
  if (static_cast<double>(asked) * permutation > budget) {
    const auto possible = static_cast<std::int64_t>(budget / permutation / 2);
    result.n_permutations = std::min(asked, std::clamp(possible, fewest, most_of_few));
  }
  result.n_repetitions =
      static_cast<int>(std::min<double>(options.n_repetitions, budget / repetition));
  if (result.n_repetitions < fewest_repetitions) result.n_repetitions = 0;
  return result;
}

std::int64_t information_steps(const Signatures& signatures, const InformationOptions& options) {
  const std::int64_t n = n_permutations(signatures, options);
  return n_blocks_of(n) + n_blocks_of(std::min(n, n_null_permutations)) + options.n_repetitions;
}

}  // namespace moexray::stats
