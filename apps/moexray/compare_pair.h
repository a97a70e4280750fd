#pragma once

#include <string>

#include "analysis_input.h"
#include "moexray/stats/agreement.h"
#include "section.h"

namespace moexray::app {

/// What a part of `compare` looks at: the first side and one of the others. Each part adds its keys
/// to the JSON object of a Section of the pair alone, its paragraphs, figures, files and notices.
struct ComparedPair {
  const AnalysisInput& input;
  const Side& first;
  const Side& other;
  const Side* floor = nullptr;  ///< the first routing once more; null: none given
  stats::Alignment alignment;   ///< of the tokens of both

  /// The same layers, each with as many experts: experts of both may be taken for each other.
  bool same_experts() const;
  /// The first experts of a token are those that its router put first, in both.
  bool ordered() const;
};

/// "16 layers × 64 experts, top-8".
std::string shape_text(const Side& side);

/// Aligns the tokens of two sides.
/// @throws Error (data) if they have no prompt in common, or less than half of their tokens.
stats::Alignment checked_alignment(const Side& first, const Side& other);

}  // namespace moexray::app
