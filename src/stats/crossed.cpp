#include "moexray/stats/crossed.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "moexray/core/wording.h"
#include "pair_means.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// The complete wordings: rows of prompts, [units][levels].
struct CrossedDesign {
  std::vector<std::string> levels;
  std::vector<std::string> wordings;
  std::vector<std::vector<Eigen::Index>> rows;
  std::vector<int> category;  // [units]
  std::string reason;
};

CrossedDesign crossed_design(const CategoryIndex& categories, std::span<const std::string> topics,
                             std::span<const std::string> wordings) {
  CrossedDesign design;
  std::map<std::string, std::vector<Eigen::Index>> members;
  std::set<std::string> levels;
  for (std::size_t i = 0; i < topics.size(); ++i) {
    if (topics[i].empty() || wordings[i].empty()) continue;
    levels.insert(topics[i]);
    members[wordings[i]].push_back(static_cast<Eigen::Index>(i));
  }
  design.levels.assign(levels.begin(), levels.end());
  for (const auto& [wording, rows] : members) {
    const auto category_of = [&](Eigen::Index row) {
      return categories.of_prompt[static_cast<std::size_t>(row)];
    };
    const int category = category_of(rows.front());
    if (std::any_of(rows.begin(), rows.end(),
                    [&](Eigen::Index row) { return category_of(row) != category; })) {
      design.reason = fmt::format("the unit {} has prompts of several categories",
                                  quoted_list(std::vector<std::string>{wording}));
      return design;
    }
    std::vector<Eigen::Index> by_level(levels.size(), -1);
    for (const Eigen::Index row : rows) {
      const auto level =
          std::distance(levels.begin(), levels.find(topics[static_cast<std::size_t>(row)]));
      by_level[static_cast<std::size_t>(level)] = row;
    }
    const bool complete = rows.size() == levels.size() &&
                          std::find(by_level.begin(), by_level.end(), -1) == by_level.end();
    if (!complete) continue;
    design.wordings.push_back(wording);
    design.rows.push_back(by_level);
    design.category.push_back(category);
  }
  return design;
}

// Categories without a complete wording are none of the design's.
CategoryIndex categories_of_units(const CrossedDesign& design, const CategoryIndex& categories) {
  CategoryIndex result;
  std::vector<int> number(categories.names.size(), -1);
  for (std::size_t c = 0; c < number.size(); ++c) {
    const auto n = std::count(design.category.begin(), design.category.end(), static_cast<int>(c));
    if (n == 0) continue;
    number[c] = static_cast<int>(result.names.size());
    result.names.push_back(categories.names[c]);
    result.n_prompts.push_back(n);
  }
  for (const int c : design.category) {
    result.of_prompt.push_back(number[static_cast<std::size_t>(c)]);
  }
  return result;
}

std::string reason_against(const CrossedDesign& design, const CategoryIndex& units) {
  if (!design.reason.empty()) return design.reason;
  if (design.levels.size() < 2) {
    return fmt::format("{} of the crossed key, and two are needed",
                       counted(std::ssize(design.levels), "value"));
  }
  if (units.names.size() < 2) {
    return fmt::format("units with every value of the crossed key lie in {}, and two are needed",
                       counted(std::ssize(units.names), "category", "categories"));
  }
  if (std::ssize(design.rows) == std::ssize(units.names)) {
    return "every category has one unit with every value of the crossed key, and two are needed";
  }
  return {};
}

double squares_of_sums(const Matrix& sums, const std::vector<double>& sizes) {
  double result = 0;
  for (Eigen::Index i = 0; i < sums.rows(); ++i) {
    result += sums.row(i).squaredNorm() / sizes[static_cast<std::size_t>(i)];
  }
  return result;
}

// Sums of squares of a balanced design, B prompts in every wording.
class CrossedSquares {
 public:
  CrossedSquares(const Matrix& blocks, const CrossedDesign& design, std::size_t n_categories)
      : n_units_(static_cast<Eigen::Index>(design.rows.size())),
        n_levels_(static_cast<Eigen::Index>(design.levels.size())),
        n_categories_(static_cast<Eigen::Index>(n_categories)) {
    Matrix rows(n_units_ * n_levels_, blocks.cols());
    for (Eigen::Index u = 0; u < n_units_; ++u) {
      for (Eigen::Index b = 0; b < n_levels_; ++b) {
        rows.row(u * n_levels_ + b) =
            blocks.row(design.rows[static_cast<std::size_t>(u)][static_cast<std::size_t>(b)]);
      }
    }
    const Eigen::RowVectorXd mean = rows.colwise().mean();
    rows.rowwise() -= mean;
    rows = compact_rows(rows);
    total = rows.squaredNorm();
    units_.resize(n_units_, rows.cols());
    for (Eigen::Index u = 0; u < n_units_; ++u) {
      auto own = rows.middleRows(u * n_levels_, n_levels_);
      units_.row(u) = own.colwise().mean();
      own.rowwise() -= units_.row(u).eval();
    }
    patterns_ = std::move(rows);
    within_units = patterns_.squaredNorm();
  }

  // Between categories, if wordings had these.
  double of_categories(const std::vector<int>& labels) const {
    Matrix sums = Matrix::Zero(n_categories_, units_.cols());
    for (Eigen::Index u = 0; u < n_units_; ++u) sums.row(label(labels, u)) += units_.row(u);
    return static_cast<double>(n_levels_) * squares_of_sums(sums, sizes(labels));
  }

  // Between topics, if prompts had these.
  double of_topics(const std::vector<int>& labels) const {
    Matrix sums = Matrix::Zero(n_levels_, patterns_.cols());
    for (Eigen::Index i = 0; i < patterns_.rows(); ++i) {
      sums.row(label(labels, i)) += patterns_.row(i);
    }
    return sums.squaredNorm() / static_cast<double>(n_units_);
  }

  // Between the cells of category and topic, of prompts without their wording's mean: that of the
  // topics and of the interaction.
  double of_cells(const std::vector<int>& of_units, const std::vector<int>& of_prompts) const {
    Matrix sums = Matrix::Zero(n_categories_ * n_levels_, patterns_.cols());
    for (Eigen::Index i = 0; i < patterns_.rows(); ++i) {
      sums.row(label(of_units, i / n_levels_) * n_levels_ + label(of_prompts, i)) +=
          patterns_.row(i);
    }
    std::vector<double> n;
    for (const double size : sizes(of_units)) {
      n.insert(n.end(), static_cast<std::size_t>(n_levels_), size);
    }
    return squares_of_sums(sums, n);
  }

  double total = 0;
  double within_units = 0;

 private:
  static Eigen::Index label(const std::vector<int>& labels, Eigen::Index i) {
    return labels[static_cast<std::size_t>(i)];
  }
  std::vector<double> sizes(const std::vector<int>& labels) const {
    std::vector<double> n(static_cast<std::size_t>(n_categories_));
    for (const int c : labels) ++n[static_cast<std::size_t>(c)];
    return n;
  }

  Eigen::Index n_units_;
  Eigen::Index n_levels_;
  Eigen::Index n_categories_;
  Matrix units_;     // [units, D] means, of which the mean has been taken off
  Matrix patterns_;  // [units · levels, D] prompts without their wording's mean
};

// F of one part of a sum that is split into two.
double pseudo_f(double effect, double rest, const CrossedEffect& of, const CrossedEffect& noise) {
  return (effect / static_cast<double>(of.degrees_of_freedom)) /
         (rest / static_cast<double>(noise.degrees_of_freedom));
}

void count_reached(const std::vector<double>& drawn, PermutationTest& test) {
  if (std::isnan(test.statistic)) return;
  const auto n = std::count_if(drawn.begin(), drawn.end(), [&](double f) {
    return !(f < test.statistic) || reaches(f, test.statistic);
  });
  test.n_draws = static_cast<int>(drawn.size());
  test.p_value = permutation_p_value(n, test.n_draws);
}

}  // namespace

CrossedTests test_crossed(const Matrix& blocks, const CategoryIndex& categories,
                          std::span<const std::string> topics,
                          std::span<const std::string> wordings,
                          const PermutationOptions& options) {
  const CrossedDesign design = crossed_design(categories, topics, wordings);
  const CategoryIndex of_units = categories_of_units(design, categories);
  CrossedTests result;
  result.levels = design.levels;
  result.n_units = design.rows.size();
  result.n_prompts = design.rows.size() * design.levels.size();
  result.n_left_out = static_cast<std::size_t>(blocks.rows()) - result.n_prompts;
  result.reason = reason_against(design, of_units);
  if (!result.reason.empty()) return result;

  const CrossedSquares squares(blocks, design, of_units.names.size());
  const auto n_units = static_cast<std::int64_t>(design.rows.size());
  const auto n_categories = std::ssize(of_units.names);
  const auto n_levels = std::ssize(design.levels);
  // Topics of prompts, wording by wording.
  CategoryIndex of_prompts{.names = design.levels,
                           .of_prompt = {},
                           .n_prompts = std::vector<std::int64_t>(design.levels.size(), n_units)};
  std::vector<std::string> ids;
  std::vector<std::string> groups;
  for (const std::string& wording : design.wordings) {
    for (int b = 0; b < n_levels; ++b) {
      of_prompts.of_prompt.push_back(b);
      ids.push_back(wording + " " + std::to_string(b));
      groups.push_back(wording);
    }
  }
  const Units units = make_units(design.wordings, of_units);
  const Units blocks_of_topics = make_units(ids, of_prompts, groups);

  const auto set = [&](CrossedEffect& effect, double sum_of_squares, std::int64_t df) {
    effect.sum_of_squares = sum_of_squares;
    effect.degrees_of_freedom = df;
    if (squares.total > 0) effect.r_squared = sum_of_squares / squares.total;
  };
  const double cells = squares.of_cells(of_units.of_prompt, of_prompts.of_prompt);
  const double topic = squares.of_topics(of_prompts.of_prompt);
  const double category = squares.of_categories(of_units.of_prompt);
  const double all_units = squares.total - squares.within_units;
  set(result.category, category, n_categories - 1);
  set(result.between, all_units - category, n_units - n_categories);
  set(result.topic, topic, n_levels - 1);
  set(result.interaction, cells - topic, (n_categories - 1) * (n_levels - 1));
  set(result.within, squares.within_units - cells, (n_units - n_categories) * (n_levels - 1));

  const auto f_of_category = [&](double sum) {
    return pseudo_f(sum, all_units - sum, result.category, result.between);
  };
  const auto f_within = [&](double sum, double of_cells, const CrossedEffect& effect) {
    return pseudo_f(sum, squares.within_units - of_cells, effect, result.within);
  };
  // Prompts that are all alike leave rounding errors to divide by each other.
  const double rounding = 1e-12 * static_cast<double>(result.n_prompts);
  if (all_units > rounding) result.category.test.statistic = f_of_category(category);
  if (squares.within_units > rounding) {
    result.topic.test.statistic = f_within(topic, cells, result.topic);
    result.interaction.test.statistic = f_within(cells - topic, cells, result.interaction);
  }
  if (smallest_p_value(units, of_units) > 0.999) return result;

  const auto n_draws = static_cast<std::size_t>(options.n_permutations);
  std::vector<double> categories_drawn(n_draws);
  std::vector<double> topics_drawn(n_draws);
  std::vector<double> interactions_drawn(n_draws);
  constexpr int batch = 64;
  parallel_for((options.n_permutations + batch - 1) / batch, options.n_threads, [&](int i) {
    throw_if_stopped(options.stop);
    for (int r = i * batch; r < std::min((i + 1) * batch, options.n_permutations); ++r) {
      const auto draw = static_cast<std::size_t>(r);
      const auto units_moved = relabelling(units, of_units, options.seed, r);
      categories_drawn[draw] = f_of_category(squares.of_categories(units_moved));
      const double other_cells = squares.of_cells(units_moved, of_prompts.of_prompt);
      interactions_drawn[draw] = f_within(other_cells - topic, other_cells, result.interaction);
      const auto topics_moved = relabelling(blocks_of_topics, of_prompts, options.seed, r);
      topics_drawn[draw] =
          f_within(squares.of_topics(topics_moved),
                   squares.of_cells(of_units.of_prompt, topics_moved), result.topic);
    }
  });
  count_reached(categories_drawn, result.category.test);
  count_reached(topics_drawn, result.topic.test);
  count_reached(interactions_drawn, result.interaction.test);
  return result;
}

}  // namespace moexray::stats
