#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace moexray {

/// SHA-256 (FIPS 180-4) of a stream of bytes.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  /// The digest of everything given so far, which then starts anew: 64 lower-case hex digits.
  std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The SHA-256 of some bytes, 64 lower-case hex digits.
std::string sha256_hex(std::string_view bytes);

}  // namespace moexray
