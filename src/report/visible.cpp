#include "moexray/report/visible.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "code_point.h"
#include "moexray/core/escape.h"
#include "moexray/text/names.h"

namespace moexray::report {
namespace {

constexpr std::size_t max_listed_groups = 5;
constexpr std::size_t max_listed_names = 8;

// Blanks that look like others, and characters that are not seen at all.
bool is_hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD || c == 0x34F || c == 0x61C ||
         c == 0x115F || c == 0x1160 || c == 0x1680 || (c >= 0x17B4 && c <= 0x17B5) ||
         (c >= 0x180B && c <= 0x180F) || (c >= 0x2000 && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F) || c == 0x3000 ||
         c == 0x3164 || c == 0xFEFF || c == 0xFFA0 || (c >= 0xE0000 && c <= 0xE0FFF);
}

// Only such a name can look like another one: the rest are ASCII, and each looks like itself.
bool may_mislead(std::string_view name, std::size_t max_bytes) {
  if (name.empty()) return false;
  if (name.size() > max_bytes || name.front() == ' ' || name.back() == ' ') return true;
  return std::any_of(name.begin(), name.end(),
                     [](char c) {
                       return static_cast<signed char>(c) < 0x20 ? c != ' ' : c == '"' || c == '\\';
                     }) ||
         name.find("  ") != std::string_view::npos;
}

bool has_hidden(std::string_view name) {
  if (name.front() == ' ' || name.back() == ' ' || name.find("  ") != std::string_view::npos ||
      name.front() == '"') {
    return true;
  }
  while (!name.empty()) {
    const char32_t c = take_code_point(name);
    if (c >= 0x80 && is_hidden(c)) return true;
  }
  return false;
}

}  // namespace

std::string quoted_name(std::string_view name, bool ascii) {
  std::string text = "\"";
  bool after_blank = false;
  while (!name.empty()) {
    const std::string_view here = name;
    const char32_t c = take_code_point(name);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += static_cast<char>(c);
    } else if (is_hidden(c) || (ascii && c >= 0x80) || (c == ' ' && after_blank)) {
      text += c > 0xFFFF ? fmt::format("\\U{:08x}", static_cast<std::uint32_t>(c))
                         : fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
    } else {
      text += here.substr(0, here.size() - name.size());
    }
    after_blank = c == ' ';
  }
  return text + '"';
}

std::vector<std::string> visible_names(const std::vector<std::string>& names,
                                       std::size_t max_bytes) {
  std::vector<std::string> shown;
  shown.reserve(names.size());
  // What looks like this: the first such name, and whether there is another one.
  struct Look {
    const std::string* name;
    bool is_shared = false;
  };
  std::unordered_map<std::string, Look> looks;
  std::vector<std::string> look_of(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    if (!may_mislead(name, max_bytes)) {
      shown.push_back(name);
      continue;
    }
    const bool is_valid = is_valid_utf8(name);
    shown.push_back(is_valid && has_hidden(name) ? quoted_name(name) : printable(name, max_bytes));
    look_of[i] = normalized_name(shown.back());
    const auto [look, is_new] = looks.try_emplace(look_of[i], Look{&name});
    if (!is_new && *look->second.name != name) look->second.is_shared = true;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (look_of[i].empty() || !looks.at(look_of[i]).is_shared) continue;
    shown[i] = quoted_name(names[i], true);
  }
  return shown;
}

std::string similar_names_notice(std::string_view what, const std::vector<std::string>& names) {
  const auto groups = similar_names(names);
  if (groups.empty()) return {};
  std::string text = fmt::format(
      "{} that differ only in case, white space or Unicode form count as different: ", what);
  for (std::size_t g = 0; g < std::min(groups.size(), max_listed_groups); ++g) {
    if (g > 0) text += "; ";
    std::vector<std::string> labels = visible_names(groups[g]);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (!labels[i].starts_with('"')) labels[i] = quoted_name(groups[g][i]);
    }
    const std::size_t n = std::min(labels.size(), max_listed_names);
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0) text += i + 1 == labels.size() ? " and " : ", ";
      text += labels[i];
    }
    if (n < labels.size()) text += fmt::format(" and {} more", labels.size() - n);
  }
  if (groups.size() > max_listed_groups) {
    text += fmt::format("; and {} more groups", groups.size() - max_listed_groups);
  }
  return text;
}

}  // namespace moexray::report
