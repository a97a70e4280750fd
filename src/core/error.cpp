#include "moexray/core/error.h"

#include <utility>

#include "moexray/core/escape.h"

namespace moexray {
namespace {

constexpr std::size_t max_part_bytes = 4000;

// Newlines inside a message separate the entries of a list; they are kept, other controls are not.
std::string printable_lines(std::string_view text) {
  std::string result;
  while (true) {
    const std::size_t end = text.find('\n');
    result += printable(text.substr(0, end), max_part_bytes);
    if (end == std::string_view::npos) return result;
    result += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string compose(const ErrorParts& parts) {
  std::string message;
  if (!parts.where.empty()) message += printable(parts.where, max_part_bytes) + ": ";
  message += printable_lines(parts.what);
  if (!parts.expected.empty()) message += ": expected " + printable(parts.expected, max_part_bytes);
  if (!parts.found.empty()) {
    message += parts.expected.empty() ? ": found " : ", found ";
    message += printable(parts.found, max_part_bytes);
  }
  return message;
}

}  // namespace

Error::Error(ErrorKind kind, ErrorParts parts)
    : kind_(kind), parts_(std::move(parts)), message_(compose(parts_)) {}

}  // namespace moexray
