#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace moexray {

/// A small random stream whose values are the same on every machine and with every compiler
/// (xoshiro256++ by Blackman and Vigna, seeded through splitmix64). Copies are independent.
class RandomStream {
 public:
  using result_type = std::uint64_t;
  using State = std::array<std::uint64_t, 4>;

  explicit RandomStream(std::uint64_t seed);
  /// The stream of one named thing (a prompt, say): the same for the same seed and name, whatever
  /// other streams exist.
  RandomStream(std::uint64_t seed, std::string_view name);

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~std::uint64_t{0}; }
  result_type operator()();

  /// Uniform in [0, 1) with 53 random bits.
  double uniform();
  /// Uniform in {0, …, n − 1}, without bias (Lemire's method). n must be positive.
  std::uint64_t below(std::uint64_t n);
  /// Standard normal (Box–Muller; one value a call).
  double normal();

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  State state_;
};

}  // namespace moexray
