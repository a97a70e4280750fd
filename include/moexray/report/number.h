#pragma once

#include <string>

namespace moexray::report {

/// The shortest decimal text that reads back as the same double: "0.1", "1e-20". "nan" if it is not
/// a number, "inf" or "-inf".
std::string shortest(double value);

/// `value` with a fixed number of decimals, for people: "0.8435"; "n/a" if it is not a finite
/// number.
std::string fixed(double value, int n_decimals);

}  // namespace moexray::report
