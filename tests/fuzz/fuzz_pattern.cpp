// Any bytes as a pattern and, behind the first line, a text: either an Error, or matches that lie
// in the text, in order.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "text_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!moexray::is_valid_utf8(bytes)) return 0;  // JSON has no others
  const std::size_t end = std::min(bytes.find('\n'), size);
  const std::string_view text = bytes.substr(std::min(end + 1, size));
  try {
    const moexray::TextPattern pattern(bytes.substr(0, end), "pattern");
    moexray::MatchBudget budget(text.size());
    std::size_t done = 0;
    for (const moexray::TextSpan& match : pattern.matches(text, budget)) {
      if (match.begin < done || match.end < match.begin || match.end > text.size()) std::abort();
      done = match.end;
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
