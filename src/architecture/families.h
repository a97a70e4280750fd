#pragma once

#include "moexray/architecture/config_reader.h"
#include "moexray/architecture/weights.h"

// The two functions of every family, for the table.

namespace moexray {

/// OLMoE (Muennighoff et al., arXiv 2409.02060), as `OlmoeForCausalLM` of transformers computes it.
ModelSpec read_olmoe(const ConfigReader& config);
void olmoe_weights(const ModelSpec& spec, WeightList& list);

}  // namespace moexray
