#include "aligned_text.h"

#include <algorithm>

namespace moexray {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

const AlignedText::Run& run_at(const std::vector<AlignedText::Run>& runs, std::size_t pos) {
  const auto after = std::upper_bound(
      runs.begin(), runs.end(), pos,
      [](std::size_t value, const AlignedText::Run& run) { return value < run.text.begin; });
  return *(after - 1);
}

}  // namespace

void AlignedText::append(std::string_view part, TextSpan original, bool is_identical) {
  if (part.empty()) return;
  const TextSpan here{text.size(), text.size() + part.size()};
  text += part;
  if (is_identical && !runs.empty() && runs.back().is_identical &&
      runs.back().original.end == original.begin) {
    runs.back().text.end = here.end;
    runs.back().original.end = original.end;
    return;
  }
  runs.push_back({here, original, is_identical});
}

TextSpan AlignedText::original_of(std::size_t begin, std::size_t end) const {
  while (begin > 0 && is_continuation(text[begin])) --begin;
  while (end < text.size() && is_continuation(text[end])) ++end;
  const Run& first = run_at(runs, begin);
  const Run& last = run_at(runs, end - 1);
  TextSpan span;
  span.begin = first.original.begin + (first.is_identical ? begin - first.text.begin : 0);
  span.end = last.is_identical ? last.original.begin + (end - last.text.begin) : last.original.end;
  return span;
}

}  // namespace moexray
