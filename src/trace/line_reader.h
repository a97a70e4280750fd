#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <string_view>

namespace moexray::trace {

/// Splits a stream into lines of bounded length, whatever the stream holds.
class LineReader {
 public:
  explicit LineReader(std::istream& in) : in_(in), block_(std::size_t{1} << 16, '\0') {}

  /// Moves to the next line; false at the end of the stream. The newline is not part of text().
  bool next();

  std::string_view text() const { return line_; }
  std::int64_t number() const { return number_; }   ///< from 1
  std::uint64_t offset() const { return offset_; }  ///< of the line's first byte
  /// The line exceeds max_line_bytes: text() is its beginning.
  bool too_long() const { return too_long_; }
  /// False for a last line without a newline.
  bool ended() const { return ended_; }
  /// The stream reported a read error.
  bool failed() const { return in_.bad(); }

 private:
  bool fill();

  std::istream& in_;
  std::string block_;
  std::string_view rest_;
  std::string line_;
  std::int64_t number_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t next_offset_ = 0;
  bool too_long_ = false;
  bool ended_ = false;
};

}  // namespace moexray::trace
