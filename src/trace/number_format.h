#pragma once

#include <cstddef>

namespace moexray::trace {

/// The longest text append_number() writes: "-1.17549e-38".
inline constexpr std::size_t max_number_bytes = 16;

/// Writes a finite float with 6 significant digits, the same bytes as printf("%.6g"), and returns
/// the end.
char* write_number(char* out, float value);

}  // namespace moexray::trace
