// Any bytes as config.json: either an Error, or a config whose sizes can be used without further
// checks.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const moexray::ModelConfig config = moexray::parse_model_config(text, "config.json");
    const moexray::ParameterCount n = moexray::count_parameters(config);
    if (n.active <= 0 || n.active > n.total) std::abort();
    if (config.head_dim() < 2 || config.num_experts_per_tok > config.num_experts) std::abort();
    for (const moexray::TokenId id : config.eos_token_ids) {
      if (id < 0 || id >= config.vocab_size) std::abort();
    }
  } catch (const moexray::Error&) {
  }
  return 0;
}
