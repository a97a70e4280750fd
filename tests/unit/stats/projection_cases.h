#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::test {

/// What scikit-learn's PCA says.
struct ReferencePca {
  stats::Vector explained_variance;
  stats::Vector explained_variance_ratio;
  stats::Matrix components;  ///< [2, D]
  stats::Matrix scores;      ///< [n, 2]
};

/// One data set of tests/data/projection.json with scikit-learn's results.
struct ProjectionCase {
  std::string name;
  stats::Matrix rows;  ///< [n, D]
  ReferencePca pca;
  ReferencePca standardized_pca;
  double pca_trustworthiness = 0;
  double perplexity = 0;
  std::vector<double> kl_divergences;     ///< [10] of runs from slightly different starts
  std::vector<double> trustworthinesses;  ///< [10]
};
std::vector<ProjectionCase> projection_cases();

/// `n` points of `d` normal coordinates around `n_centres` centres.
stats::Matrix random_points(int n, int d, int n_centres, std::uint64_t seed);

}  // namespace moexray::test
