#pragma once

#include <string>

#include "analysis_input.h"
#include "moexray/stats/agreement.h"
#include "section.h"

namespace moexray::app {

/// What a part of `compare` looks at: the first side and one of the others. Each part adds its keys
/// to the JSON object of a Section of the pair alone, its paragraphs, figures, files and notices;
/// names of files and figures end in the suffix. A part that lacks what it needs throws Error
/// (data) and adds nothing: the others still stand.
struct ComparedPair {
  const AnalysisInput& input;
  const Side& first;
  const Side& other;
  /// The tokens of both with as many experts each: of the wider routing the first ones, where its
  /// order is known.
  const stats::RoutedTokens& first_tokens;
  const stats::RoutedTokens& other_tokens;
  const Side* floor = nullptr;      ///< the first routing once more; null: none given
  stats::Alignment alignment = {};  ///< of the tokens of both
  std::string not_aligned = {};     ///< why there is no alignment; empty: there is
  std::string suffix = {};          ///< "_2" of the second of several pairs; of one alone empty

  /// One of several: text is kept short.
  bool is_one_of_several() const { return !suffix.empty(); }
  /// @throws Error (data) unless the tokens of both are aligned.
  void check_aligned(const std::string& part) const;
  /// The same layers, each with as many experts: experts of both may be taken for each other.
  bool same_experts() const;
  /// The first experts of a token are those that its router put first, in both.
  bool ordered() const;
};

/// "base and tuned", for messages.
std::string names_of(const Side& first, const Side& other);

/// "16 layers × 64 experts, top-8".
std::string shape_text(const Side& side);

/// Aligns the tokens of two sides.
/// @throws Error (data) if one has counts, or if they have no prompt in common or less than half of
/// their tokens.
stats::Alignment checked_alignment(const Side& first, const Side& other);

/// What is aligned: `aligned` of the JSON, null if nothing is, and a line of text.
void add_alignment(const ComparedPair& pair, Section& section);

/// @throws Error (data) unless both have the same layers and experts.
void check_same_experts(const ComparedPair& pair, const std::string& part);

/// Refuses layers that are counted from another one than those of the first.
/// @throws Error (data)
void check_layer_numbers(const ComparedPair& pair);

}  // namespace moexray::app
