#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace moexray {

/// The XXH3 64-bit hash of bytes that come in pieces, written as "xxh3:" and 16 hexadecimal digits.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void reset();
  void update(std::string_view bytes);
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string checksum_text(std::string_view bytes);

/// True for "xxh3:" followed by 16 lower-case hexadecimal digits.
bool is_checksum_text(std::string_view text);

/// How a checksum stands at the end of a text: the text is BODY + member + sum + end, and the hash
/// is of BODY + plain_end, which is the text without it.
struct ChecksumMember {
  std::string_view member;
  std::string_view end;
  std::string_view plain_end;
};
/// The last member of a JSON object with a member a line.
inline constexpr ChecksumMember object_checksum{",\n  \"checksum\": \"", "\"\n}\n", "\n}\n"};

/// Appends the member to the body of a text.
void append_checksum(std::string& body, const ChecksumMember& member);

enum class ChecksumState { absent, right, wrong };

/// Checks the member, if it stands at the end of the text.
ChecksumState check_checksum(std::string_view text, const ChecksumMember& member);

}  // namespace moexray
