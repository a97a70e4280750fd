#include "moexray/stats/information.h"

#include <algorithm>
#include <cmath>

#include "fold_models.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/stats/false_discovery.h"
#include "moexray/stats/nested_cv.h"
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

PipelineOptions pipeline() {
  return {.grid = shared_grid, .unit_size = true, .calibrate = true, .prior_share = 0.01};
}

InformationBound bound_of(const Signatures& signatures, const CategoryIndex& categories,
                          const Units& units, const InformationOptions& options) {
  InformationBound bound;
  bound.entropy = entropy_bits(categories);
  const NestedDesign design{
      signatures.ids, categories,        units,       options.n_folds, options.n_repetitions,
      options.seed,   options.n_threads, options.work};
  const FeatureMaker features = [&](const SplitRows& rows) {
    std::vector<Eigen::Index> order = rows.train;
    order.insert(order.end(), rows.test.begin(), rows.test.end());
    return FeatureBlocks{{signatures.values(order, Eigen::all), true}};
  };
  constexpr std::array losses = {&log_loss_bits};
  const auto repetitions =
      nested_repetitions(design, [&](int) { return features; }, pipeline(), losses);
  const NestedInterval interval = nested_interval(repetitions.front(), units, options.n_folds);
  bound.bits = bound.entropy - interval.cv_mean;
  bound.ci95 = {bound.entropy - interval.ci95[1], bound.entropy - interval.ci95[0]};
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

std::vector<TokenInformation> rows_of(const Vector& observed, const Vector& sums,
                                      const Vector& reached, const Vector& bias, double n_draws,
                                      int n_experts) {
  std::vector<TokenInformation> rows;
  for (Eigen::Index i = 0; i < observed.size(); ++i) {
    TokenInformation row;
    const auto index = static_cast<int>(i);
    row.layer = n_experts > 0 ? index / n_experts : index;
    row.expert = n_experts > 0 ? index % n_experts : -1;
    row.plug_in = observed(i);
    row.null_mean = sums(i) / n_draws;
    row.bits = row.plug_in - row.null_mean;
    row.miller_madow = row.plug_in - bias(i);
    row.p_value = (reached(i) + 1) / (n_draws + 1);
    rows.push_back(row);
  }
  return rows;
}

// What false discovery rates need: 20 for each expert of each layer.
std::int64_t n_enough(const Signatures& signatures) { return 20 * signatures.values.cols(); }

std::int64_t n_permutations(const Signatures& signatures, const InformationOptions& options) {
  return options.n_permutations > 0 ? options.n_permutations : n_enough(signatures);
}

void add_experts(const Signatures& signatures, const CategoryIndex& categories, const Units& units,
                 const InformationOptions& options, InformationResult& result) {
  const TokenInformationCounts counts(signatures);
  const auto n_categories = static_cast<int>(categories.names.size());
  const Eigen::Index n_columns = signatures.values.cols();
  const std::int64_t n = n_permutations(signatures, options);
  result.n_permutations = n;
  const PlugIn observed = counts.plug_in(categories.of_prompt, n_categories);
  std::vector<NullSums> blocks(static_cast<std::size_t>(n_blocks_of(n)),
                               NullSums(n_columns, counts.n_layers()));
  for_each_permutation(counts, categories, units, options, n,
                       [&](int block, std::int64_t, const PlugIn& value) {
                         blocks[static_cast<std::size_t>(block)].add(value, observed);
                       });
  NullSums null(n_columns, counts.n_layers());
  for (const NullSums& block : blocks) null.add(block);
  const auto n_draws = static_cast<double>(n);
  const PlugIn bias = counts.miller_bias(n_categories);
  result.experts = rows_of(observed.experts, null.sums.experts, null.reached.experts, bias.experts,
                           n_draws, counts.n_experts());
  result.layers =
      rows_of(observed.layers, null.sums.layers, null.reached.layers, bias.layers, n_draws, 0);

  const auto p_values = [](const std::vector<TokenInformation>& rows) {
    std::vector<double> p;
    for (const TokenInformation& row : rows) p.push_back(row.p_value);
    return p;
  };
  if (n >= n_enough(signatures)) {
    result.adjustment = "Benjamini-Hochberg";
    for (auto* rows : {&result.experts, &result.layers}) {
      const std::vector<double> q = benjamini_hochberg(p_values(*rows));
      for (std::size_t i = 0; i < rows->size(); ++i) (*rows)[i].q_value = q[i];
    }
    return;
  }
  result.adjustment = "max-T";
  MaxT largest{std::vector<double>(static_cast<std::size_t>(n)),
               std::vector<double>(static_cast<std::size_t>(n))};
  const auto z = [&](const PlugIn& value, Vector PlugIn::* part) {
    return standardised(value.*part, null.sums.*part, null.squares.*part, n_draws);
  };
  InformationOptions silent = options;
  silent.work.on_steps = {};
  for_each_permutation(counts, categories, units, silent, n,
                       [&](int, std::int64_t draw, const PlugIn& value) {
                         const auto i = static_cast<std::size_t>(draw);
                         largest.experts[i] = z(value, &PlugIn::experts).maxCoeff();
                         largest.layers[i] = z(value, &PlugIn::layers).maxCoeff();
                       });
  const Vector experts = z(observed, &PlugIn::experts);
  const Vector layers = z(observed, &PlugIn::layers);
  for (std::size_t i = 0; i < result.experts.size(); ++i) {
    result.experts[i].q_value =
        MaxT::p_value(largest.experts, experts(static_cast<Eigen::Index>(i)));
  }
  for (std::size_t i = 0; i < result.layers.size(); ++i) {
    result.layers[i].q_value = MaxT::p_value(largest.layers, layers(static_cast<Eigen::Index>(i)));
  }
}

}  // namespace

InformationResult information(const Signatures& signatures, const InformationOptions& options) {
  const CategoryIndex categories = index_categories(signatures);
  if (categories.names.size() < 2) {
    throw Error(ErrorKind::data, nothing_to_compare(categories));
  }
  if (!allows_nesting(options.n_folds, pipeline())) {
    throw Error(ErrorKind::usage,
                {"number of folds", {}, "4 to 64", std::to_string(options.n_folds)});
  }
  const Units units = make_units(signatures.ids, categories, options.groups);
  InformationResult result;
  result.categories = categories.names;
  result.bound.entropy = entropy_bits(categories);
  add_experts(signatures, categories, units, options, result);
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
  return n_blocks_of(n_permutations(signatures, options)) + options.n_repetitions;
}

}  // namespace moexray::stats
