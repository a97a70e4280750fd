#include "json_text.h"

#include <algorithm>

namespace moexray::trace {
namespace {

constexpr std::size_t max_name_bytes = 256;

}  // namespace

std::string name_problem(std::string_view text) {
  if (text.empty()) return "is empty";
  if (text.size() > max_name_bytes) {
    return "is longer than " + std::to_string(max_name_bytes) + " bytes";
  }
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return has_control ? "holds a control character" : "";
}

}  // namespace moexray::trace
