#pragma once

#include <cstdint>
#include <string>

#include "byte_buffer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/writer.h"

namespace moexray::trace {

/// T of a prompt with P tokens and G generated ones: the last sampled token has no forward pass.
constexpr std::int64_t n_traced_tokens(std::int64_t n_prompt_tokens,
                                       std::int64_t n_generated_tokens) {
  return n_prompt_tokens + (n_generated_tokens > 0 ? n_generated_tokens - 1 : 0);
}

/// Appends the routing records of a prompt as JSON lines, by position, then layer.
/// @throws Error (data) for weights or logits that are not finite or weights below zero.
void append_records(const FinishedPrompt& prompt, EventsForm form, ByteBuffer& out);

}  // namespace moexray::trace
