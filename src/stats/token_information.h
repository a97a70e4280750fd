#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moexray/stats/matrix.h"
#include "moexray/stats/signatures.h"

namespace moexray::stats {

/// Plug-in mutual information of every expert and layer with a labelling of the prompts, in bits.
/// Counts are summed by category; logarithms come from a table.
class TokenInformationCounts {
 public:
  /// @throws Error (data) if the signatures are not made of counts, or the layers of a prompt do
  /// not have the same tokens.
  explicit TokenInformationCounts(const Signatures& signatures);

  int n_layers() const { return shape_.n_layers; }
  int n_experts() const { return shape_.n_experts; }

  struct PlugIn {
    Vector experts;  ///< [L·E]
    Vector layers;   ///< [L]
  };
  PlugIn plug_in(std::span<const int> labels, int n_categories) const;

  /// Miller's (1955) bias of the plug-in value if tokens were independent, (rows − 1)(columns − 1)
  /// / (2 N ln 2) bits: of an expert, N tokens and two columns (none if it is always or never
  /// selected), of a layer k·N selections and the experts in use.
  PlugIn miller_bias(int n_categories) const;

 private:
  // n·log2(n).
  double n_log_n(std::int64_t n) const { return table_[static_cast<std::size_t>(n)]; }

  RoutingShape shape_;
  CountMatrix counts_;                  // [n, L·E] A
  std::vector<std::int64_t> n_tokens_;  // [n]
  std::int64_t n_all_ = 0;
  std::vector<double> table_;
};

}  // namespace moexray::stats
