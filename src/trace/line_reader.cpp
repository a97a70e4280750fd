#include "line_reader.h"

#include <algorithm>

#include "json_text.h"

namespace moexray::trace {

bool LineReader::fill() {
  in_.read(block_.data(), static_cast<std::streamsize>(block_.size()));
  rest_ = std::string_view(block_).substr(0, static_cast<std::size_t>(in_.gcount()));
  return !rest_.empty();
}

bool LineReader::next() {
  line_.clear();
  too_long_ = false;
  ended_ = false;
  if (rest_.empty() && !fill()) return false;
  ++number_;
  offset_ = next_offset_;
  while (true) {
    const std::size_t end = rest_.find('\n');
    const std::string_view part = rest_.substr(0, end);
    const std::size_t room = max_line_bytes - line_.size();
    line_.append(part.substr(0, room));
    if (part.size() > room) too_long_ = true;
    next_offset_ += part.size();
    if (end != std::string_view::npos) {
      rest_.remove_prefix(end + 1);
      ++next_offset_;
      ended_ = true;
      return true;
    }
    if (!fill()) {
      rest_ = {};
      return true;
    }
  }
}

}  // namespace moexray::trace
