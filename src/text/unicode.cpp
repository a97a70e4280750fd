#include "unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include "moexray/core/error.h"
#include "unicode_categories.h"

namespace moexray::unicode {
namespace {

// Every code point below has a normalisation boundary before it and is in NFC.
constexpr char32_t first_interesting = 0x300;
// ICU inserts marks one by one, which is quadratic in the length of a run; longer segments are
// sorted first.
constexpr std::size_t long_segment_bytes = 128;

const icu::Normalizer2& nfc_data() {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* data = icu::Normalizer2::getNFCInstance(status);
  if (U_FAILURE(status)) throw Error(ErrorKind::runtime, "ICU has no data for NFC");
  return *data;
}

// Hugging Face normalises by the tables of Unicode 9: later characters are left as they are and in
// their place.
bool is_inert(char32_t c) {
  constexpr int last_version = 9;
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(c), age);
  return age[0] == 0 || age[0] > last_version;
}

// The canonical decomposition of a segment, marks in canonical order.
std::string decompose(const icu::Normalizer2& data, std::string_view segment) {
  struct Mark {
    UChar32 code_point;
    std::uint8_t combining_class;
    std::size_t order;  // among equal classes the order of the text stays
  };
  std::vector<Mark> marks;
  for (std::size_t pos = 0; pos < segment.size();) {
    const auto c = static_cast<UChar32>(next_code_point(segment, pos));
    icu::UnicodeString parts;
    if (!data.getDecomposition(c, parts)) parts = icu::UnicodeString(c);
    for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1)) {
      marks.push_back({parts.char32At(i), u_getCombiningClass(parts.char32At(i)), marks.size()});
    }
  }
  for (auto begin = marks.begin(); begin != marks.end();) {
    if (begin->combining_class == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, marks.end(),
                                  [](const Mark& mark) { return mark.combining_class == 0; });
    std::sort(begin, end, [](const Mark& a, const Mark& b) {
      return std::tie(a.combining_class, a.order) < std::tie(b.combining_class, b.order);
    });
    begin = end;
  }
  std::string sorted;
  for (const Mark& mark : marks) append_utf8(sorted, static_cast<char32_t>(mark.code_point));
  return sorted;
}

// The end of the stretch from `begin` that can be normalised by itself. Sets `is_interesting` if
// normalising it may change it.
std::size_t end_of_segment(const icu::Normalizer2& data, std::string_view text, std::size_t begin,
                           bool& is_interesting) {
  std::size_t end = begin;
  const char32_t first = next_code_point(text, end);
  if (first >= first_interesting) {
    if (is_inert(first)) return end;
    is_interesting = true;
  }
  while (end < text.size()) {
    std::size_t next = end;
    const char32_t c = next_code_point(text, next);
    if (c < first_interesting || data.hasBoundaryBefore(static_cast<UChar32>(c)) || is_inert(c))
      break;
    is_interesting = true;
    end = next;
  }
  return end;
}

std::string nfc_of_segment(const icu::Normalizer2& data, std::string_view segment) {
  const std::string sorted =
      segment.size() > long_segment_bytes ? decompose(data, segment) : std::string();
  if (!sorted.empty()) segment = sorted;
  std::string normalized;
  icu::StringByteSink<std::string> sink(&normalized);
  UErrorCode status = U_ZERO_ERROR;
  data.normalizeUTF8(0, icu::StringPiece(segment.data(), static_cast<int32_t>(segment.size())),
                     sink, nullptr, status);
  if (U_FAILURE(status)) throw Error(ErrorKind::runtime, "ICU cannot normalise a text");
  return normalized;
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& pos) {
  const auto byte = [&] { return static_cast<unsigned char>(text[pos++]); };
  const char32_t lead = byte();
  if (lead < 0x80) return lead;
  const int n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t c = lead & (0x3FU >> n_more);
  for (int i = 0; i < n_more; ++i) c = (c << 6) | (byte() & 0x3FU);
  return c;
}

char32_t previous_code_point(std::string_view text, std::size_t& pos) {
  do {
    --pos;
  } while (pos > 0 && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
  std::size_t begin = pos;
  return next_code_point(text, begin);
}

void append_utf8(std::string& text, char32_t code_point) {
  char bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, static_cast<std::uint32_t>(code_point));
  text.append(bytes, static_cast<std::size_t>(length));
}

bool is_letter(char32_t c) { return has_category(c, U_GC_L_MASK); }

bool is_number(char32_t c) { return has_category(c, U_GC_N_MASK); }

bool is_white_space(char32_t c) { return u_isUWhiteSpace(static_cast<UChar32>(c)) != 0; }

bool is_word(char32_t c) {
  const auto code_point = static_cast<UChar32>(c);
  constexpr auto mask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_isUAlphabetic(code_point) != 0 || (U_GET_GC_MASK(code_point) & mask) != 0 ||
         u_hasBinaryProperty(code_point, UCHAR_JOIN_CONTROL) != 0;
}

AlignedText nfc(std::string_view text) {
  const icu::Normalizer2& data = nfc_data();
  AlignedText result;
  result.text.reserve(text.size());
  std::size_t plain_begin = 0;  // start of text not yet appended that needs no change
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
    bool is_interesting = false;
    end = end_of_segment(data, text, begin, is_interesting);
    if (!is_interesting) continue;
    const std::string_view segment = text.substr(begin, end - begin);
    const std::string normalized = nfc_of_segment(data, segment);
    if (normalized == segment) continue;
    result.append(text.substr(plain_begin, begin - plain_begin), {plain_begin, begin}, true);
    result.append(normalized, {begin, end}, false);
    plain_begin = end;
  }
  result.append(text.substr(plain_begin), {plain_begin, text.size()}, true);
  return result;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  constexpr char32_t replacement = 0xFFFD;
  std::string text;
  text.reserve(bytes.size());
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  for (std::size_t pos = 0; pos < bytes.size();) {
    // A window, because ICU's macro counts in int32_t.
    const auto length =
        static_cast<int32_t>(std::min<std::size_t>(bytes.size() - pos, U8_MAX_LENGTH));
    int32_t used = 0;
    UChar32 c = 0;
    U8_NEXT(data + pos, used, length, c);
    if (c < 0) {
      append_utf8(text, replacement);
    } else {
      text.append(bytes.substr(pos, static_cast<std::size_t>(used)));
    }
    pos += static_cast<std::size_t>(used);
  }
  return text;
}

}  // namespace moexray::unicode
