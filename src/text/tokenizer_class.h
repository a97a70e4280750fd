#pragma once

#include "tokenizer_config.h"
#include "tokenizer_json.h"

namespace moexray {

/// Applies what the tokenizer class of a checkpoint changes of its tokenizer.json, before tokens
/// are added. The classes of GPT-2 and GPT-NeoX in transformers take vocabulary and merges from the
/// file and make normaliser, pre-tokenizer and (NeoX) post-processor anew; the general ones take
/// the file as it is and pass add_prefix_space over, as does every class for the model types that
/// transformers gives a general one.
/// @throws Error (data) where add_prefix_space would change what another class does.
void apply_tokenizer_class(const TokenizerConfig& config, BpeModel& model);

}  // namespace moexray
