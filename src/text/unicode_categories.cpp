#include "unicode_categories.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

namespace moexray::unicode {
namespace {

constexpr std::int8_t unassigned = U_UNASSIGNED;
constexpr std::int8_t ll = U_LOWERCASE_LETTER;
constexpr std::int8_t lm = U_MODIFIER_LETTER;
constexpr std::int8_t lo = U_OTHER_LETTER;
constexpr std::int8_t lu = U_UPPERCASE_LETTER;
constexpr std::int8_t mc = U_COMBINING_SPACING_MARK;
constexpr std::int8_t mn = U_NON_SPACING_MARK;
constexpr std::int8_t nd = U_DECIMAL_DIGIT_NUMBER;
constexpr std::int8_t pd = U_DASH_PUNCTUATION;
constexpr std::int8_t po = U_OTHER_PUNCTUATION;
constexpr std::int8_t sm = U_MATH_SYMBOL;
constexpr std::int8_t so = U_OTHER_SYMBOL;

// What Unicode 15.1 and 16 have changed, which older versions of ICU lack.
struct NewRange {
  char32_t first;
  char32_t last;
  std::int8_t category;
};
constexpr NewRange new_ranges[] = {
    {0x0897, 0x0897, mn},   {0x1B4E, 0x1B4F, po},   {0x1B7F, 0x1B7F, po},   {0x1C89, 0x1C89, lu},
    {0x1C8A, 0x1C8A, ll},   {0x2427, 0x2429, so},   {0x2FFC, 0x2FFF, so},   {0x31E4, 0x31E5, so},
    {0x31EF, 0x31EF, so},   {0xA7CB, 0xA7CC, lu},   {0xA7CD, 0xA7CD, ll},   {0xA7DA, 0xA7DA, lu},
    {0xA7DB, 0xA7DB, ll},   {0xA7DC, 0xA7DC, lu},   {0x105C0, 0x105F3, lo}, {0x10D40, 0x10D49, nd},
    {0x10D4A, 0x10D4D, lo}, {0x10D4E, 0x10D4E, lm}, {0x10D4F, 0x10D4F, lo}, {0x10D50, 0x10D65, lu},
    {0x10D69, 0x10D6D, mn}, {0x10D6E, 0x10D6E, pd}, {0x10D6F, 0x10D6F, lm}, {0x10D70, 0x10D85, ll},
    {0x10D8E, 0x10D8F, sm}, {0x10EC2, 0x10EC4, lo}, {0x10EFC, 0x10EFC, mn}, {0x11380, 0x11389, lo},
    {0x1138B, 0x1138B, lo}, {0x1138E, 0x1138E, lo}, {0x11390, 0x113B5, lo}, {0x113B7, 0x113B7, lo},
    {0x113B8, 0x113BA, mc}, {0x113BB, 0x113C0, mn}, {0x113C2, 0x113C2, mc}, {0x113C5, 0x113C5, mc},
    {0x113C7, 0x113CA, mc}, {0x113CC, 0x113CD, mc}, {0x113CE, 0x113CE, mn}, {0x113CF, 0x113CF, mc},
    {0x113D0, 0x113D0, mn}, {0x113D1, 0x113D1, lo}, {0x113D2, 0x113D2, mn}, {0x113D3, 0x113D3, lo},
    {0x113D4, 0x113D5, po}, {0x113D7, 0x113D8, po}, {0x113E1, 0x113E2, mn}, {0x116D0, 0x116E3, nd},
    {0x1171E, 0x1171E, mc}, {0x11BC0, 0x11BE0, lo}, {0x11BE1, 0x11BE1, po}, {0x11BF0, 0x11BF9, nd},
    {0x11F5A, 0x11F5A, mn}, {0x13460, 0x143FA, lo}, {0x16100, 0x1611D, lo}, {0x1611E, 0x16129, mn},
    {0x1612A, 0x1612C, mc}, {0x1612D, 0x1612F, mn}, {0x16130, 0x16139, nd}, {0x16D40, 0x16D42, lm},
    {0x16D43, 0x16D6A, lo}, {0x16D6B, 0x16D6C, lm}, {0x16D6D, 0x16D6F, po}, {0x16D70, 0x16D79, nd},
    {0x18CFF, 0x18CFF, lo}, {0x1CC00, 0x1CCEF, so}, {0x1CCF0, 0x1CCF9, nd}, {0x1CD00, 0x1CEB3, so},
    {0x1E5D0, 0x1E5ED, lo}, {0x1E5EE, 0x1E5EF, mn}, {0x1E5F0, 0x1E5F0, lo}, {0x1E5F1, 0x1E5FA, nd},
    {0x1E5FF, 0x1E5FF, po}, {0x1F8B2, 0x1F8BB, so}, {0x1F8C0, 0x1F8C1, so}, {0x1FA89, 0x1FA89, so},
    {0x1FA8F, 0x1FA8F, so}, {0x1FABE, 0x1FABE, so}, {0x1FAC6, 0x1FAC6, so}, {0x1FADC, 0x1FADC, so},
    {0x1FADF, 0x1FADF, so}, {0x1FAE9, 0x1FAE9, so}, {0x1FBCB, 0x1FBEF, so}, {0x2EBF0, 0x2EE5D, lo},
};

std::int8_t new_category(char32_t c) {
  const auto* after =
      std::upper_bound(std::begin(new_ranges), std::end(new_ranges), c,
                       [](char32_t value, const NewRange& range) { return value < range.first; });
  if (after == std::begin(new_ranges) || c > (after - 1)->last) return unassigned;
  return (after - 1)->category;
}

// The names of the categories, in ICU's order.
constexpr std::array<std::string_view, U_CHAR_CATEGORY_COUNT> names = {
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Me", "Mc", "Nd", "Nl", "No", "Zs", "Zl", "Zp",
    "Cc", "Cf", "Co", "Cs", "Pd", "Ps", "Pe", "Pc", "Po", "Sm", "Sc", "Sk", "So", "Pi", "Pf"};

void append(std::vector<CodePointRange>& ranges, char32_t first, char32_t last) {
  if (!ranges.empty() && ranges.back().last + 1 == first) {
    ranges.back().last = last;
  } else {
    ranges.push_back({first, last});
  }
}

struct Gathering {
  std::uint32_t mask;
  std::vector<CodePointRange> ranges;
};

// Of a range that ICU gives one category, with what is new in it.
UBool gather(const void* context, UChar32 begin, UChar32 end, UCharCategory category) {
  Gathering& gathering = *static_cast<Gathering*>(const_cast<void*>(context));
  const auto add = [&](char32_t first, char32_t last, std::int8_t of) {
    if (first <= last && (U_MASK(of) & gathering.mask) != 0) append(gathering.ranges, first, last);
  };
  auto next = static_cast<char32_t>(begin);
  const char32_t last = static_cast<char32_t>(end) - 1;
  for (const NewRange& range : new_ranges) {
    if (range.last < next || range.first > last) continue;
    const char32_t from = std::max(range.first, next);
    const char32_t to = std::min(range.last, last);
    if (from > next) add(next, from - 1, static_cast<std::int8_t>(category));
    add(from, to, range.category);
    next = to + 1;
  }
  add(next, last, static_cast<std::int8_t>(category));
  return true;
}

}  // namespace

bool has_category(char32_t c, std::uint32_t mask) {
  std::int8_t category = u_charType(static_cast<UChar32>(c));
  if (category == unassigned) category = new_category(c);
  return (U_MASK(category) & mask) != 0;
}

std::uint32_t category_mask(std::string_view name) {
  std::uint32_t mask = 0;
  if (name.empty() || name.size() > 2) return mask;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].starts_with(name)) mask |= U_MASK(i);
  }
  return mask;
}

std::vector<CodePointRange> category_ranges(std::uint32_t mask) {
  Gathering gathering{mask, {}};
  u_enumCharTypes(gather, &gathering);
  return std::move(gathering.ranges);
}

}  // namespace moexray::unicode
