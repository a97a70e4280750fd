#include "moexray/stats/baselines.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "batched_integers.h"
#include "label_shuffle.h"
#include "moexray/core/wording.h"
#include "moexray/stats/ties.h"
#include "pair_means.h"
#include "parallel.h"
#include "uniform_tokens.h"

namespace moexray::stats {
namespace {

// Makes a prompt's unit blocks [L·E] in one draw. The row arrives with zeros.
using RowMaker = std::function<void(RandomStream&, Eigen::Index, Eigen::Ref<Eigen::RowVectorXd>)>;

RowMaker permuted_rows(const Matrix& blocks, const RoutingShape& shape) {
  const auto n_experts = static_cast<std::size_t>(shape.n_experts);
  // Moving values within a block keeps its length.
  return [&blocks, n_layers = shape.n_layers, n_experts,
          shuffle = PartialShuffle(n_experts, n_experts - 1)](
             RandomStream& random, Eigen::Index prompt, Eigen::Ref<Eigen::RowVectorXd> row) {
    row = blocks.row(prompt);
    for (int layer = 0; layer < n_layers; ++layer) {
      shuffle(random, row.data() + static_cast<std::size_t>(layer) * n_experts);
    }
  };
}

// Counts the selections of uniform routing, then scales every block to length 1/√L.
class BalancedRows {
 public:
  BalancedRows(const Signatures& signatures, LoadBalance model)
      : counts_(signatures.layer_tokens), shape_(signatures.shape), tokens_(shape_, model) {}

  void operator()(RandomStream& random, Eigen::Index prompt,
                  Eigen::Ref<Eigen::RowVectorXd> row) const {
    UniformTokens::Scratch scratch;
    const double length = 1 / std::sqrt(static_cast<double>(shape_.n_layers));
    for (int layer = 0; layer < shape_.n_layers; ++layer) {
      auto block = row.segment(static_cast<Eigen::Index>(layer) * shape_.n_experts,
                               static_cast<Eigen::Index>(shape_.n_experts));
      tokens_.add(random, counts_(prompt, layer), block.data(), scratch);
      block *= length / block.norm();
    }
  }

 private:
  const CountMatrix& counts_;
  RoutingShape shape_;
  UniformTokens tokens_;
};

// The statistics of two disjoint sets of pairs together.
PairStatistics pooled(const PairStatistics& a, const PairStatistics& b) {
  PairStatistics result;
  result.n_pairs = a.n_pairs + b.n_pairs;
  if (result.n_pairs == 0) return result;
  double sum = 0;
  for (const PairStatistics& side : {a, b}) {
    if (side.n_pairs > 0) sum += static_cast<double>(side.n_pairs) * side.mean;
  }
  const auto n = static_cast<double>(result.n_pairs);
  result.mean = sum / n;
  if (result.n_pairs < 2) return result;
  double squares = 0;
  for (const PairStatistics& side : {a, b}) {
    const auto n_side = static_cast<double>(side.n_pairs);
    const double shift = side.n_pairs > 0 ? side.mean - result.mean : 0;
    squares += n_side * shift * shift;
    if (side.n_pairs > 1) squares += (n_side - 1) * side.std * side.std;
  }
  result.std = std::sqrt(squares / (n - 1));
  return result;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// @param draws of the first n_std the standard deviation is known.
SimulatedSimilarity summary(const std::vector<PairStatistics>& draws, int n_std) {
  SimulatedSimilarity result;
  if (draws[0].n_pairs == 0) return result;
  std::vector<double> means;
  std::vector<double> stds;
  for (const PairStatistics& draw : draws) {
    means.push_back(draw.mean);
    if (stds.size() < static_cast<std::size_t>(n_std)) stds.push_back(draw.std);
  }
  result.mean = mean_of(means);
  result.std = mean_of(stds);
  if (means.size() < 2) return result;
  double squares = 0;
  for (const double mean : means) squares += (mean - result.mean) * (mean - result.mean);
  result.draw_std = std::sqrt(squares / static_cast<double>(means.size() - 1));
  return result;
}

struct Summaries {
  SimulatedSimilarity within;
  SimulatedSimilarity across;
  SimulatedSimilarity all;
};

class Simulation {
 public:
  Simulation(const Signatures& signatures, const CategoryIndex& categories,
             const BaselineOptions& options, int n_std_draws)
      : signatures_(signatures),
        categories_(categories),
        options_(options),
        n_std_draws_(n_std_draws) {}

  // @param name tells the random streams of different baselines apart.
  Summaries run(const std::string& name, const RowMaker& make_row) const {
    const auto n_draws = static_cast<std::size_t>(options_.n_draws);
    std::vector<PairStatistics> within(n_draws);
    std::vector<PairStatistics> across(n_draws);
    std::vector<PairStatistics> all(n_draws);
    parallel_for(options_.n_draws, n_threads(), [&](int draw) {
      const std::uint64_t seed = RandomStream(options_.seed, name + " " + std::to_string(draw))();
      const WithinAcross pairs =
          draw < n_std_draws_ ? full_draw(seed, make_row) : mean_draw(seed, make_row);
      const auto i = static_cast<std::size_t>(draw);
      within[i] = pairs.within;
      across[i] = pairs.across;
      all[i] = pooled(pairs.within, pairs.across);
    });
    return {summary(within, n_std_draws_), summary(across, n_std_draws_),
            summary(all, n_std_draws_)};
  }

 private:
  // A draw with standard deviations holds all rows, twice for a moment.
  int n_threads() const {
    constexpr double max_bytes = 1e9;
    const double n_bytes = 2.0 * sizeof(double) * static_cast<double>(signatures_.values.size());
    return std::min(options_.n_threads, std::max(1, static_cast<int>(max_bytes / n_bytes)));
  }

  void draw_row(std::uint64_t seed, const RowMaker& make_row, Eigen::Index prompt,
                Eigen::Ref<Eigen::RowVectorXd> row) const {
    throw_if_stopped(options_.stop);
    RandomStream random(seed, signatures_.ids[static_cast<std::size_t>(prompt)]);
    make_row(random, prompt, row);
  }

  WithinAcross full_draw(std::uint64_t seed, const RowMaker& make_row) const {
    Matrix rows = Matrix::Zero(signatures_.values.rows(), signatures_.values.cols());
    for (Eigen::Index i = 0; i < rows.rows(); ++i) draw_row(seed, make_row, i, rows.row(i));
    return pair_statistics(rows, categories_);
  }

  WithinAcross mean_draw(std::uint64_t seed, const RowMaker& make_row) const {
    CategorySums sums(categories_.names.size(), signatures_.values.cols());
    Eigen::RowVectorXd row(signatures_.values.cols());
    for (Eigen::Index i = 0; i < signatures_.values.rows(); ++i) {
      row.setZero();
      draw_row(seed, make_row, i, row);
      sums.add(categories_.of_prompt[static_cast<std::size_t>(i)], row);
    }
    const PairMeans means = pair_means(sums, categories_);
    const std::int64_t n_within = n_within_pairs(categories_);
    const std::int64_t n_across = n_all_pairs(signatures_.values.rows()) - n_within;
    return {{.mean = n_within > 0 ? means.within : undefined, .n_pairs = n_within},
            {.mean = n_across > 0 ? means.across : undefined, .n_pairs = n_across}};
  }

  const Signatures& signatures_;
  const CategoryIndex& categories_;
  const BaselineOptions& options_;
  int n_std_draws_;
};

int choose_std_draws(const Matrix& values, const BaselineOptions& options) {
  if (options.n_std_draws > 0) return std::min(options.n_std_draws, options.n_draws);
  constexpr double max_products = 2e10;
  const auto n = static_cast<double>(values.rows());
  const auto d = static_cast<double>(values.cols());
  const double affordable = std::max(4.0, max_products / (n * d * std::min(n, d)));
  return static_cast<int>(std::min<double>(affordable, options.n_draws));
}

// From least to most similar; what is equal within rounding stands in one group, in a fixed order.
std::vector<std::vector<std::string>> ordering_of(const BaselinesResult& result) {
  std::vector<std::pair<double, std::string>> named;
  for (const auto& [mean, name] : {std::pair{result.within.mean, "within"},
                                   {result.across.mean, "across"},
                                   {result.permutation.all.mean, "permutation"},
                                   {result.load_balance.all.mean, "load_balance"}}) {
    if (!std::isnan(mean)) named.emplace_back(mean, name);
  }
  std::vector<std::vector<std::string>> groups;
  while (!named.empty()) {
    const double least = std::min_element(named.begin(), named.end())->first;
    std::vector<std::string> group;
    std::erase_if(named, [&](const auto& one) {
      const bool equal = equal_within_rounding(one.first, least, similarity_rounding);
      if (equal) group.push_back(one.second);
      return equal;
    });
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace

BaselinesResult baselines(const Signatures& signatures, const ComparedPrompts& compared,
                          const BaselineOptions& options) {
  const CategoryIndex categories = index_categories(signatures);
  const Matrix blocks = unit_blocks(signatures);
  BaselinesResult result;
  result.n_draws = options.n_draws;
  result.n_std_draws = choose_std_draws(blocks, options);
  const WithinAcross observed = pair_statistics(blocks, categories);
  result.within = observed.within;
  result.across = observed.across;
  const Simulation simulation(signatures, categories, options, result.n_std_draws);
  const Summaries permuted = simulation.run("permutation", permuted_rows(blocks, signatures.shape));
  result.permutation = {permuted.within, permuted.across, permuted.all,
                        expected_permuted_similarity(signatures)};
  result.load_balance = {
      simulation.run("load balance", BalancedRows(signatures, options.load_balance)).all,
      expected_uniform_similarity(signatures, options.load_balance)};
  if (compared.comparable()) {
    result.label_shuffle = shuffle_labels(unit_blocks(compared.signatures), compared.categories,
                                          compared.signatures.ids, options);
  }
  result.ordering_groups = ordering_of(result);
  for (const auto& group : result.ordering_groups) {
    result.ordering.insert(result.ordering.end(), group.begin(), group.end());
  }
  result.notices = category_notices(categories);
  if (result.n_std_draws < result.n_draws) {
    result.notices.push_back("many prompts: the deviations over pairs come from " +
                             std::to_string(result.n_std_draws) + " of the " +
                             counted(result.n_draws, "draw"));
  }
  return result;
}

}  // namespace moexray::stats
