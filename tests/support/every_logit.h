#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "moexray/runtime/model.h"

namespace moexray::test {

/// The logits of every token of a pass, [tokens, vocabulary].
inline std::vector<float> every_logit(Model& model, Session& session,
                                      std::span<const SequenceChunk> chunks, Passage passage = {}) {
  std::vector<float> all;
  passage.every_token = [&](std::int64_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  };
  model.forward(session, chunks, passage);
  return all;
}

}  // namespace moexray::test
