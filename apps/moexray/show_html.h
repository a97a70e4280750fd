#pragma once

#include <string>

#include "show_text.h"

namespace moexray::app {

/// A prompt token by token as a page of its own: its text with coloured tokens, layer by layer, the
/// top expert of every token and layer, and all experts with their weights.
/// @param navigation HTML above the title: links to the pages around this one
std::string show_html(const ShownPrompt& shown, const ShowOptions& options,
                      const std::string& navigation = {});

}  // namespace moexray::app
