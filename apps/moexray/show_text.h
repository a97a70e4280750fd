#pragma once

#include <optional>
#include <string>

#include "shown_prompt.h"

namespace moexray::app {

enum class ColourBy { expert, distance };

struct ShowOptions {
  std::optional<int> layer;  ///< only this layer
  ColourBy colour_by = ColourBy::distance;
  bool coloured = false;  ///< with a terminal's colours
};

/// A prompt token by token, for a terminal.
std::string show_text(const ShownPrompt& shown, const ShowOptions& options);

/// One of 8 colours for an expert; neighbours differ.
int expert_colour(ExpertId expert);

/// Where a distance lies between what is typical and what uniform routing gives, by its share s =
/// (d − typical) / (uniform − typical) of the way: 0 for s < −½, 1 below 0, 2 below ½, 3 below 1,
/// and 4 for tokens that are no nearer than random ones.
int distance_step(double distance, double typical, double uniform);

/// "17 (0.210), 3 (0.150)", the experts of a token with their weights where they are known.
std::string experts_text(const TokenRouting& routing);

/// The heading of a column of such texts.
std::string experts_heading(const ShownPrompt& shown);

/// "code-01 (code): 38 tokens, 12 of the template, 20 of the prompt, 6 generated".
std::string prompt_summary(const ShownPrompt& shown);

/// What distances mean; empty without them.
std::string distance_legend(const ShownPrompt& shown, std::optional<int> layer);

}  // namespace moexray::app
