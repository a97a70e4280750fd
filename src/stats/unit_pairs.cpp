#include "unit_pairs.h"

#include <algorithm>

namespace moexray::stats {
namespace {

std::vector<UnitPart> parts_of(const CategoryIndex& categories, const Units& units) {
  std::vector<UnitPart> parts;
  for (int c = 0; c < static_cast<int>(categories.names.size()); ++c) {
    for (std::size_t u = 0; u < units.size(); ++u) {
      if (units.category[u] >= 0 && units.category[u] != c) continue;
      UnitPart part{static_cast<int>(u), c, {}};
      for (const std::size_t row : units.members[u]) {
        if (categories.of_prompt[row] == c) part.rows.push_back(row);
      }
      if (!part.rows.empty()) parts.push_back(std::move(part));
    }
  }
  return parts;
}

double value_at(const Matrix& matrix, std::size_t i, std::size_t j) {
  return matrix(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
}

}  // namespace

UnitPairs::UnitPairs(const Matrix& similarity, const CategoryIndex& categories, const Units& units,
                     InnerPairs inner)
    : n_categories_(static_cast<int>(categories.names.size())),
      parts_(parts_of(categories, units)),
      parts_of_unit_(units.size()),
      inner_(units.size()) {
  const auto n = static_cast<double>(similarity.rows());
  if (n > 1) shift_ = (similarity.sum() - similarity.diagonal().sum()) / (n * (n - 1));
  first_of_category_.assign(static_cast<std::size_t>(n_categories_) + 1, 0);
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    parts_of_unit_[static_cast<std::size_t>(parts_[p].unit)].push_back(
        static_cast<Eigen::Index>(p));
    first_of_category_[static_cast<std::size_t>(parts_[p].category) + 1] =
        static_cast<Eigen::Index>(p) + 1;
  }
  const auto n_parts = static_cast<Eigen::Index>(parts_.size());
  sums_ = Eigen::MatrixXd::Zero(n_parts, n_parts);
  squares_ = Eigen::MatrixXd::Zero(n_parts, n_parts);
  for (Eigen::Index q = 0; q < n_parts; ++q) {
    const UnitPart& b = parts_[static_cast<std::size_t>(q)];
    for (Eigen::Index p = 0; p < n_parts; ++p) {
      const UnitPart& a = parts_[static_cast<std::size_t>(p)];
      if (a.unit == b.unit) continue;
      for (const std::size_t i : a.rows) {
        for (const std::size_t j : b.rows) {
          const double s = value_at(similarity, i, j) - shift_;
          sums_(p, q) += s;
          squares_(p, q) += s * s;
        }
      }
    }
  }
  if (inner == InnerPairs::leave_out) return;
  for (std::size_t u = 0; u < units.size(); ++u) add_inner_pairs(similarity, u);
}

void UnitPairs::add_inner_pairs(const Matrix& similarity, std::size_t unit) {
  for (const Eigen::Index p : parts_of_unit_[unit]) {
    for (const Eigen::Index q : parts_of_unit_[unit]) {
      if (q < p) continue;
      const UnitPart& a = parts_[static_cast<std::size_t>(p)];
      const UnitPart& b = parts_[static_cast<std::size_t>(q)];
      InnerCell inner{static_cast<std::size_t>(a.category * n_categories_ + b.category), {}};
      for (const std::size_t i : a.rows) {
        for (const std::size_t j : b.rows) {
          if (p == q && j <= i) continue;
          const double s = value_at(similarity, i, j) - shift_;
          inner.moments += {1, s, s * s};
        }
      }
      if (inner.moments.n > 0) inner_[unit].push_back(inner);
    }
  }
}

UnitPairs::Weighted::Weighted(const UnitPairs& pairs, const Eigen::MatrixXd& weights)
    : pairs_(pairs), weights_(weights) {
  const auto n_parts = static_cast<Eigen::Index>(pairs.parts_.size());
  Eigen::MatrixXd of_parts(n_parts, weights.cols());
  n_prompts_ = Eigen::MatrixXd::Zero(pairs.n_categories_, weights.cols());
  for (Eigen::Index p = 0; p < n_parts; ++p) {
    const UnitPart& part = pairs.parts_[static_cast<std::size_t>(p)];
    of_parts.row(p) = weights.row(part.unit);
    n_prompts_.row(part.category) += static_cast<double>(part.rows.size()) * of_parts.row(p);
  }
  for (int c = 0; c < pairs.n_categories_; ++c) {
    const Eigen::Index first = pairs.first_of_category_[static_cast<std::size_t>(c)];
    const Eigen::Index n = pairs.first_of_category_[static_cast<std::size_t>(c) + 1] - first;
    const auto own = of_parts.middleRows(first, n);
    sums_.emplace_back(pairs.sums_.middleCols(first, n) * own);
    squares_.emplace_back(pairs.squares_.middleCols(first, n) * own);
  }
}

std::size_t UnitPairs::Weighted::cell(int a, int b) const {
  return static_cast<std::size_t>(std::min(a, b) * pairs_.n_categories_ + std::max(a, b));
}

PairTotals UnitPairs::Weighted::totals(Eigen::Index weighting) const {
  const int k = pairs_.n_categories_;
  PairTotals result;
  result.cells.resize(static_cast<std::size_t>(k) * static_cast<std::size_t>(k));
  PairTotals one = result;
  std::vector<std::size_t> touched;
  // Every pair of two units goes with either of them, every pair inside a unit with one alone.
  for (std::size_t u = 0; u < pairs_.n_units(); ++u) {
    const double weight = weights_(static_cast<Eigen::Index>(u), weighting);
    if (weight == 0) continue;
    one_copy(weighting, u, one, touched);
    for (const InnerCell& inner : pairs_.inner_[u]) one.cells[inner.cell] += inner.moments;
    for (const std::size_t c : touched) {
      result.cells[c] += 0.5 * weight * one.cells[c];
      one.cells[c] = {};
    }
    touched.clear();
  }
  for (std::size_t c = 0; c < result.cells.size(); ++c) {
    const bool diagonal = c / static_cast<std::size_t>(k) == c % static_cast<std::size_t>(k);
    (diagonal ? result.within : result.across) += result.cells[c];
  }
  return result;
}

void UnitPairs::Weighted::one_copy(Eigen::Index weighting, std::size_t unit, PairTotals& totals,
                                   std::vector<std::size_t>& touched) const {
  const double weight = weights_(static_cast<Eigen::Index>(unit), weighting);
  const auto add = [&](std::size_t c, bool within, const PairMoments& moments) {
    totals.cells[c] += moments;
    (within ? totals.within : totals.across) += moments;
  };
  for (const Eigen::Index p : pairs_.parts_of_unit_[unit]) {
    const UnitPart& part = pairs_.parts_[static_cast<std::size_t>(p)];
    const auto n_own = static_cast<double>(part.rows.size());
    for (int c = 0; c < pairs_.n_categories_; ++c) {
      const auto i = static_cast<std::size_t>(c);
      add(cell(part.category, c), part.category == c,
          {n_own * n_prompts_(c, weighting), sums_[i](p, weighting), squares_[i](p, weighting)});
      // Only the parts of one unit share cells.
      const bool seen =
          p != pairs_.parts_of_unit_[unit].front() &&
          std::find(touched.begin(), touched.end(), cell(part.category, c)) != touched.end();
      if (!seen) touched.push_back(cell(part.category, c));
    }
    for (const Eigen::Index q : pairs_.parts_of_unit_[unit]) {
      const UnitPart& other = pairs_.parts_[static_cast<std::size_t>(q)];
      add(cell(part.category, other.category), part.category == other.category,
          {-weight * n_own * static_cast<double>(other.rows.size()), 0, 0});
    }
  }
  for (const InnerCell& inner : pairs_.inner_[unit]) {
    const auto k = static_cast<std::size_t>(pairs_.n_categories_);
    add(inner.cell, inner.cell / k == inner.cell % k, inner.moments);
  }
}

}  // namespace moexray::stats
