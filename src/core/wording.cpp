#include "moexray/core/wording.h"

#include "moexray/core/escape.h"

namespace moexray {

std::string counted(std::int64_t n, std::string_view noun, std::string_view plural) {
  return std::to_string(n) + " " + noun_for(n, noun, plural);
}

std::string noun_for(std::int64_t n, std::string_view noun, std::string_view plural) {
  if (n == 1) return std::string(noun);
  return plural.empty() ? std::string(noun) + "s" : std::string(plural);
}

std::string grouped_digits(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string quoted_list(std::span<const std::string> names, std::size_t max_named) {
  const std::size_t n_named = names.size() <= max_named ? names.size() : max_named - 1;
  std::string text;
  for (std::size_t i = 0; i < n_named; ++i) {
    text += (i > 0 ? ", \"" : "\"") + printable(names[i], 60) + '"';
  }
  if (n_named < names.size()) text += " and " + std::to_string(names.size() - n_named) + " more";
  return text;
}

}  // namespace moexray
