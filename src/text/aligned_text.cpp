#include "aligned_text.h"

#include <algorithm>
#include <utility>

namespace moexray {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The index of the run that holds `pos`.
std::size_t run_at(const std::vector<AlignedText::Run>& runs, std::size_t pos) {
  const auto after = std::upper_bound(
      runs.begin(), runs.end(), pos,
      [](std::size_t value, const AlignedText::Run& run) { return value < run.text.begin; });
  return static_cast<std::size_t>(after - runs.begin()) - 1;
}

std::size_t original_begin(const AlignedText::Run& run, std::size_t pos) {
  return run.original.begin + (run.is_identical ? pos - run.text.begin : 0);
}

std::size_t original_end(const AlignedText::Run& run, std::size_t pos) {
  return run.is_identical ? run.original.begin + (pos - run.text.begin) : run.original.end;
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
  return {original_begin(runs[run_at(runs, begin)], begin),
          original_end(runs[run_at(runs, end - 1)], end)};
}

AlignedEdit::AlignedEdit(const AlignedText& from, TextSpan range) : from_(from), left_(range) {
  to_.text.reserve(range.end - range.begin);
  if (!from.runs.empty()) run_ = run_at(from.runs, range.begin);
}

void AlignedEdit::keep(std::size_t end) {
  const std::string_view text(from_.text);
  while (left_.begin < end) {
    const AlignedText::Run& run = from_.runs[run_];
    const std::size_t stop = std::min(end, run.text.end);
    to_.append(text.substr(left_.begin, stop - left_.begin),
               {original_begin(run, left_.begin), original_end(run, stop)}, run.is_identical);
    left_.begin = stop;
    if (stop == run.text.end) ++run_;
  }
}

void AlignedEdit::replace(std::size_t end, std::string_view text) {
  TextSpan original;
  if (left_.begin < end) {
    original = from_.original_of(left_.begin, end);
  } else if (run_ < from_.runs.size()) {
    original.begin = original.end = original_begin(from_.runs[run_], left_.begin);
  } else if (!from_.runs.empty()) {
    original.begin = original.end = from_.runs.back().original.end;
  }
  to_.append(text, original, false);
  left_.begin = end;
  while (run_ < from_.runs.size() && from_.runs[run_].text.end <= end) ++run_;
}

AlignedText AlignedEdit::finish() {
  keep(left_.end);
  return std::move(to_);
}

}  // namespace moexray
