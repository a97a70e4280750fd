#pragma once

#include <functional>

#include "moexray/stats/matrix.h"

namespace moexray::stats {

struct LbfgsOptions {
  double tolerance = 1e-7;  ///< converged when ‖gradient‖ ≤ tolerance · max(1, ‖x‖)
  int max_iterations = 20000;
  int memory = 20;  ///< pairs of steps and gradient changes kept
  /// The diagonal of a guess at the inverse Hessian, which the first steps and the scaling start
  /// from; nullptr: the identity. It must outlive the call.
  const Vector* inverse_curvature = nullptr;
};

struct LbfgsResult {
  bool converged = false;
  int n_iterations = 0;
  double gradient_norm = 0;
};

/// f(x), and its gradient through the second argument.
using Objective = std::function<double(const Vector& x, Vector& gradient)>;

/// Minimises a smooth convex function by limited-memory BFGS (Nocedal and Wright, algorithm 7.5).
///
/// The line search looks at slopes, and at values only as far as they can be resolved: near the
/// minimum the decrease of f drowns in rounding long before the slope does, and a search for
/// decrease would stop too early.
/// @param x start in, minimum out.
LbfgsResult minimize_lbfgs(const Objective& objective, Vector& x, const LbfgsOptions& options);

}  // namespace moexray::stats
