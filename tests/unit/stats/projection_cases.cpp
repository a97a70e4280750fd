#include "projection_cases.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "json_matrix.h"
#include "moexray/core/random.h"

namespace moexray::test {
namespace {

using nlohmann::json;

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
