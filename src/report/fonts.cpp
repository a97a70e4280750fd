#include "fonts.h"

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "moexray/core/escape.h"
#include "program.h"

namespace moexray::report {
namespace {

// Characters that one font is expected to have together, and Debian's package with such a font.
struct Script {
  char32_t first;
  char32_t last;
  const char* package;
};
constexpr const char* cjk = "fonts-noto-cjk";
constexpr const char* emoji = "fonts-noto-color-emoji";
constexpr const char* others = "fonts-noto-core";
constexpr std::array<Script, 12> scripts{{{0x1100, 0x11FF, cjk},
                                          {0x2600, 0x27BF, emoji},
                                          {0x2B00, 0x2BFF, emoji},
                                          {0x2E80, 0x303F, cjk},
                                          {0x3040, 0x30FF, cjk},
                                          {0x3100, 0x9FFF, cjk},
                                          {0xA960, 0xA97F, cjk},
                                          {0xAC00, 0xD7FF, cjk},
                                          {0xF900, 0xFAFF, cjk},
                                          {0xFE30, 0xFFEF, cjk},
                                          {0x1F000, 0x1FAFF, emoji},
                                          {0x20000, 0x3FFFF, cjk}}};

// Joiners and variation selectors are drawn by no font.
bool is_unseen(char32_t c) {
  return (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF ||
         (c >= 0xE0000 && c <= 0xE0FFF);
}

// A block of Unicode or a script as above, and the package for it.
std::pair<char32_t, const char*> group_of(char32_t c) {
  for (const Script& script : scripts) {
    if (c >= script.first && c <= script.last) return {script.first, script.package};
  }
  return {c & ~char32_t{0x7F}, others};
}

std::set<char32_t> characters_beyond_ascii(std::span<const std::string> texts) {
  std::set<char32_t> result;
  for (const std::string& text : texts) {
    for (std::size_t i = 0; i < text.size();) {
      const auto lead = static_cast<std::uint8_t>(text[i]);
      const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
      char32_t c = lead & (0xFFU >> (length + 1));
      for (std::size_t k = 1; k < length && i + k < text.size(); ++k) {
        c = (c << 6) | (static_cast<std::uint8_t>(text[i + k]) & 0x3FU);
      }
      if (length > 1 && !is_unseen(c)) result.insert(c);
      i += length;
    }
  }
  return result;
}

std::string utf8(char32_t c) {
  std::string out;
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    tail(6);
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    tail(12);
    tail(6);
  }
  tail(0);
  return out;
}

class Fonts {
 public:
  Fonts(std::filesystem::path program, const PlotOptions& options)
      : program_(std::move(program)), options_(options) {}

  // Is there a font that has all of these? Also true where fc-list cannot tell.
  bool have(const std::vector<char32_t>& characters) {
    std::string pattern = ":charset=";
    for (const char32_t c : characters) {
      pattern +=
          fmt::format("{}{:x}", pattern.back() == '=' ? "" : " ", static_cast<std::uint32_t>(c));
    }
    const ProgramResult result = run_program({.program = program_,
                                              .arguments = {pattern},
                                              .directory = "/",
                                              .time_limit = options_.time_limit,
                                              .stop = options_.stop});
    return !result.problem.empty() || result.output.find_first_not_of(" \n") != std::string::npos;
  }

 private:
  std::filesystem::path program_;
  const PlotOptions& options_;
};

}  // namespace

std::string font_notice(std::span<const std::string> drawings, const PlotOptions& options) {
  constexpr std::size_t max_together = 400;  // in one pattern
  constexpr int max_alone = 64;              // questions about single characters
  constexpr std::size_t max_shown = 8;
  const auto program = find_program("fc-list");
  if (!program) return {};
  std::map<std::pair<char32_t, const char*>, std::vector<char32_t>> groups;
  for (const char32_t c : characters_beyond_ascii(drawings)) groups[group_of(c)].push_back(c);
  Fonts fonts(*program, options);
  std::set<std::string> packages;
  std::string shown;
  std::size_t n_shown = 0;
  int n_asked = 0;
  for (auto& [group, characters] : groups) {
    if (characters.size() > max_together) characters.resize(max_together);
    if (fonts.have(characters)) continue;
    for (const char32_t c : characters) {
      if (n_asked++ == max_alone || n_shown == max_shown) break;
      if (characters.size() > 1 && fonts.have({c})) continue;
      packages.insert(group.second);
      shown += (shown.empty() ? "" : " ") + utf8(c);
      ++n_shown;
    }
  }
  if (packages.empty()) return {};
  std::string names;
  for (const std::string& package : packages) names += (names.empty() ? "" : ", ") + package;
  return fmt::format(
      "no installed font has some characters of the figures' labels ({}), which PNG and PDF show "
      "as "
      "boxes; Debian's package{} {} {}",
      printable(shown), packages.size() == 1 ? "" : "s", names,
      packages.size() == 1 ? "has one" : "have them");
}

}  // namespace moexray::report
