#pragma once

#include <cmath>
#include <string>

#include "moexray/report/number.h"

namespace moexray::app {

/// "; 26% of these tokens are of types …": what a comparison of tokens with their types rests on;
/// empty for NaN.
inline std::string coverage_text(double coverage) {
  if (std::isnan(coverage)) return {};
  return "; " + report::fixed(100 * coverage, 0) +
         "% of these tokens are of types that other prompts have often enough, the others were not "
         "compared";
}

}  // namespace moexray::app
