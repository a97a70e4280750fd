#include "stats_support.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "json_matrix.h"
#include "moexray/core/random.h"

namespace moexray::test {

stats::Signatures signatures_from_counts(const std::vector<std::vector<int>>& counts, int n_layers,
                                         int n_experts, int top_k,
                                         const std::vector<std::string>& categories) {
  stats::Signatures result;
  result.shape = {n_layers, n_experts, top_k};
  const auto n = static_cast<Eigen::Index>(counts.size());
  result.values.resize(n, static_cast<Eigen::Index>(n_layers) * n_experts);
  result.layer_tokens.resize(n, n_layers);
  result.layer_sums.resize(n, n_layers);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    for (int layer = 0; layer < n_layers; ++layer) {
      const auto first = counts[i].begin() + layer * n_experts;
      const int total = std::accumulate(first, first + n_experts, 0);
      for (int e = 0; e < n_experts; ++e) {
        result.values(row, layer * n_experts + e) = static_cast<double>(first[e]) / total;
      }
      result.layer_tokens(row, layer) = total / top_k;
      result.layer_sums(row, layer) = total;
    }
    result.n_tokens.push_back(result.layer_tokens.row(row).maxCoeff());
    result.ids.push_back("p" + std::to_string(i));
    result.prompt_indices.push_back(i);
  }
  result.categories = categories;
  return result;
}

stats::Signatures random_signatures(const std::vector<std::string>& categories, std::uint64_t seed,
                                    const RandomSignatureOptions& options) {
  const int d = options.n_layers * options.n_experts;
  RandomStream random(seed);
  std::map<std::string, std::vector<double>> taste;
  std::vector<std::vector<int>> counts;
  for (const std::string& category : categories) {
    auto& own = taste[category];
    while (own.size() < static_cast<std::size_t>(d))
      own.push_back(options.effect * random.normal());
    std::vector<int> row;
    for (int j = 0; j < d; ++j) {
      row.push_back(
          1 + static_cast<int>(10 * std::exp(own[static_cast<std::size_t>(j)]) * random.uniform()));
    }
    counts.push_back(row);
  }
  return signatures_from_counts(counts, options.n_layers, options.n_experts, options.top_k,
                                categories);
}

std::vector<std::string> mixed_categories(const std::vector<int>& sizes, std::uint64_t seed) {
  std::vector<std::string> result;
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    for (int i = 0; i < sizes[c]; ++i) result.push_back("c" + std::to_string(c));
  }
  RandomStream random(seed);
  for (std::size_t i = result.size(); i > 1; --i) std::swap(result[i - 1], result[random.below(i)]);
  return result;
}

std::vector<ClassifierCase> classifier_cases() {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/classifier.json");
  std::vector<ClassifierCase> cases;
  for (const auto& entry : nlohmann::json::parse(file)) {
    ClassifierCase c;
    c.name = entry.at("name");
    c.signatures =
        signatures_from_counts(entry.at("counts"), entry.at("n_layers"), entry.at("n_experts"),
                               entry.at("top_k"), entry.at("categories"));
    c.folds = entry.at("folds").get<std::vector<int>>();
    c.all_coefficients = matrix_from(entry.at("all").at("coefficients"));
    c.all_intercepts = vector_from(entry.at("all").at("intercepts"));
    c.without_fold_0_coefficients = matrix_from(entry.at("without_fold_0").at("coefficients"));
    c.without_fold_0_intercepts = vector_from(entry.at("without_fold_0").at("intercepts"));
    c.predicted = entry.at("predicted").get<std::vector<std::string>>();
    c.accuracy_mean = entry.at("accuracy_mean");
    c.accuracy_std = entry.at("accuracy_std");
    c.macro_f1 = entry.at("macro_f1");
    c.confusion = entry.at("confusion").get<std::vector<std::vector<int>>>();
    for (const auto& [category, m] : entry.at("per_class").items()) {
      c.per_class.push_back({category, m.at("precision"), m.at("recall"), m.at("f1-score"),
                             static_cast<int>(m.at("support").get<double>())});
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double variance_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += std::pow(value - mean_of(values), 2);
  return sum / static_cast<double>(values.size() - 1);
}

}  // namespace moexray::test
