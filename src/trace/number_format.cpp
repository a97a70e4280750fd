#include "number_format.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace moexray::trace {
namespace {

// 10^(5 − e) for values in [10^e, 10^(e+1)), e from −4.
constexpr std::array<double, 10> scales{1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0};
constexpr std::array<double, 10> tops{1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};

char* write_digits(char* out, std::uint32_t value, int n_digits) {
  for (int i = n_digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + n_digits;
}

// Drops the zeros at the end of a fraction, and the point with them.
char* trim(char* end) {
  while (end[-1] == '0') --end;
  return end[-1] == '.' ? end - 1 : end;
}

}  // namespace

char* write_number(char* out, float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  if (!(magnitude >= 1e-4 && magnitude < 999999.0)) {
    return std::to_chars(out, out + max_number_bytes, value, std::chars_format::general, 6).ptr;
  }
  if (value < 0) *out++ = '-';
  std::size_t row = 0;
  while (magnitude >= tops[row]) ++row;
  // A float has 24 significant bits and 5⁹ has 21: the product is exact, and its rounding is the
  // right one.
  auto digits = static_cast<std::uint32_t>(std::nearbyint(magnitude * scales[row]));
  if (digits == 1'000'000) {
    digits = 100'000;
    ++row;
  }
  const int exponent = static_cast<int>(row) - 4;
  if (exponent >= 0) {
    std::array<char, 6> text{};
    write_digits(text.data(), digits, 6);
    for (int i = 0; i <= exponent; ++i) *out++ = text[static_cast<std::size_t>(i)];
    *out++ = '.';
    for (int i = exponent + 1; i < 6; ++i) *out++ = text[static_cast<std::size_t>(i)];
  } else {
    *out++ = '0';
    *out++ = '.';
    for (int i = -1; i > exponent; --i) *out++ = '0';
    out = write_digits(out, digits, 6);
  }
  return trim(out);
}

}  // namespace moexray::trace
