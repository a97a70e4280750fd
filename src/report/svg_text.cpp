#include "svg_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "moexray/core/escape.h"
#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"

namespace moexray::report::svg_parts {
namespace {

// Advance widths of DejaVu Sans, in hundredths of its size: ' ' … '~'.
constexpr std::array<std::uint8_t, 95> widths{
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};
constexpr double bold_factor = 1.14;

std::size_t length_of(char lead) {
  const auto byte = static_cast<std::uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The characters of well-formed UTF-8.
std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const std::string_view c = text.substr(0, length_of(text[0]));
    result.push_back(c);
    text.remove_prefix(c.size());
  }
  return result;
}

// In units of the font's size. Emoji (F0 9F …) are wider than the ideographs of their row.
double width_of(std::string_view character) {
  if (character.size() == 1) {
    const auto index = static_cast<std::size_t>(character[0] - ' ');
    return index < widths.size() ? widths[index] / 100.0 : 1;
  }
  const std::size_t columns = display_width(character);
  if (columns == 0) return 0;
  if (character.starts_with("\xF0\x9F")) return 1.3;
  return columns == 2 ? 1.0 : 0.8;
}

char32_t code_point(std::string_view character) {
  const auto lead = static_cast<std::uint8_t>(character[0]);
  if (character.size() == 1) return lead;
  char32_t c = lead & (0xFFU >> (character.size() + 1));
  for (const char byte : character.substr(1))
    c = (c << 6) | (static_cast<std::uint8_t>(byte) & 0x3FU);
  return c;
}

bool is_unfit(char32_t c) {
  const bool turns_direction = c == 0x061C || c == 0x200E || c == 0x200F ||
                               (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  const bool ends_line = c == 0x2028 || c == 0x2029;
  const bool is_no_character = (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
  return turns_direction || ends_line || is_no_character;
}

// The longest beginning (or, reversed, end) of at most this width.
std::string part_of(const std::vector<std::string_view>& all, double width, double size,
                    bool is_bold, bool from_end) {
  std::string part;
  double used = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string_view c = from_end ? all[all.size() - 1 - i] : all[i];
    used += width_of(c) * size * (is_bold ? bold_factor : 1);
    if (used > width) break;
    part = from_end ? std::string(c) + part : part + std::string(c);
  }
  return part;
}

}  // namespace

std::string clean(std::string_view text, std::size_t max_bytes) {
  std::string out;
  const std::string line = one_line(text, max_bytes);
  for (const std::string_view character : characters(line)) {
    const char32_t c = code_point(character);
    if (is_unfit(c)) {
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
    } else {
      out += character;
    }
  }
  return out;
}

double text_width(std::string_view text, double size, bool is_bold) {
  double width = 0;
  for (const std::string_view c : characters(text)) width += width_of(c);
  return width * size * (is_bold ? bold_factor : 1);
}

std::string fitted(std::string_view text, double width, double size, bool is_bold) {
  const std::string whole = clean(text);
  if (text_width(whole, size, is_bold) <= width) return whole;
  return part_of(characters(whole), width - size * (is_bold ? bold_factor : 1), size, is_bold,
                 false) +
         "…";
}

std::vector<std::string> wrapped(std::string_view text, double width, double size,
                                 std::size_t max_lines, bool is_bold) {
  std::vector<std::string> lines;
  std::string rest = clean(text, 2000);
  while (!rest.empty()) {
    if (lines.size() + 1 == max_lines || text_width(rest, size, is_bold) <= width) {
      lines.push_back(fitted(rest, width, size, is_bold));
      break;
    }
    std::string line = part_of(characters(rest), width, size, is_bold, false);
    if (line.empty()) line = std::string(characters(rest)[0]);
    if (const std::size_t blank = line.rfind(' ');
        rest[line.size()] != ' ' && blank != std::string::npos && blank > 0) {
      line.resize(blank);
    }
    rest.erase(0, line.size());
    rest.erase(0, std::min(rest.find_first_not_of(' '), rest.size()));
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> distinct_labels(const std::vector<std::string>& labels, double width,
                                         double size) {
  std::vector<std::string> result;
  std::map<std::string, int> n_uses;
  for (const std::string& label : labels) {
    std::string whole = clean(label, 4000);
    if (text_width(whole, size) > width) {
      const auto all = characters(whole);
      const double room = width - size;
      whole = part_of(all, 0.6 * room, size, false, false) + "…" +
              part_of(all, 0.4 * room, size, false, true);
    }
    ++n_uses[whole];
    result.push_back(std::move(whole));
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (n_uses[result[i]] > 1) {
      const std::string suffix = fmt::format(" ({})", i + 1);
      result[i] = fitted(result[i], width - text_width(suffix, size), size) + suffix;
    }
  }
  return result;
}

std::string number_text(double value, int n_decimals) {
  std::string text = fixed(value, n_decimals);
  if (text.starts_with('-')) text.replace(0, 1, "−");
  return text;
}

}  // namespace moexray::report::svg_parts
