#include "token_information.h"

#include <cmath>

#include "moexray/core/error.h"

namespace moexray::stats {

TokenInformationCounts::TokenInformationCounts(const Signatures& signatures)
    : shape_(signatures.shape), n_tokens_(signatures.n_tokens) {
  const Eigen::Index n = signatures.values.rows();
  counts_.resize(n, signatures.values.cols());
  for (Eigen::Index i = 0; i < n; ++i) {
    for (int layer = 0; layer < shape_.n_layers; ++layer) {
      const std::int64_t tokens = n_tokens_[static_cast<std::size_t>(i)];
      const double sum = signatures.layer_sums(i, layer);
      if (signatures.layer_tokens(i, layer) != tokens ||
          sum != static_cast<double>(tokens * shape_.top_k)) {
        throw Error(ErrorKind::data,
                    {"mutual information of experts",
                     "prompt \"" + signatures.ids[static_cast<std::size_t>(i)] + "\"",
                     "counts of selections (not --weighted), the same tokens at every layer",
                     {}});
      }
      for (int e = 0; e < shape_.n_experts; ++e) {
        const Eigen::Index column = static_cast<Eigen::Index>(layer) * shape_.n_experts + e;
        counts_(i, column) = std::llround(signatures.values(i, column) * sum);
      }
    }
    n_all_ += n_tokens_[static_cast<std::size_t>(i)];
  }
  table_.resize(static_cast<std::size_t>(n_all_ * shape_.top_k) + 1);
  for (std::size_t i = 1; i < table_.size(); ++i) {
    table_[i] = static_cast<double>(i) * std::log2(static_cast<double>(i));
  }
}

// With N I = Σ_zc n_zc log n_zc − Σ_z n_z log n_z − Σ_c n_c log n_c + N log N.
TokenInformationCounts::PlugIn TokenInformationCounts::plug_in(std::span<const int> labels,
                                                               int n_categories) const {
  CountMatrix sums = CountMatrix::Zero(n_categories, counts_.cols());
  std::vector<std::int64_t> n_tokens(static_cast<std::size_t>(n_categories));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sums.row(labels[i]) += counts_.row(static_cast<Eigen::Index>(i));
    n_tokens[static_cast<std::size_t>(labels[i])] += n_tokens_[i];
  }
  const std::int64_t k = shape_.top_k;
  double tokens_term = n_log_n(n_all_);
  double selections_term = n_log_n(k * n_all_);
  for (const std::int64_t n : n_tokens) {
    tokens_term -= n_log_n(n);
    selections_term -= n_log_n(k * n);
  }
  PlugIn result{Vector(counts_.cols()), Vector::Zero(shape_.n_layers)};
  for (Eigen::Index column = 0; column < counts_.cols(); ++column) {
    std::int64_t total = 0;
    double selected = 0;
    double others = 0;
    for (int c = 0; c < n_categories; ++c) {
      const std::int64_t a = sums(c, column);
      total += a;
      selected += n_log_n(a);
      others += n_log_n(n_tokens[static_cast<std::size_t>(c)] - a);
    }
    selected -= n_log_n(total);
    result.experts(column) =
        (selected + others - n_log_n(n_all_ - total) + tokens_term) / static_cast<double>(n_all_);
    result.layers(column / shape_.n_experts) += selected;
  }
  result.layers = (result.layers.array() + selections_term) / static_cast<double>(k * n_all_);
  return result;
}

TokenInformationCounts::PlugIn TokenInformationCounts::miller_bias(int n_categories) const {
  const double per_cell = (n_categories - 1) / (2 * static_cast<double>(n_all_) * std::log(2.0));
  PlugIn result{Vector::Zero(counts_.cols()), Vector::Zero(shape_.n_layers)};
  const Eigen::Matrix<std::int64_t, 1, Eigen::Dynamic> totals = counts_.colwise().sum();
  for (Eigen::Index column = 0; column < counts_.cols(); ++column) {
    if (totals(column) > 0 && totals(column) < n_all_) result.experts(column) = per_cell;
    if (totals(column) > 0) {
      result.layers(column / shape_.n_experts) += per_cell / shape_.top_k;
    }
  }
  result.layers.array() -= per_cell / shape_.top_k;
  return result;
}

}  // namespace moexray::stats
