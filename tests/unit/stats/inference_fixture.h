#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace moexray::test {

/// tests/data/inference.json: what scikit-learn and SciPy compute.
inline nlohmann::json inference_fixture(const std::string& key) {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/inference.json");
  return nlohmann::json::parse(file).at(key);
}

}  // namespace moexray::test
