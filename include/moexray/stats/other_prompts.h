#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// The sum of some rows of a matrix.
struct RowSum {
  Vector values;  ///< [D]
  std::size_t n = 0;
};

/// What a prompt is compared with: the other prompts of its category, or all other prompts if it
/// has none. Every prompt has the same weight, whatever its number of tokens.
class OtherPrompts {
 public:
  /// @param signatures must outlive this
  explicit OtherPrompts(const Signatures& signatures);

  /// How many there are.
  /// @param row of the prompt itself among the signatures; none if it has no signature
  std::size_t size(const std::string& category, std::optional<std::size_t> row) const;

  /// Their mean signature, cut into layers: [L] of [E].
  /// @throws Error (runtime) where there are none.
  std::vector<std::vector<double>> mean_signature(const std::string& category,
                                                  std::optional<std::size_t> row) const;

 private:
  const RowSum* find(const std::string& category) const;

  const Signatures& signatures_;
  std::map<std::string, RowSum> of_category_;
  RowSum of_all_;
};

/// How typical each prompt is: its mean similarity, as in unit_blocks(), with the other prompts of
/// its category, those without a category being one too.
/// @return [n]; undefined for the only prompt of a category.
std::vector<double> similarity_to_others(const Signatures& signatures);

}  // namespace moexray::stats
