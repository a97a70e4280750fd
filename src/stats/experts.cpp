#include "moexray/stats/experts.h"

#include <algorithm>
#include <map>

#include "moexray/core/wording.h"
#include "moexray/stats/load_metrics.h"
#include "moexray/stats/ties.h"

namespace moexray::stats {
namespace {

// A of the prompts [rows], summed over them: [L, E].
Matrix summed_counts(const Signatures& signatures, const std::vector<Eigen::Index>& rows,
                     bool weighted) {
  const Eigen::Index n_layers = signatures.shape.n_layers;
  const Eigen::Index n_experts = signatures.shape.n_experts;
  Matrix counts = Matrix::Zero(n_layers, n_experts);
  for (const Eigen::Index row : rows) {
    for (Eigen::Index layer = 0; layer < n_layers; ++layer) {
      counts.row(layer) += signatures.layer_sums(row, layer) *
                           signatures.values.row(row).segment(layer * n_experts, n_experts);
    }
  }
  // Shares times their sums miss the integers they come from by rounding errors.
  if (!weighted) counts = counts.array().round().matrix();
  return counts;
}

void add_layer(int layer, const ExpertOptions& options, ExpertsResult& result) {
  const Eigen::RowVectorXd counts = result.counts.row(layer);
  const auto n_experts = static_cast<double>(counts.size());
  LayerLoad load;
  load.count = counts.sum();
  const Eigen::RowVectorXd shares = counts / load.count;
  const LoadMetrics metrics = load_metrics(counts);
  load.entropy = metrics.entropy;
  load.load_cv = metrics.cv;
  const double most = counts.maxCoeff();
  for (Eigen::Index e = 0; e < counts.size(); ++e) {
    const ExpertUse use{layer, static_cast<int>(e), counts(e), shares(e), shares(e) * n_experts};
    // Sums of weights that are the same may differ in their last digit.
    if (equal_within_rounding(use.count, most, effect_rounding) && load.n_busiest++ == 0) {
      load.busiest = use;
    }
    if (use.count == 0) {
      ++load.n_unused;
      result.unused.push_back(use);
    } else if (use.share_over_uniform < options.underused) {
      ++load.n_underused;
      result.underused.push_back(use);
    } else if (use.share_over_uniform > options.overloaded) {
      ++load.n_overloaded;
      result.overloaded.push_back(use);
    }
  }
  load.collapsed =
      !result.too_few_tokens && 2 * (load.n_unused + load.n_underused) >= counts.size();
  result.layers.push_back(load);
}

// Few selections leave experts unused by chance.
void tell_if_few(const Signatures& signatures, ExpertsResult& result) {
  const int top_k = signatures.shape.top_k;
  // Counts may not say how many experts a token takes.
  const double n_selections =
      top_k > 0 ? static_cast<double>(signatures.layer_tokens.colwise().sum().minCoeff()) * top_k
                : signatures.layer_sums.colwise().sum().minCoeff();
  if (n_selections < 5.0 * signatures.shape.n_experts && top_k < signatures.shape.n_experts) {
    result.too_few_tokens = true;
    const auto n = static_cast<std::int64_t>(n_selections);
    result.notices.push_back("only " +
                             (top_k > 0 ? counted(n / top_k, "token") : counted(n, "selection")) +
                             ": experts may be unused or overloaded by chance");
  }
}

}  // namespace

ExpertsResult expert_usage(const Signatures& signatures, const ExpertOptions& options) {
  std::map<std::string, std::vector<Eigen::Index>> members;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    members[signatures.categories[i]].push_back(static_cast<Eigen::Index>(i));
  }
  ExpertsResult result;
  result.overloaded_above = options.overloaded;
  result.counts = Matrix::Zero(signatures.shape.n_layers, signatures.shape.n_experts);
  for (const auto& [category, rows] : members) {
    result.categories.push_back(category);
    result.category_counts.push_back(summed_counts(signatures, rows, options.weighted));
    result.counts += result.category_counts.back();
  }
  tell_if_few(signatures, result);
  for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
    add_layer(layer, options, result);
  }
  std::stable_sort(result.overloaded.begin(), result.overloaded.end(),
                   [](const ExpertUse& a, const ExpertUse& b) {
                     return tie_key(a.share, similarity_rounding) >
                            tie_key(b.share, similarity_rounding);
                   });
  return result;
}

Matrix expert_shares(const Matrix& counts) {
  Matrix shares = counts;
  for (Eigen::Index layer = 0; layer < shares.rows(); ++layer) {
    const double sum = shares.row(layer).sum();
    if (sum > 0) shares.row(layer) /= sum;
  }
  return shares;
}

}  // namespace moexray::stats
