#include "moexray/stats/expert_categories.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "category_contrasts.h"
#include "max_t.h"
#include "moexray/stats/permutation_tests.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// Relabellings that are one step of work.
constexpr int batch = 32;
// Columns that are looked at together, so that the rows stay in the cache.
constexpr Eigen::Index panel = 256;

std::int64_t n_batches(std::int64_t n_permutations) { return (n_permutations + batch - 1) / batch; }

std::int64_t permutations_of(std::size_t n_units, const RoutingShape& shape,
                             std::size_t n_categories, const ExpertCategoriesOptions& options) {
  return options.n_permutations > 0 ? options.n_permutations
                                    : default_permutations(n_units, shape, n_categories);
}

MaxTNull relabelled(const CategoryContrasts& contrasts, const CategoryIndex& categories,
                    const Units& units, std::int64_t n_permutations,
                    const ExpertCategoriesOptions& options) {
  MaxTNull null{.largest = std::vector<double>(static_cast<std::size_t>(n_permutations))};
  std::mutex mutex;
  const auto n = static_cast<int>(n_permutations);
  parallel_for(static_cast<int>(n_batches(n)), options.n_threads, [&](int i) {
    throw_if_stopped(options.work.stop);
    const int begin = i * batch;
    const int end = std::min(n, begin + batch);
    std::vector<std::vector<int>> labels;
    for (int r = begin; r < end; ++r) {
      labels.push_back(contrasts.row_labels(relabelling(units, categories, options.seed, r)));
    }
    PooledHistogram pooled;
    CategoryContrasts::Scratch scratch;
    Matrix t;
    for (Eigen::Index first = 0; first < contrasts.n_columns(); first += panel) {
      const Eigen::Index width = std::min(panel, contrasts.n_columns() - first);
      for (int r = begin; r < end; ++r) {
        contrasts.t_values(labels[static_cast<std::size_t>(r - begin)], first, width, scratch, t);
        double& largest = null.largest[static_cast<std::size_t>(r)];
        largest = std::max(largest, t.cwiseAbs().maxCoeff());
        for (const double value : std::span(t.data(), static_cast<std::size_t>(t.size()))) {
          pooled.add(value);
        }
      }
    }
    {
      // Sums of integers: in whatever order, the same.
      const std::lock_guard lock(mutex);
      null.pooled.add(pooled);
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
  return null;
}

// The rows that have the common positions, as if there were no others.
struct Compared {
  CategoryIndex categories;
  Units units;
};

Compared compared_rows(const Signatures& signatures, const CategoryIndex& categories,
                       std::span<const std::string> groups, const std::vector<std::size_t>& rows) {
  Compared result;
  result.categories.names = categories.names;
  result.categories.n_prompts.resize(categories.names.size());
  std::vector<std::string> ids;
  std::vector<std::string> own_groups;
  for (const std::size_t row : rows) {
    ids.push_back(signatures.ids[row]);
    if (!groups.empty()) own_groups.push_back(groups[row]);
    result.categories.of_prompt.push_back(categories.of_prompt[row]);
    ++result.categories.n_prompts[static_cast<std::size_t>(categories.of_prompt[row])];
  }
  result.units = make_units(ids, result.categories, own_groups);
  return result;
}

// The largest share of relabellings that leaves the contrast of some category as it is.
double smallest_contrast_p(const Compared& compared) {
  const double partitions = smallest_p_value(compared.units, compared.categories);
  if (!compared.units.nested()) return partitions;
  const auto n = static_cast<double>(compared.units.size());
  double smallest = 1;
  for (std::size_t c = 0; c < compared.categories.names.size(); ++c) {
    const auto own = static_cast<double>(std::count(
        compared.units.category.begin(), compared.units.category.end(), static_cast<int>(c)));
    const double log_choices = std::lgamma(n + 1) - std::lgamma(own + 1) - std::lgamma(n - own + 1);
    const double mirrored = 2 * own == n ? 2 : 1;
    smallest = std::min(smallest, mirrored * std::exp(-log_choices));
  }
  return smallest;
}

Matrix observed_t(const CategoryContrasts& contrasts, const Compared& compared) {
  CategoryContrasts::Scratch scratch;
  Matrix t;
  contrasts.t_values(contrasts.row_labels(compared.categories.of_prompt), 0, contrasts.n_columns(),
                     scratch, t);
  return t;
}

// Values of t [categories, columns] in the order of the cells.
void fill_in_tests(const Matrix& t, MaxTNull null, ExpertCategoriesResult& result) {
  std::vector<double> of_cells;
  of_cells.reserve(result.cells.size());
  for (std::size_t i = 0; i < result.cells.size(); ++i) {
    of_cells.push_back(
        t(result.cells[i].category, static_cast<Eigen::Index>(i / result.categories.size())));
  }
  const MaxTValues values = max_t(of_cells, std::move(null));
  result.smallest_p_adjusted = 1;
  for (std::size_t i = 0; i < result.cells.size(); ++i) {
    ExpertCell& cell = result.cells[i];
    cell.t = of_cells[i];
    cell.p_value = values.p_value[i];
    cell.p_adjusted = values.p_adjusted[i];
    cell.q_value = values.q_value[i];
    cell.significant = cell.p_adjusted <= result.level;
    result.smallest_p_adjusted = std::min(result.smallest_p_adjusted, cell.p_adjusted);
  }
}

void collect_significant(ExpertCategoriesResult& result) {
  result.significant.resize(result.categories.size());
  for (std::size_t i = 0; i < result.cells.size(); ++i) {
    const ExpertCell& cell = result.cells[i];
    result.n_listed += cell.q_value <= result.level ? 1 : 0;
    if (!cell.significant) continue;
    ++result.n_significant;
    CategoryExperts& own = result.significant[static_cast<std::size_t>(cell.category)];
    if (cell.is_more()) own.more.push_back(i);
    if (cell.t < 0) own.less.push_back(i);
  }
  const auto size = [&](std::size_t i) { return std::abs(result.cells[i].t); };
  for (CategoryExperts& own : result.significant) {
    for (auto* list : {&own.more, &own.less}) {
      std::stable_sort(list->begin(), list->end(),
                       [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
    }
  }
}

// A and T of every unit's prompts of one category, over the selected tokens.
class SelectedCounts {
 public:
  SelectedCounts(const RoutedTokens& tokens, const CategoryIndex& categories, const Units& units)
      : n_columns_(static_cast<Eigen::Index>(tokens.shape.n_layers) * tokens.shape.n_experts) {
    by_category_.resize(categories.names.size());
    for (const std::vector<std::size_t>& members : units.members) {
      for (std::size_t c = 0; c < by_category_.size(); ++c) {
        Part part;
        for (const std::size_t i : members) {
          if (categories.of_prompt[i] != static_cast<int>(c)) continue;
          if (part.counts.size() == 0) part.counts = Row::Zero(n_columns_);
          add(tokens, i, part);
        }
        if (part.tokens > 0) by_category_[c].push_back(std::move(part));
      }
    }
  }

  RateSums sums(std::size_t category, Eigen::Index column) const {
    RateSums result;
    for (const Part& part : by_category_[category]) {
      result.add({part.counts(column), part.tokens});
    }
    return result;
  }

 private:
  using Row = Eigen::Matrix<double, 1, Eigen::Dynamic>;
  struct Part {
    Row counts;
    double tokens = 0;
  };

  static void add(const RoutedTokens& tokens, std::size_t row, Part& part) {
    const int n_experts = tokens.shape.n_experts;
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      if (!tokens.tokens[t].selected) continue;
      part.tokens += 1;
      for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
        for (const std::uint16_t expert : tokens.at(t, layer)) {
          part.counts(layer * n_experts + expert) += 1;
        }
      }
    }
  }

  Eigen::Index n_columns_;
  std::vector<std::vector<Part>> by_category_;
};

// rate / rate_others, half a selection added to both where one of them has none.
double ratio_of(const RateSums& own, const RateSums& others) {
  if (own.count == 0 && others.count == 0) return undefined;
  const double added = own.count == 0 || others.count == 0 ? 0.5 : 0;
  return (own.count + added) / own.tokens / ((others.count + added) / others.tokens);
}

void fill_in_rates(const RoutedTokens& tokens, const CategoryIndex& categories, const Units& units,
                   const ExpertCategoriesOptions& options, ExpertCategoriesResult& result) {
  const SelectedCounts counts(tokens, categories, units);
  const std::size_t n_categories = categories.names.size();
  const auto n_columns = static_cast<std::size_t>(tokens.shape.n_layers * tokens.shape.n_experts);
  result.cells.resize(n_columns * n_categories);
  std::vector<double> quantiles;
  for (std::size_t c = 0; c < n_categories; ++c) {
    const double n = counts.sums(c, 0).n;
    quantiles.push_back(n < 2 ? undefined : student_t_quantile(0.975, n - 1));
  }
  parallel_for(tokens.shape.n_layers, options.n_threads, [&](int layer) {
    throw_if_stopped(options.work.stop);
    for (int expert = 0; expert < tokens.shape.n_experts; ++expert) {
      const auto column = static_cast<std::size_t>(layer * tokens.shape.n_experts + expert);
      std::vector<RateSums> sums;
      RateSums all;
      for (std::size_t c = 0; c < n_categories; ++c) {
        sums.push_back(counts.sums(c, static_cast<Eigen::Index>(column)));
        all += sums.back();
      }
      for (std::size_t c = 0; c < n_categories; ++c) {
        ExpertCell& cell = result.cells[column * n_categories + c];
        cell.layer = layer;
        cell.expert = expert;
        cell.category = static_cast<int>(c);
        const ClusteredRate rate = clustered_rate(sums[c]);
        cell.rate = rate.estimate;
        cell.ci95 = rate_interval(rate, quantiles[c]);
        if (n_categories < 2) continue;
        RateSums others = all;
        others -= sums[c];
        cell.rate_others = clustered_rate(others).estimate;
        cell.ratio = ratio_of(sums[c], others);
        cell.log2_ratio = std::log2(cell.ratio);
      }
    }
  });
}

void test_cells(const Signatures& signatures, const RoutedTokens& tokens,
                const CategoryIndex& categories, std::span<const std::string> groups,
                const ExpertCategoriesOptions& options, ExpertCategoriesResult& result) {
  const Compared compared = compared_rows(signatures, categories, groups, result.positions.rows);
  result.n_units = compared.units.size();
  if (smallest_p_value(compared.units, compared.categories) > 0.999) {
    result.check = {Comparability::no_relabelling,
                    "exchanging the categories of whole groups changes nothing", 0};
    return;
  }
  const std::int64_t n_permutations =
      permutations_of(result.n_units, tokens.shape, categories.names.size(), options);
  result.n_permutations = n_permutations;
  result.smallest_p_value =
      std::max(smallest_contrast_p(compared), 1 / static_cast<double>(n_permutations + 1));
  const CategoryContrasts contrasts(common_counts(tokens, result.positions),
                                    result.positions.n_tokens, compared.units,
                                    categories.names.size());
  MaxTNull null =
      relabelled(contrasts, compared.categories, compared.units, n_permutations, options);
  fill_in_tests(observed_t(contrasts, compared), std::move(null), result);
  collect_significant(result);
  if (result.smallest_p_value > result.level) {
    result.notices.push_back(
        fmt::format("experts: so few units that no adjusted p-value can fall below about {:.2g}",
                    result.smallest_p_value));
  }
}

bool all_have_categories(const Signatures& signatures) {
  return std::none_of(signatures.categories.begin(), signatures.categories.end(),
                      [](const std::string& category) { return category.empty(); });
}

}  // namespace

ExpertCategoriesResult expert_categories(const Signatures& signatures, const RoutedTokens& tokens,
                                         std::span<const std::string> groups,
                                         const ExpertCategoriesOptions& options) {
  ExpertCategoriesResult result;
  result.shape = signatures.shape;
  result.level = options.level;
  if (!all_have_categories(signatures)) {
    const bool none = std::all_of(signatures.categories.begin(), signatures.categories.end(),
                                  [](const std::string& category) { return category.empty(); });
    result.check = {Comparability::no_categories,
                    none ? "the prompts have no categories" : "some prompts have no category", 0};
    return result;
  }
  const CategoryIndex categories = index_categories(signatures);
  result.categories = categories.names;
  result.significant.resize(categories.names.size());
  if (tokens.n_prompts() == 0) {
    result.check = {Comparability::no_tokens, "the routing of single tokens is not known", 0};
    return result;
  }
  const Units units = make_units(signatures.ids, categories, groups);
  result.grouped = units.grouped;
  fill_in_rates(tokens, categories, units, options, result);
  result.positions =
      common_positions(tokens, compared_part(tokens, options.tokens), options.positions);
  result.check =
      check_comparability(tokens, result.positions, categories, units, options.positions);
  if (result.tested()) {
    test_cells(signatures, tokens, categories, groups, options, result);
  }
  return result;
}

std::int64_t default_permutations(std::size_t n_units, const RoutingShape& shape,
                                  std::size_t n_categories) {
  const double n_columns = static_cast<double>(shape.n_layers) * shape.n_experts;
  const double operations =
      n_columns * (2 * static_cast<double>(n_units) + 12 * static_cast<double>(n_categories));
  const double n = std::max(std::min(1e9 / operations, 9999.0), std::min(4e10 / operations, 999.0));
  return std::max<std::int64_t>(static_cast<std::int64_t>(n), 199);
}

std::int64_t expert_categories_steps(const Signatures& signatures,
                                     const ExpertCategoriesOptions& options) {
  if (!all_have_categories(signatures)) return 0;
  return n_batches(permutations_of(signatures.size(), signatures.shape,
                                   index_categories(signatures).names.size(), options));
}

}  // namespace moexray::stats
