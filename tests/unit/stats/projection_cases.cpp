#include "projection_cases.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "moexray/core/random.h"

namespace moexray::test {
namespace {

using nlohmann::json;

stats::Vector vector_from(const json& values) {
  const auto numbers = values.get<std::vector<double>>();
  return Eigen::Map<const stats::Vector>(numbers.data(), static_cast<Eigen::Index>(numbers.size()));
}

stats::Matrix matrix_from(const json& rows) {
  stats::Matrix result(static_cast<Eigen::Index>(rows.size()),
                       static_cast<Eigen::Index>(rows.at(0).size()));
  for (Eigen::Index i = 0; i < result.rows(); ++i) {
    result.row(i) = vector_from(rows[static_cast<std::size_t>(i)]).transpose();
  }
  return result;
}

ReferencePca pca_from(const json& entry) {
  return {vector_from(entry.at("explained_variance")),
          vector_from(entry.at("explained_variance_ratio")), matrix_from(entry.at("components")),
          matrix_from(entry.at("scores"))};
}

}  // namespace

std::vector<ProjectionCase> projection_cases() {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/projection.json");
  std::vector<ProjectionCase> cases;
  const json document = json::parse(file);
  for (const json& entry : document.at("cases")) {
    cases.push_back({entry.at("name"), matrix_from(entry.at("rows")), pca_from(entry.at("pca")),
                     pca_from(entry.at("standardized_pca")), entry.at("pca_trustworthiness"),
                     entry.at("perplexity"), entry.at("tsne").at("kl_divergence"),
                     entry.at("tsne").at("trustworthiness")});
  }
  EXPECT_EQ(cases.size(), 3U);
  return cases;
}

stats::Matrix random_points(int n, int d, int n_centres, std::uint64_t seed) {
  RandomStream random(seed);
  stats::Matrix centres(n_centres, d);
  for (double& value : centres.reshaped()) value = 3 * random.normal();
  stats::Matrix points(n, d);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < d; ++j) points(i, j) = centres(i % n_centres, j) + random.normal();
  }
  return points;
}

}  // namespace moexray::test
