#include "category_contrasts.h"

#include <algorithm>
#include <cmath>

namespace moexray::stats {
namespace {

using Row = Eigen::Array<double, 1, Eigen::Dynamic>;

// What is this small beside the values it is made of is a rounding error.
constexpr double noise = 1e-13;

// Factors of the rate and variance of a set of units.
struct SetOfUnits {
  double per_token;
  double per_unit;
  double per_degree;
  double unit_factor;  // n / (Σ T)²
  double token_squares;

  SetOfUnits(double n, double tokens, double squares)
      : per_token(1 / tokens),
        per_unit(1 / n),
        per_degree(1 / std::max(n - 1, 1.0)),
        unit_factor(n / (tokens * tokens)),
        token_squares(squares) {}

  // Σ (A − T π)², where all T are equal: from Σ A and Σ A².
  double residuals(double sum, double squares) const {
    const double result = squares - sum * sum * per_unit;
    return result > noise * squares ? result : 0;
  }
  // Where they are not: from π, Σ A² and Σ A·T.
  double residuals(double rate, double squares, double products) const {
    const double result = squares - 2 * rate * products + rate * rate * token_squares;
    return result > noise * squares ? result : 0;
  }
  double variance(double squares, double pooled) const {
    return std::max(squares * per_degree, pooled) * unit_factor;
  }
};

}  // namespace

CategoryContrasts::CategoryContrasts(const CountMatrix& counts, std::int64_t n_tokens,
                                     const Units& units, std::size_t n_categories)
    : n_categories_(n_categories) {
  const auto n_prompt_tokens = static_cast<double>(n_tokens);
  if (units.nested()) {
    const auto n_units = static_cast<Eigen::Index>(units.size());
    values_ = Matrix::Zero(n_units, counts.cols());
    tokens_ = Vector::Zero(n_units);
    for (Eigen::Index u = 0; u < n_units; ++u) {
      const auto& members = units.members[static_cast<std::size_t>(u)];
      for (const std::size_t i : members) {
        values_.row(u) += counts.row(static_cast<Eigen::Index>(i)).cast<double>();
        tokens_(u) += n_prompt_tokens;
      }
      prompt_.push_back(members.front());
    }
  } else {
    values_ = counts.cast<double>();
    tokens_ = Vector::Constant(counts.rows(), n_prompt_tokens);
    for (std::size_t i = 0; i < units.of_prompt.size(); ++i) prompt_.push_back(i);
    for (const std::vector<std::size_t>& members : units.members) {
      Row mean = Row::Zero(counts.cols());
      for (const std::size_t i : members) mean += values_.row(static_cast<Eigen::Index>(i)).array();
      mean /= static_cast<double>(members.size());
      for (const std::size_t i : members)
        values_.row(static_cast<Eigen::Index>(i)) -= mean.matrix();
    }
  }
  squares_ = values_.array().square();
  equal_tokens_ = (tokens_.array() == tokens_(0)).all();
  if (!equal_tokens_) products_ = values_.array().colwise() * tokens_.array();
}

std::vector<int> CategoryContrasts::row_labels(std::span<const int> labels_of_prompts) const {
  std::vector<int> labels;
  labels.reserve(prompt_.size());
  for (const std::size_t i : prompt_) labels.push_back(labels_of_prompts[i]);
  return labels;
}

void CategoryContrasts::sum_up(std::span<const int> labels, Eigen::Index first, Eigen::Index n,
                               Scratch& scratch) const {
  const auto n_categories = static_cast<Eigen::Index>(n_categories_);
  scratch.sums.setZero(n_categories, n);
  scratch.squares.setZero(n_categories, n);
  if (!equal_tokens_) scratch.products.setZero(n_categories, n);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    scratch.sums.row(labels[i]) += values_.row(row).segment(first, n);
    scratch.squares.row(labels[i]) += squares_.row(row).segment(first, n);
    if (!equal_tokens_) scratch.products.row(labels[i]) += products_.row(row).segment(first, n);
  }
}

void CategoryContrasts::t_values(std::span<const int> labels, Eigen::Index first, Eigen::Index n,
                                 Scratch& scratch, Matrix& t) const {
  sum_up(labels, first, n, scratch);
  std::vector<Sizes> sizes(n_categories_);
  Sizes all;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double tokens = tokens_(static_cast<Eigen::Index>(i));
    for (Sizes* s : {&sizes[static_cast<std::size_t>(labels[i])], &all}) {
      s->n += 1;
      s->tokens += tokens;
      s->token_squares += tokens * tokens;
    }
  }
  const Row sum = scratch.sums.colwise().sum();
  const Row square_sum = scratch.squares.colwise().sum();
  const Row product_sum = equal_tokens_ ? Row() : Row(scratch.products.colwise().sum());
  // The typical size of a rate, which differences are compared with.
  const Row scale = (square_sum / all.n).sqrt() * (all.n / all.tokens);
  const double pooled_factor = 1 / std::max(all.n - 2, 1.0);
  t.resize(static_cast<Eigen::Index>(n_categories_), n);
  // One loop for everything: what a column needs stays in registers.
  for (Eigen::Index c = 0; c < t.rows(); ++c) {
    const Sizes& size = sizes[static_cast<std::size_t>(c)];
    const SetOfUnits own(size.n, size.tokens, size.token_squares);
    const SetOfUnits others(all.n - size.n, all.tokens - size.tokens,
                            all.token_squares - size.token_squares);
    for (Eigen::Index j = 0; j < n; ++j) {
      const double s = scratch.sums(c, j);
      const double ss = scratch.squares(c, j);
      const double own_rate = s * own.per_token;
      const double other_rate = (sum(j) - s) * others.per_token;
      double own_squares = own.residuals(s, ss);
      double other_squares = others.residuals(sum(j) - s, square_sum(j) - ss);
      if (!equal_tokens_) {
        const double products = scratch.products(c, j);
        own_squares = own.residuals(own_rate, ss, products);
        other_squares = others.residuals(other_rate, square_sum(j) - ss, product_sum(j) - products);
      }
      const double pooled = (own_squares + other_squares) * pooled_factor;
      const double variance =
          own.variance(own_squares, pooled) + others.variance(other_squares, pooled);
      const double difference = own_rate - other_rate;
      t(c, j) = std::abs(difference) <= noise * scale(j) ? 0 : difference / std::sqrt(variance);
    }
  }
}

}  // namespace moexray::stats
