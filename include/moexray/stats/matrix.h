#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <limits>

namespace moexray::stats {

/// Dense double-precision matrix; a row is contiguous in memory, as the `.npy` files want it.
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
/// Dense matrix of counts.
using CountMatrix = Eigen::Matrix<std::int64_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

/// An undefined number. Reports show it as "n/a" and write it as `null`.
inline constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace moexray::stats
