#include "moexray/report/number.h"

#include <fmt/core.h>

#include <cmath>

namespace moexray::report {

std::string shortest(double value) {
  // fmt's default form is the shortest that round-trips, whatever the locale.
  return std::isnan(value) ? "nan" : fmt::format("{}", value);
}

std::string fixed(double value, int n_decimals) {
  if (!std::isfinite(value)) return "n/a";
  std::string text = fmt::format("{:.{}f}", value, n_decimals);
  // A rounded negative number must not read "-0.00".
  if (text.starts_with('-') && text.find_first_not_of("-0.") == std::string::npos) text.erase(0, 1);
  return text;
}

}  // namespace moexray::report
