#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

/// The k nearest rows of every row, itself left out, nearest first (ties: the lower index).
struct Neighbors {
  int k = 0;
  std::vector<std::int32_t> indices;      ///< [n · k] row by row
  std::vector<double> squared_distances;  ///< [n · k]
};

/// How nearest neighbours are searched for: for many rows, in parallel.
struct SearchOptions {
  int n_threads = 1;                        ///< does not change the result
  const std::atomic<bool>* stop = nullptr;  ///< when true, Error (interrupted) is thrown
};

/// Euclidean neighbours, exact: blocked matrix products in single precision say which rows can be
/// among the nearest, and those are compared in double precision. n²·D operations.
/// @param rows [n, D], finite; @param k in 0 … n − 1.
Neighbors nearest_neighbors(const Matrix& rows, int k, const SearchOptions& options);

/// How many rows are nearer to row i than each of its given neighbours j is (at the same distance:
/// rows of lower index), so that the nearest row counts 0.
/// @param rows [n, D]; @param neighbors [n · k] as in Neighbors::indices. @return [n · k]
std::vector<std::int32_t> neighbor_ranks(const Matrix& rows,
                                         const std::vector<std::int32_t>& neighbors, int k,
                                         const SearchOptions& options);

}  // namespace moexray::stats
