#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace moexray::trace {

/// Bytes written through a pointer: room() once a record, then stores without checks.
class ByteBuffer {
 public:
  /// A place for at least `n` bytes at the end. Valid until the next call.
  char* room(std::size_t n) {
    if (bytes_.size() - size_ < n) bytes_.resize(std::max(bytes_.size() * 2, size_ + n));
    return bytes_.data() + size_;
  }
  /// Takes over what was written at room() up to `end`.
  void advance_to(const char* end) { size_ = static_cast<std::size_t>(end - bytes_.data()); }
  void clear() { size_ = 0; }
  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  std::vector<char> bytes_;
  std::size_t size_ = 0;
};

inline char* put(char* out, std::string_view text) {
  return std::copy(text.begin(), text.end(), out);
}

}  // namespace moexray::trace
