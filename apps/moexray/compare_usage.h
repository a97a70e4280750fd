#pragma once

#include "compare_pair.h"
#include "section.h"

namespace moexray::app {

/// Which experts the other routing uses more or less for the same tokens: `usage` of the JSON, a
/// table, compare_usage.tsv, the figure compare_shifts. Of counts too, over prompts with as many
/// tokens in both.
/// @throws Error (data) unless layers, experts and their number a token are the same, and tokens
/// aligned or counts of as many
void add_usage(const ComparedPair& pair, Section& section);

}  // namespace moexray::app
