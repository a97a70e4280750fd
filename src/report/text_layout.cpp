#include "moexray/report/text_layout.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "code_point.h"

namespace moexray::report {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// The blocks that matter in practice, not every character of Unicode's tables.
constexpr std::array<Range, 32> zero_width{
    {{0x0300, 0x036F},   {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A},   {0x064B, 0x065F},
     {0x06D6, 0x06DC},   {0x0900, 0x0902}, {0x093A, 0x093A}, {0x093C, 0x093C},   {0x0941, 0x0948},
     {0x094D, 0x094D},   {0x0951, 0x0957}, {0x0E31, 0x0E31}, {0x0E34, 0x0E3A},   {0x0E47, 0x0E4E},
     {0x1160, 0x11FF},   {0x180B, 0x180D}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},   {0x200B, 0x200F},
     {0x2028, 0x202E},   {0x2060, 0x2064}, {0x20D0, 0x20FF}, {0x302A, 0x302D},   {0x3099, 0x309A},
     {0xFE00, 0xFE0F},   {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF}, {0xE0001, 0xE007F},
     {0xE0100, 0xE01EF}, {0xD7B0, 0xD7FF}}};
// Unicode's East Asian width W and F.
constexpr std::array<Range, 95> double_width{
    {{0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
     {0x23F0, 0x23F0},   {0x23F3, 0x23F3},   {0x25FD, 0x25FE},   {0x2614, 0x2615},
     {0x2648, 0x2653},   {0x267F, 0x267F},   {0x2693, 0x2693},   {0x26A1, 0x26A1},
     {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x26C4, 0x26C5},   {0x26CE, 0x26CE},
     {0x26D4, 0x26D4},   {0x26EA, 0x26EA},   {0x26F2, 0x26F3},   {0x26F5, 0x26F5},
     {0x26FA, 0x26FA},   {0x26FD, 0x26FD},   {0x2705, 0x2705},   {0x270A, 0x270B},
     {0x2728, 0x2728},   {0x274C, 0x274C},   {0x274E, 0x274E},   {0x2753, 0x2755},
     {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27B0, 0x27B0},   {0x27BF, 0x27BF},
     {0x2B1B, 0x2B1C},   {0x2B50, 0x2B50},   {0x2B55, 0x2B55},   {0x2E80, 0x303E},
     {0x3041, 0xA4CF},   {0xA960, 0xA97C},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
     {0xFE10, 0xFE19},   {0xFE30, 0xFE6B},   {0xFF01, 0xFF60},   {0xFFE0, 0xFFE6},
     {0x16FE0, 0x18CFF}, {0x1AFF0, 0x1B2FF}, {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
     {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F200, 0x1F202}, {0x1F210, 0x1F23B},
     {0x1F240, 0x1F248}, {0x1F250, 0x1F251}, {0x1F260, 0x1F265}, {0x1F300, 0x1F320},
     {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA},
     {0x1F3CF, 0x1F3D3}, {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4}, {0x1F3F8, 0x1F43E},
     {0x1F440, 0x1F440}, {0x1F442, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E},
     {0x1F550, 0x1F567}, {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596}, {0x1F5A4, 0x1F5A4},
     {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2},
     {0x1F6D5, 0x1F6D7}, {0x1F6DC, 0x1F6DF}, {0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC},
     {0x1F7E0, 0x1F7EB}, {0x1F7F0, 0x1F7F0}, {0x1F90C, 0x1F93A}, {0x1F93C, 0x1F945},
     {0x1F947, 0x1F9FF}, {0x1FA70, 0x1FA7C}, {0x1FA80, 0x1FA8A}, {0x1FA8E, 0x1FAC6},
     {0x1FAC8, 0x1FAC8}, {0x1FACD, 0x1FADC}, {0x1FADF, 0x1FAEA}, {0x1FAEF, 0x1FAF8},
     {0x20000, 0x2FFFD}, {0x30000, 0x3FFFD}, {0x1D300, 0x1D356}}};
constexpr char32_t joiner = 0x200D;
constexpr char32_t emoji_presentation = 0xFE0F;

bool is_in(std::span<const Range> ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& r) { return r.first <= c && c <= r.last; });
}

// A piece of text that must not be cut, and its width.
struct Cluster {
  std::string_view text;
  std::size_t width = 0;
};

// The character at the start of `text` with what modifies it or is joined to it; consumed.
Cluster take_cluster(std::string_view& text) {
  const std::string_view start = text;
  const char32_t base = take_code_point(text);
  std::size_t width = base < zero_width[0].first  ? 1
                      : is_in(zero_width, base)   ? 0
                      : is_in(double_width, base) ? 2
                                                  : 1;
  bool joins = base == joiner;
  while (!text.empty()) {
    std::string_view rest = text;
    const char32_t c = take_code_point(rest);
    if (!joins && !is_in(zero_width, c)) break;
    if (c == emoji_presentation && width == 1) width = 2;
    joins = c == joiner;
    text = rest;
  }
  return {start.substr(0, start.size() - text.size()), width};
}

// Appends a word to lines of at most `width` columns, breaking it if it alone is wider.
class LineFiller {
 public:
  LineFiller(std::size_t width, std::vector<std::string>& lines) : width_(width), lines_(lines) {}

  void start_line() {
    lines_.emplace_back();
    used_ = 0;
  }
  void add(std::string_view word) {
    const std::size_t size = display_width(word);
    if (used_ > 0 && used_ + 1 + size > width_) {
      start_line();
    } else if (used_ > 0) {
      lines_.back() += ' ';
      ++used_;
    }
    while (!word.empty()) {
      const Cluster cluster = take_cluster(word);
      if (used_ > 0 && used_ + cluster.width > width_) start_line();
      lines_.back() += cluster.text;
      used_ += cluster.width;
    }
  }

 private:
  std::size_t width_;
  std::size_t used_ = 0;
  std::vector<std::string>& lines_;
};

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) width += take_cluster(text).width;
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::vector<Cluster> clusters;
  for (std::string_view rest = text; !rest.empty();) clusters.push_back(take_cluster(rest));
  // Names are told apart by their ends as often as by their starts.
  std::size_t left = width - 1;
  const std::size_t for_end = left / 2;
  std::string end;
  std::size_t last = clusters.size();
  for (std::size_t used = 0; last > 0 && used + clusters[last - 1].width <= for_end;) {
    --last;
    used += clusters[last].width;
    left -= clusters[last].width;
    end.insert(0, clusters[last].text);
  }
  std::string start;
  for (std::size_t i = 0; i < last && clusters[i].width <= left; ++i) {
    start += clusters[i].text;
    left -= clusters[i].width;
  }
  return start + "…" + end;
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  LineFiller filler(width, lines);
  while (true) {
    const std::size_t line_end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, line_end);
    if (width == 0) {
      lines.emplace_back(line);
    } else {
      filler.start_line();
      while (!line.empty()) {
        const std::size_t end = std::min(line.find(' '), line.size());
        if (end > 0) filler.add(line.substr(0, end));
        line.remove_prefix(std::min(end + 1, line.size()));
      }
    }
    if (line_end == text.size()) return lines;
    text.remove_prefix(line_end + 1);
  }
}

}  // namespace moexray::report
