#pragma once

#include <string>
#include <vector>

#include "colour_ramp.h"
#include "moexray/report/figure.h"

namespace moexray::report {

/// A ColourScale whose ends are known.
class ResolvedScale {
 public:
  /// @param values of the heatmap, for ends that the scale leaves open
  ResolvedScale(const ColourScale& scale, const std::vector<double>& values);

  /// Where a value lies on the scale: 0 … 1. Values beyond the ends lie at them.
  double share_of(double value) const;
  Colour colour_of(double value) const { return colour_at(share_of(value)); }
  Colour colour_at(double share) const;
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  ColourScale scale_;
  double low_;
  double high_;
};

}  // namespace moexray::report
