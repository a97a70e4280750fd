#pragma once

namespace moexray::stats {

/// What all points do to point i in t-SNE, with w_ij = 1 / (1 + ‖y_i − y_j‖²).
struct Repulsion {
  double x = 0;  ///< Σ_j w_ij² (x_i − x_j)
  double y = 0;  ///< Σ_j w_ij² (y_i − y_j)
  double z = 0;  ///< Σ_{j≠i} w_ij
};

/// In single precision over n points: the innermost loop of t-SNE. Sums run in a fixed order, and
/// every operation is rounded as IEEE 754 says: the same bits with every vector width.
/// @param x, y [n]
Repulsion repulsion(const float* x, const float* y, int n, int i);

// What it chooses from. Only on x86-64, and only where the processor has AVX2, for the second.
Repulsion repulsion_portable(const float* x, const float* y, int n, int i);
Repulsion repulsion_avx2(const float* x, const float* y, int n, int i);

}  // namespace moexray::stats
