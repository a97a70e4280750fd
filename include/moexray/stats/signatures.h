#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "moexray/core/routing.h"
#include "moexray/stats/matrix.h"
#include "moexray/stats/selection.h"

namespace moexray::stats {

struct PromptLabel {
  std::string id;
  std::string category;  ///< empty: none
};

/// A prompt that has no signature under the selection.
struct LeftOut {
  std::string id;
  std::string reason;
};

/// Routing signatures (the paper's equations 3 and 4), a row per prompt.
///
/// A_{ℓ,e}(x) = number of times expert e is selected at layer ℓ for prompt x over the selected
/// tokens (weighted: the sum of the router weights it was selected with); s_{ℓ,e} = A_{ℓ,e} / Σ_e'
/// A_{ℓ,e'}, at column ℓ·E + e.
struct Signatures {
  RoutingShape shape;
  Matrix values;                        ///< [n, L·E]; every layer block sums to 1
  CountMatrix layer_tokens;             ///< [n, L] selected tokens seen at each layer
  std::vector<std::string> ids;         ///< [n]
  std::vector<std::string> categories;  ///< [n], empty where none was given
  /// [n] selected tokens: the largest of layer_tokens' row; 0: not known, of counts without k
  std::vector<std::int64_t> n_tokens;
  std::vector<std::size_t> prompt_indices;  ///< [n] which of the accumulator's prompts a row is
  Matrix layer_sums;                        ///< [n, L] Σ_e A: `values` times this gives A back
  std::vector<LeftOut> left_out;            ///< prompts without a selected token, in input order

  std::size_t size() const { return ids.size(); }
};

/// Builds signatures from a stream of routing records.
class SignatureAccumulator {
 public:
  /// @param prompts labels by prompt index.
  /// @throws Error (data) if the shape is not positive (k may be 0, not known, where counts are
  /// added), k > E, or n·L·E values exceed this machine's memory.
  SignatureAccumulator(const RoutingShape& shape, std::vector<PromptLabel> prompts,
                       Selection selection);

  /// Counts one record. Calls for different prompts may come from different threads at the same
  /// time.
  /// @throws Error (data) for an index, layer or expert out of range, a weight that is negative or
  /// not
  ///         finite, a number of weights that differs from the experts', or, if weighted, no
  ///         weights.
  void add(std::size_t prompt, const RoutingRecord& record);

  /// Counts what is known of a prompt in one go: how often each expert was selected. The number of
  /// tokens is a layer's sum over k, or 0 where k is not known.
  /// @param counts [L, E]
  /// @throws Error (data) for another number of counts, a negative one, or a sum of a layer that
  /// is no multiple of k.
  void add_counts(std::size_t prompt, std::span<const std::int64_t> counts);

  /// Normalises. The accumulator is used up.
  ///
  /// A prompt without any selected token is left out and named if the selection restricts tokens.
  /// @throws Error (data) if a prompt has no event at a layer (of all tokens, or at some layers
  /// only),
  ///         if its weights at a layer sum to zero, or if no prompt remains.
  Signatures finish() &&;

 private:
  std::string where(std::size_t prompt, int layer) const;
  void check(std::size_t prompt, const RoutingRecord& record) const;
  bool has_every_layer(std::size_t prompt) const;

  RoutingShape shape_;
  std::vector<PromptLabel> prompts_;
  Selection selection_;
  Matrix sums_;               // [n, L·E] A
  CountMatrix layer_tokens_;  // [n, L]
};

/// The distinct categories in alphabetical order (so that results do not depend on the order of the
/// prompts), and each prompt's index among them.
struct CategoryIndex {
  std::vector<std::string> names;       ///< [K]
  std::vector<int> of_prompt;           ///< [n]
  std::vector<std::int64_t> n_prompts;  ///< [K]
};

/// @throws Error (data) naming prompts that have no category.
CategoryIndex index_categories(const Signatures& signatures);

}  // namespace moexray::stats
