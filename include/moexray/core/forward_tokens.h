#pragma once

#include <cstdint>

namespace moexray {

/// Tokens that go through the model for a prompt of P tokens with G generated ones:
/// T = P + max(G − 1, 0). The last token sampled has no forward pass.
constexpr std::int64_t n_forward_tokens(std::int64_t n_prompt_tokens,
                                        std::int64_t n_generated_tokens) {
  return n_prompt_tokens + (n_generated_tokens > 0 ? n_generated_tokens - 1 : 0);
}

}  // namespace moexray
