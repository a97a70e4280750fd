#include "moexray/stats/load.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/core/shuffle.h"
#include "moexray/core/wording.h"
#include "parallel.h"
#include "uniform_tokens.h"
#include "unit_loads.h"

namespace moexray::stats {
namespace {

using ExpertCounts = Eigen::RowVectorXd;

struct MetricField {
  double LoadMetrics::* field;
  bool is_even_at_one;  // else even load is the smallest value
};
constexpr std::array<MetricField, 6> metric_fields{{{&LoadMetrics::cv, false},
                                                    {&LoadMetrics::max_over_mean, false},
                                                    {&LoadMetrics::entropy, true},
                                                    {&LoadMetrics::effective_share, true},
                                                    {&LoadMetrics::gini, false},
                                                    {&LoadMetrics::balancedness, true}}};

// Draws of one block belong to one job, whatever the number of threads.
constexpr int draws_of_block = 16;
int blocks_of(int n_draws) { return (n_draws + draws_of_block - 1) / draws_of_block; }

LoadMetrics metrics_of(const ExpertCounts& counts, const ExpertPlacement& placement, int layer) {
  LoadMetrics metrics = load_metrics(counts);
  if (placement.n_devices > 0 && counts.sum() > 0) {
    const ExpertCounts loads = device_loads(counts, placement, layer);
    metrics.balancedness = loads.mean() / loads.maxCoeff();
  }
  return metrics;
}

ChanceLoad summary_of(const std::vector<LoadMetrics>& draws) {
  ChanceLoad chance;
  chance.n_draws = static_cast<int>(draws.size());
  for (const MetricField& metric : metric_fields) {
    std::vector<double> values;
    for (const LoadMetrics& draw : draws) values.push_back(draw.*metric.field);
    if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) continue;
    std::sort(values.begin(), values.end());
    const auto n = static_cast<double>(values.size());
    chance.mean.*metric.field = std::accumulate(values.begin(), values.end(), 0.0) / n;
    const auto beyond = static_cast<std::size_t>(0.05 * n);
    chance.limit95.*metric.field =
        metric.is_even_at_one ? values[beyond] : values[values.size() - 1 - beyond];
  }
  return chance;
}

// The counts that uniform routing of T tokens gives a layer's experts.
class UniformDraws {
 public:
  UniformDraws(const RoutingShape& shape, std::int64_t n_tokens)
      : shape_(shape), n_tokens_(n_tokens), tokens_(shape, LoadBalance::distinct) {}

  ExpertCounts draw(RandomStream& random) const {
    constexpr double few = 1000;
    ExpertCounts counts = ExpertCounts::Zero(shape_.n_experts);
    const auto n_experts = static_cast<double>(shape_.n_experts);
    const double p = shape_.top_k / n_experts;
    const double mean = static_cast<double>(n_tokens_) * p;
    if (shape_.top_k == shape_.n_experts) {
      counts.setConstant(mean);
      return counts;
    }
    if (mean <= few) {
      UniformTokens::Scratch scratch;
      tokens_.add(random, n_tokens_, counts.data(), scratch);
      return counts;
    }
    for (double& count : counts) count = random.normal();
    const double size = std::sqrt(mean * (1 - p) * n_experts / (n_experts - 1));
    counts = (mean + size * (counts.array() - counts.mean())).max(0.0).matrix();
    return counts;
  }

 private:
  RoutingShape shape_;
  std::int64_t n_tokens_;
  UniformTokens tokens_;
};

// Layers that see as many tokens share their draws.
class UniformNulls {
 public:
  UniformNulls(const RoutingShape& shape, const LoadOptions& options, int n_draws)
      : shape_(shape), options_(options), n_draws_(n_draws) {}

  ChanceLoad of(std::int64_t n_tokens, int layer) {
    const std::vector<ExpertCounts>& counts = counts_of(n_tokens);
    std::vector<LoadMetrics> draws;
    for (const ExpertCounts& one : counts)
      draws.push_back(metrics_of(one, options_.placement, layer));
    return summary_of(draws);
  }

 private:
  const std::vector<ExpertCounts>& counts_of(std::int64_t n_tokens) {
    const auto [entry, is_new] = counts_.try_emplace(n_tokens);
    std::vector<ExpertCounts>& counts = entry->second;
    if (!is_new) return counts;
    counts.resize(static_cast<std::size_t>(n_draws_));
    const UniformDraws uniform(shape_, n_tokens);
    parallel_for(n_draws_, options_.n_threads, [&](int draw) {
      throw_if_stopped(options_.stop);
      RandomStream random(options_.seed, "uniform load " + std::to_string(draw));
      counts[static_cast<std::size_t>(draw)] = uniform.draw(random);
    });
    return counts;
  }

  RoutingShape shape_;
  const LoadOptions& options_;
  int n_draws_;
  std::map<std::int64_t, std::vector<ExpertCounts>> counts_;
};

// Units resampled around experts that are all popular alike.
class ClusterDraws {
 public:
  ClusterDraws(const UnitLoads& loads, const RoutingShape& shape)
      : n_experts_(shape.n_experts), residuals_(loads.counts) {
    const auto n_units = static_cast<double>(loads.counts.rows());
    const double p = std::max(shape.top_k, 1) / static_cast<double>(n_experts_);
    for (Eigen::Index layer = 0; layer < shape.n_layers; ++layer) {
      const Vector tokens = loads.tokens.col(layer);
      const double all = tokens.sum();
      means_.push_back(all * p);
      double design_effects = 0;
      Eigen::Index n_used = 0;
      for (Eigen::Index e = 0; e < n_experts_; ++e) {
        auto own = residuals_.col(layer * n_experts_ + e);
        const double rate = own.sum() / all;
        if (!(rate > 0 && rate < 1)) {
          own.setZero();
          continue;
        }
        own = (own - rate * tokens) *
              std::sqrt(n_units / (n_units - 1) * p * (1 - p) / (rate * (1 - rate)));
        if (p < 1) design_effects += own.squaredNorm() / (p * (1 - p) * all);
        ++n_used;
      }
      const double mean_effect = n_used > 0 ? design_effects / static_cast<double>(n_used) : 0;
      unused_sd_.push_back(std::sqrt(mean_effect * p * (1 - p) * all));
    }
    is_used_.resize(static_cast<std::size_t>(residuals_.cols()));
    for (Eigen::Index c = 0; c < residuals_.cols(); ++c) {
      is_used_[static_cast<std::size_t>(c)] = loads.counts.col(c).sum() > 0;
    }
  }

  // ExpertCounts [draws, L·E] of the draws first … first + n − 1.
  Matrix draw(std::uint64_t seed, int first, int n) const {
    const Eigen::Index n_units = residuals_.rows();
    Matrix times = Matrix::Zero(n, n_units);
    std::vector<RandomStream> randoms;
    for (int i = 0; i < n; ++i) {
      RandomStream random(seed, "clustered load " + std::to_string(first + i));
      for (Eigen::Index j = 0; j < n_units; ++j) {
        times(i, static_cast<Eigen::Index>(random.below(static_cast<std::uint64_t>(n_units)))) += 1;
      }
      randoms.push_back(random);
    }
    Matrix counts = times * residuals_;
    for (int i = 0; i < n; ++i) {
      for (Eigen::Index c = 0; c < counts.cols(); ++c) {
        const auto layer = static_cast<std::size_t>(c / n_experts_);
        if (!is_used_[static_cast<std::size_t>(c)]) {
          counts(i, c) = unused_sd_[layer] * randoms[static_cast<std::size_t>(i)].normal();
        }
        counts(i, c) = std::max(means_[layer] + counts(i, c), 0.0);
      }
    }
    return counts;
  }

 private:
  Eigen::Index n_experts_;
  Matrix residuals_;               // [units, L·E]
  std::vector<double> means_;      // [L] T p
  std::vector<double> unused_sd_;  // [L]
  std::vector<char> is_used_;      // [L·E]
};

void add_clusters(const UnitLoads& loads, const LoadOptions& options, int n_draws,
                  LoadResult& result) {
  const ClusterDraws clusters(loads, result.shape);
  const std::size_t n_layers = result.layers.size();
  std::vector<std::vector<LoadMetrics>> draws(
      n_layers, std::vector<LoadMetrics>(static_cast<std::size_t>(n_draws)));
  parallel_for(blocks_of(n_draws), options.n_threads, [&](int block) {
    throw_if_stopped(options.stop);
    const int first = block * draws_of_block;
    const int n = std::min(draws_of_block, n_draws - first);
    const Matrix counts = clusters.draw(options.seed, first, n);
    for (int i = 0; i < n; ++i) {
      for (std::size_t layer = 0; layer < n_layers; ++layer) {
        const ExpertCounts own = counts.row(i).segment(
            static_cast<Eigen::Index>(layer) * result.shape.n_experts, result.shape.n_experts);
        draws[layer][static_cast<std::size_t>(first + i)] =
            metrics_of(own, options.placement, static_cast<int>(layer));
      }
    }
  });
  for (std::size_t layer = 0; layer < n_layers; ++layer) {
    result.layers[layer].clusters = summary_of(draws[layer]);
  }
}

// MaxVio of every whole batch at every layer: [batches, L].
Matrix window_violations(const RoutedTokens& tokens, std::span<const std::size_t> order,
                         std::int64_t window) {
  const std::size_t size = static_cast<std::size_t>(window);
  const auto n_windows = static_cast<Eigen::Index>(order.size() / size);
  const RoutingShape& shape = tokens.shape;
  const double mean = static_cast<double>(window) * shape.top_k / shape.n_experts;
  Matrix violations(n_windows, shape.n_layers);
  std::vector<double> counts(static_cast<std::size_t>(shape.n_experts));
  for (Eigen::Index w = 0; w < n_windows; ++w) {
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      std::fill(counts.begin(), counts.end(), 0);
      for (const std::size_t token : order.subspan(static_cast<std::size_t>(w) * size, size)) {
        for (const std::uint16_t expert : tokens.at(token, layer)) counts[expert] += 1;
      }
      violations(w, layer) = *std::max_element(counts.begin(), counts.end()) / mean - 1;
    }
  }
  return violations;
}

void add_windows(const RoutedTokens& tokens, const LoadOptions& options, UniformNulls& uniform,
                 LoadResult& result) {
  std::vector<std::size_t> order;
  for (std::size_t t = 0; t < tokens.tokens.size(); ++t) {
    if (tokens.tokens[t].selected) order.push_back(t);
  }
  if (static_cast<std::int64_t>(order.size()) < options.window) {
    result.notices.push_back("batches of " + counted(options.window, "token") +
                             ": there are only " + std::to_string(order.size()));
    return;
  }
  const Matrix in_order = window_violations(tokens, order, options.window);
  throw_if_stopped(options.stop);
  RandomStream random(options.seed, "batches in random order");
  shuffle(order, random);
  const Matrix shuffled = window_violations(tokens, order, options.window);
  result.n_windows = in_order.rows();
  for (Eigen::Index layer = 0; layer < in_order.cols(); ++layer) {
    const ChanceLoad chance = uniform.of(options.window, static_cast<int>(layer));
    result.layers[static_cast<std::size_t>(layer)].window = {
        in_order.col(layer).mean(), in_order.col(layer).maxCoeff(), shuffled.col(layer).mean(),
        chance.mean.max_over_mean - 1};
  }
}

void check_options(const Signatures& signatures, const RoutedTokens& tokens,
                   const LoadOptions& options) {
  const RoutingShape& shape = signatures.shape;
  if (options.window > 0 && tokens.n_prompts() != signatures.size()) {
    throw Error(ErrorKind::runtime, "batches of tokens need the tokens");
  }
  const ExpertPlacement& placement = options.placement;
  const std::size_t n_lists = placement.slots.size();
  bool fits = n_lists <= 1 || n_lists == static_cast<std::size_t>(shape.n_layers);
  for (const std::vector<int>& slots : placement.slots) {
    std::vector<char> has_slot(static_cast<std::size_t>(shape.n_experts));
    for (const int expert : slots) {
      fits = fits && expert >= 0 && expert < shape.n_experts;
      if (fits) has_slot[static_cast<std::size_t>(expert)] = 1;
    }
    fits = fits && std::find(has_slot.begin(), has_slot.end(), 0) == has_slot.end();
  }
  if (!fits) throw Error(ErrorKind::runtime, "the placement is not one of these experts");
}

int n_draws_of(const LoadOptions& options, const UnitLoads& loads) {
  if (options.n_draws > 0) return options.n_draws;
  const double cost =
      static_cast<double>(loads.counts.rows()) * static_cast<double>(loads.counts.cols());
  return static_cast<int>(std::clamp(4e9 / cost, 99.0, 499.0));
}

LayerBalance balance_of_layer(const UnitLoads& loads, const RoutingShape& shape, int layer,
                              const RouterOutputs* outputs, const LoadOptions& options) {
  LayerBalance own;
  const ExpertCounts counts =
      loads.counts.middleCols(static_cast<Eigen::Index>(layer) * shape.n_experts, shape.n_experts)
          .colwise()
          .sum();
  own.selections = counts.sum();
  if (!(own.selections > 0)) {
    throw Error(ErrorKind::data, "layer " + std::to_string(layer) + " has no selections");
  }
  if (outputs != nullptr) {
    own.switch_loss =
        shape.n_experts * counts.dot(outputs->probabilities.row(layer)) / own.selections;
    own.z_loss = outputs->z_loss(layer);
  }
  own.load = metrics_of(counts, options.placement, layer);
  for (int e = 0; e < shape.n_experts; ++e) {
    if (counts(e) == 0) own.dead.push_back(e);
  }
  if (shape.top_k == 0) return own;
  own.tokens = loads.tokens.col(layer).sum();
  const double p = shape.top_k / static_cast<double>(shape.n_experts);
  own.expected_dead = shape.n_experts * std::exp(own.tokens * std::log1p(-p));
  return own;
}

}  // namespace

LoadResult load(const Signatures& signatures, std::span<const std::string> groups,
                const RoutedTokens& tokens, const RouterOutputs* outputs,
                const LoadOptions& options) {
  check_options(signatures, tokens, options);
  const UnitLoads loads = unit_loads(signatures, groups);
  LoadResult result;
  result.shape = signatures.shape;
  result.n_units = static_cast<std::size_t>(loads.counts.rows());
  result.grouped = loads.grouped;
  result.dead_bound = 1 - std::pow(0.05, 1 / static_cast<double>(result.n_units));
  const int n_draws = n_draws_of(options, loads);
  UniformNulls uniform(result.shape, options, n_draws);
  double device_mean = 0;
  double device_most = 0;
  for (int layer = 0; layer < result.shape.n_layers; ++layer) {
    LayerBalance own = balance_of_layer(loads, result.shape, layer, outputs, options);
    if (result.shape.top_k > 0) own.uniform = uniform.of(std::llround(own.tokens), layer);
    if (options.placement.n_devices > 0) {
      const double mean = own.selections / options.placement.n_devices;
      device_mean += mean;
      device_most += mean / own.load.balancedness;
    }
    result.layers.push_back(std::move(own));
  }
  if (device_most > 0) result.balancedness = device_mean / device_most;
  if (result.n_units >= min_cluster_units) add_clusters(loads, options, n_draws, result);
  if (options.window > 0) add_windows(tokens, options, uniform, result);
  return result;
}

}  // namespace moexray::stats
