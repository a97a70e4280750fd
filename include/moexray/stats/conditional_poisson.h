#pragma once

#include <span>
#include <vector>

namespace moexray::stats {

/// Drawing k of E experts so that each is drawn at its own rate and nothing else ties them
/// together: the distribution of k-sets with P(S) ∝ Π_{e∈S} w_e (conditional Poisson sampling;
/// Chen, Dempster and Liu 1994). Its odds w are found from the rates by their fixed point.
///
/// π_i π_j is no expectation for pairs of a top-k router: for uniform 8 of 64 it is 12.5% too high.
class ConditionalPoisson {
 public:
  /// @param rates [E] between 0 and 1, with the integer sum k; 0 and 1 are allowed
  /// @throws Error (runtime) if the sum is not k
  ConditionalPoisson(std::span<const double> rates, int k);

  /// P(both i and j are drawn) for every j; at i itself its rate. [E]
  std::vector<double> joint(int i) const;
  /// The rates of the distribution that was found: those asked for, to rounding. [E]
  std::vector<double> rates() const;

 private:
  std::vector<double> odds_;   // [E] 0 for experts that are always or never drawn
  std::vector<double> asked_;  // [E]
  int k_ = 0;                  // to be drawn beside those that always are
};

}  // namespace moexray::stats
