#pragma once

#include <string>

namespace moexray::report {

/// A colour of the ramp "viridis" (Smith, van der Walt and Firing 2015, public domain): dark blue
/// at 0, yellow at 1, its lightness rising evenly, so that it reads in grey and with any kind of
/// colour vision.
struct Colour {
  int red = 0;
  int green = 0;
  int blue = 0;

  /// "#rrggbb".
  std::string hex() const;
  /// True if white text stands out better on it than black.
  bool is_dark() const;
};
Colour viridis(double share);

/// A ramp of two colours that meet in a near white at one half: blue towards 0, orange towards 1,
/// both equally dark at equal distances. They are told apart with any kind of colour vision.
Colour blue_orange(double share);

}  // namespace moexray::report
