#include "shadow_tokens.h"

#include <algorithm>
#include <span>
#include <string>

#include "moexray/core/error.h"

namespace moexray::app {

stats::RoutedTokens routed_by(const Side& side, const ShadowReader& reader, std::size_t shadow) {
  stats::RoutedTokens tokens = side.tokens;
  const auto k = static_cast<std::size_t>(tokens.shape.top_k);
  const auto n_layers = static_cast<std::size_t>(tokens.shape.n_layers);
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    const ExpertSets sets = reader.read(side.signatures.prompt_indices[row], shadow);
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      const std::int64_t pos = tokens.tokens[t].pos;
      if (pos >= sets.n_positions()) {
        throw Error(ErrorKind::data, {"the shadows have fewer tokens than their trace",
                                      "prompt \"" + side.signatures.ids[row] + "\"",
                                      std::to_string(pos + 1), std::to_string(sets.n_positions())});
      }
      for (std::size_t layer = 0; layer < n_layers; ++layer) {
        sets.read(static_cast<int>(layer), pos,
                  std::span(tokens.experts).subspan((t * n_layers + layer) * k, k));
      }
    }
  }
  return tokens;
}

bool has_shadows(const TraceSet& traces) {
  return std::any_of(traces.manifests.begin(), traces.manifests.end(),
                     [](const TraceManifest& manifest) { return !manifest.shadows.empty(); });
}

}  // namespace moexray::app
