#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace moexray::test {

/// tests/data/structure.json: what NumPy and SciPy compute.
inline nlohmann::json structure_fixture(const std::string& key) {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/structure.json");
  return nlohmann::json::parse(file).at(key);
}

}  // namespace moexray::test
