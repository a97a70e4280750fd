#pragma once

#include <nlohmann/json.hpp>

#include "moexray/stats/matrix.h"

namespace moexray::test {

/// Rows of numbers, at least one.
inline stats::Matrix matrix_from(const nlohmann::json& rows) {
  stats::Matrix result(static_cast<Eigen::Index>(rows.size()),
                       static_cast<Eigen::Index>(rows.at(0).size()));
  for (Eigen::Index i = 0; i < result.rows(); ++i) {
    const auto& row = rows.at(static_cast<std::size_t>(i));
    for (Eigen::Index j = 0; j < result.cols(); ++j) {
      result(i, j) = row.at(static_cast<std::size_t>(j)).get<double>();
    }
  }
  return result;
}

inline stats::Vector vector_from(const nlohmann::json& values) {
  stats::Vector result(static_cast<Eigen::Index>(values.size()));
  for (Eigen::Index i = 0; i < result.size(); ++i) {
    result(i) = values.at(static_cast<std::size_t>(i)).get<double>();
  }
  return result;
}

}  // namespace moexray::test
