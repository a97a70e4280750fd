#pragma once

#include <functional>

#include "byte_buffer.h"
#include "moexray/trace/manifest.h"
#include "moexray/trace/writer.h"

namespace moexray::trace {

/// Appends the routing records of a prompt as JSON lines to `out`, by position, then layer.
/// @param full called whenever `out` holds some megabytes; it may take them and clear the buffer
/// @throws Error (data) for weights or logits that are not finite or weights below zero.
void append_records(const FinishedPrompt& prompt, EventsForm form, ByteBuffer& out,
                    const std::function<void()>& full);

}  // namespace moexray::trace
