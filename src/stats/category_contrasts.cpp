#include "category_contrasts.h"

#include <algorithm>

namespace moexray::stats {
namespace {

using Row = Eigen::Array<double, 1, Eigen::Dynamic>;

// What is this small beside the values it is made of is a rounding error.
constexpr double noise = 1e-13;

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
  Row rate;
  // Σ (A − T π)² of a set, whose rate is left in `rate`.
  const auto residuals = [&](const Sizes& size, const Row& s, const Row& ss, const Row& products) {
    rate = s / size.tokens;
    Row squares = ss - s * s / size.n;
    if (!equal_tokens_) squares = ss - 2 * rate * products + rate.square() * size.token_squares;
    return Row((squares > noise * ss).select(squares, 0.0));
  };
  t.resize(static_cast<Eigen::Index>(n_categories_), n);
  for (Eigen::Index c = 0; c < t.rows(); ++c) {
    const Sizes& own = sizes[static_cast<std::size_t>(c)];
    const Sizes others{all.n - own.n, all.tokens - own.tokens,
                       all.token_squares - own.token_squares};
    const Row s = scratch.sums.row(c);
    const Row ss = scratch.squares.row(c);
    const Row products = equal_tokens_ ? Row() : Row(scratch.products.row(c));
    const Row own_squares = residuals(own, s, ss, products);
    Row difference = rate;
    const Row other_squares = residuals(others, sum - s, square_sum - ss,
                                        equal_tokens_ ? Row() : Row(product_sum - products));
    difference -= rate;
    const Row pooled = (own_squares + other_squares) / std::max(all.n - 2, 1.0);
    const auto variance = [&](const Sizes& size, const Row& squares) {
      const double degrees = std::max(size.n - 1, 1.0);
      return (squares / degrees).max(pooled) * (size.n / (size.tokens * size.tokens));
    };
    const Row total = variance(own, own_squares) + variance(others, other_squares);
    t.row(c) = (difference.abs() <= noise * scale).select(0.0, difference / total.sqrt()).matrix();
  }
}

}  // namespace moexray::stats
