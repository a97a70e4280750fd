#pragma once

#include <cstring>

#include "repulsion.h"

namespace moexray::stats {

/// The loop of repulsion() with vectors of `width` floats, for files compiled for processors that
/// have them. Eight running sums whatever the width: point j goes to sum j mod 8.
template <int width>
Repulsion repulsion_sums(const float* x, const float* y, int n, int i) {
  constexpr int n_sums = 8;
  constexpr int n_parts = n_sums / width;
  typedef float Lanes __attribute__((vector_size(width * sizeof(float))));
  const float xi = x[i];
  const float yi = y[i];
  Lanes fx[n_parts] = {};
  Lanes fy[n_parts] = {};
  Lanes fz[n_parts] = {};
  int j = 0;
  for (; j + n_sums <= n; j += n_sums) {
    for (int part = 0; part < n_parts; ++part) {
      Lanes xj;
      Lanes yj;
      std::memcpy(&xj, x + j + part * width, sizeof xj);
      std::memcpy(&yj, y + j + part * width, sizeof yj);
      const Lanes dx = xi - xj;
      const Lanes dy = yi - yj;
      const Lanes w = 1.0F / (1.0F + (dx * dx + dy * dy));
      const Lanes square = w * w;
      fx[part] += square * dx;
      fy[part] += square * dy;
      fz[part] += w;
    }
  }
  float sums[3][n_sums];
  std::memcpy(sums[0], fx, sizeof fx);
  std::memcpy(sums[1], fy, sizeof fy);
  std::memcpy(sums[2], fz, sizeof fz);
  for (int sum = 0; j < n; ++j, ++sum) {
    const float dx = xi - x[j];
    const float dy = yi - y[j];
    const float w = 1.0F / (1.0F + (dx * dx + dy * dy));
    const float square = w * w;
    sums[0][sum] += square * dx;
    sums[1][sum] += square * dy;
    sums[2][sum] += w;
  }
  Repulsion total;
  for (int sum = 0; sum < n_sums; ++sum) {
    total.x += static_cast<double>(sums[0][sum]);
    total.y += static_cast<double>(sums[1][sum]);
    total.z += static_cast<double>(sums[2][sum]);
  }
  total.z -= 1;  // w_ii
  return total;
}

}  // namespace moexray::stats
