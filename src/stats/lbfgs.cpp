#include "lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

namespace moexray::stats {
namespace {

struct Point {
  Vector x;
  Vector gradient;
  double value = 0;
};

struct StepPair {
  Vector step;             // x_{i+1} − x_i
  Vector gradient_change;  // g_{i+1} − g_i
  double curvature;        // their inner product, positive
};

// −H·g by the two-loop recursion, H the inverse Hessian as the pairs imply it, starting from a
// multiple of `guess` (or of the identity).
Vector search_direction(const Vector& gradient, const std::deque<StepPair>& pairs,
                        const Vector* guess) {
  Vector direction = -gradient;
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].step.dot(direction) / pairs[i].curvature;
    direction -= alpha[i] * pairs[i].gradient_change;
  }
  if (!pairs.empty()) {
    const StepPair& last = pairs.back();
    const double size = guess != nullptr
                            ? (last.gradient_change.array().square() * guess->array()).sum()
                            : last.gradient_change.squaredNorm();
    direction *= last.curvature / size;
  }
  if (guess != nullptr) direction.array() *= guess->array();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double beta = pairs[i].gradient_change.dot(direction) / pairs[i].curvature;
    direction += (alpha[i] - beta) * pairs[i].step;
  }
  return direction;
}

// Finds a step with |slope| well below the slope at the start and no visible increase of f.
bool search_line(const Objective& objective, const Point& start, const Vector& direction,
                 double length, Point& found) {
  const double start_slope = start.gradient.dot(direction);
  if (!(start_slope < 0)) return false;
  const double resolution = 1e-12 * std::max(1.0, std::abs(start.value));
  double low = 0;
  double low_slope = start_slope;
  double high = std::numeric_limits<double>::infinity();
  double high_slope = 0;
  constexpr int max_trials = 60;
  for (int trial = 0; trial < max_trials; ++trial) {
    found.x = start.x + length * direction;
    found.value = objective(found.x, found.gradient);
    const double slope = found.gradient.dot(direction);
    const bool finite = std::isfinite(found.value) && std::isfinite(slope);
    if (finite && slope < 0.9 * start_slope) {
      low = length;
      low_slope = slope;
    } else if (finite && slope <= -0.5 * start_slope && found.value <= start.value + resolution) {
      return true;
    } else {
      high = length;
      high_slope = finite ? slope : 0;
    }
    if (std::isinf(high)) {
      length *= 4;
      continue;
    }
    // Where a straight line through both slopes is zero, kept away from the ends.
    double part = high_slope > 0 ? low_slope / (low_slope - high_slope) : 0.5;
    part = std::clamp(part, 0.1, 0.9);
    length = low + part * (high - low);
  }
  return false;
}

}  // namespace

LbfgsResult minimize_lbfgs(const Objective& objective, Vector& x, const LbfgsOptions& options) {
  LbfgsResult result;
  Point current{x, Vector(x.size()), 0};
  current.value = objective(current.x, current.gradient);
  Point next{x, Vector(x.size()), 0};
  std::deque<StepPair> pairs;
  while (true) {
    result.gradient_norm = current.gradient.norm();
    result.converged = result.gradient_norm <= options.tolerance * std::max(1.0, current.x.norm());
    if (result.converged || result.n_iterations >= options.max_iterations) break;
    const Vector direction = search_direction(current.gradient, pairs, options.inverse_curvature);
    // Without an idea of the curvature the first step is short.
    const bool blind = pairs.empty() && options.inverse_curvature == nullptr;
    const double length = blind ? std::min(1.0, 1 / result.gradient_norm) : 1.0;
    if (!search_line(objective, current, direction, length, next)) {
      if (pairs.empty()) break;
      pairs.clear();  // a stale picture of the curvature: start again with the gradient alone
      continue;
    }
    StepPair pair{next.x - current.x, next.gradient - current.gradient, 0};
    pair.curvature = pair.step.dot(pair.gradient_change);
    if (pair.curvature > 0) {
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<std::size_t>(options.memory)) pairs.pop_front();
    }
    std::swap(current, next);
    ++result.n_iterations;
  }
  x = current.x;
  return result;
}

}  // namespace moexray::stats
