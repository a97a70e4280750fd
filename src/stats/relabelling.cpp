#include "relabelling.h"

#include <cmath>
#include <map>
#include <string>

#include "moexray/core/random.h"

namespace moexray::stats {
namespace {

// log of the number of ways to deal n_c things out to every c.
double log_multinomial(const std::map<int, int>& counts) {
  double n = 0;
  double result = 0;
  for (const auto& [label, count] : counts) {
    n += count;
    result -= std::lgamma(count + 1.0);
  }
  return result + std::lgamma(n + 1);
}

// log of the number of ways to rename categories that have the same number of units of every size:
// renaming changes labels and no partition. Only those that relabelling can reach are counted.
double log_renamings(const Units& units, std::size_t n_categories) {
  std::vector<std::map<std::size_t, int>> sizes(n_categories);
  for (std::size_t u = 0; u < units.size(); ++u) {
    ++sizes[static_cast<std::size_t>(units.category[u])][units.members[u].size()];
  }
  std::map<std::map<std::size_t, int>, int> alike;
  for (const auto& size : sizes) ++alike[size];
  double result = 0;
  for (const auto& [size, count] : alike) result += std::lgamma(count + 1.0);
  return result;
}

}  // namespace

std::vector<int> relabelling(const Units& units, const CategoryIndex& categories,
                             std::uint64_t seed, int draw) {
  RandomStream random(seed, "relabelling " + std::to_string(draw));
  return permuted_labels(units, categories, random);
}

std::vector<std::vector<Eigen::Index>> rows_by_label(const std::vector<int>& labels,
                                                     std::size_t n_categories) {
  std::vector<std::vector<Eigen::Index>> rows(n_categories);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    rows[static_cast<std::size_t>(labels[i])].push_back(static_cast<Eigen::Index>(i));
  }
  return rows;
}

double permutation_p_value(std::int64_t n_reached, int n_draws) {
  return static_cast<double>(n_reached + 1) / (n_draws + 1.0);
}

double smallest_p_value(const Units& units, const CategoryIndex& categories) {
  double log_partitions = 0;
  if (units.nested()) {
    std::map<int, int> counts;
    for (const int c : units.category) ++counts[c];
    // One unit in every category: relabelling only renames.
    if (counts.size() == units.size()) return 1;
    log_partitions = log_multinomial(counts) - log_renamings(units, categories.names.size());
  } else {
    for (const auto& members : units.members) {
      std::map<int, int> counts;
      for (const std::size_t i : members) ++counts[categories.of_prompt[i]];
      log_partitions += log_multinomial(counts);
    }
  }
  return std::exp(-std::max(log_partitions, 0.0));
}

}  // namespace moexray::stats
