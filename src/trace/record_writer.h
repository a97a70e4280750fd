#pragma once

#include "byte_buffer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/writer.h"

namespace moexray::trace {

/// Appends the routing records of a prompt as JSON lines, by position, then layer.
/// @throws Error (data) for weights or logits that are not finite or weights below zero.
void append_records(const FinishedPrompt& prompt, EventsForm form, ByteBuffer& out);

}  // namespace moexray::trace
