#include "unsupported.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "size_limits.h"

namespace moexray {
namespace {

// A kind of model that is known and not computed.
struct Known {
  std::string_view model_type;
  std::string_view what;  ///< is missing
};

constexpr std::string_view delta_net =
    "3 of 4 layers are linear attention (a gated delta net), which moexray does not compute";
constexpr std::string_view mamba =
    "most layers are Mamba layers (a recurrent state in place of attention), which moexray does "
    "not compute";
constexpr std::string_view encoder =
    "it has an encoder and a decoder, and its experts drop tokens beyond their capacity; moexray "
    "computes models that only decode";
constexpr std::string_view latent =
    "its attention keeps keys and values in a latent space (MLA), which moexray does not compute";
constexpr std::string_view sparse_attention =
    "an indexer picks the keys that a query sees (sparse attention), which moexray does not "
    "compute";
constexpr std::string_view corrected =
    "its router adds a correction bias to sigmoid scores before it chooses, which moexray does not "
    "compute";
constexpr std::string_view multimodal =
    "it wraps a language model for images, sound or video, and moexray reads language models alone";

constexpr auto known = std::to_array<Known>({
    {"qwen3_next", delta_net},
    {"qwen3_5_moe", delta_net},
    {"qwen3_5_moe_text", delta_net},
    {"kimi_linear", delta_net},
    {"granitemoehybrid", mamba},
    {"jamba", mamba},
    {"nemotron_h", mamba},
    {"bamba", mamba},
    {"minimax",
     "7 of 8 layers are lightning attention (a linear attention), which moexray does not compute"},
    {"bailing_hybrid", "most layers are linear attention, which moexray does not compute"},
    {"lfm2_moe",
     "3 of 4 layers are short convolutions in place of attention, which moexray does not compute"},
    {"zaya", "its attention works on compressed convolutions, which moexray does not compute"},
    {"switch_transformers", encoder},
    {"nllb_moe", encoder},
    {"nllb-moe", encoder},
    {"jetmoe",
     "a second router of each layer picks experts of attention, which moexray does not compute"},
    {"smallthinker",
     "its routers read a layer's input before attention, and its experts use ReLU; moexray's read "
     "what attention has left"},
    {"llama4",
     "its router multiplies what goes into the one expert that it picks, and its attention is in "
     "chunks; moexray computes neither"},
    {"llama4_text",
     "its router multiplies what goes into the one expert that it picks, and its attention is in "
     "chunks; moexray computes neither"},
    {"longcat_flash",
     "some of its experts hand tokens on unchanged (zero experts), which moexray does not compute"},
    {"deepseek_v32", sparse_attention},
    {"deepseek_v4", sparse_attention},
    {"glm_moe_dsa", sparse_attention},
    {"deepseek", "it is not part of transformers, so that there is nothing to compare with"},
    {"deepseek_v2", latent},
    {"deepseek_v3", latent},
    {"glm4_moe_lite", latent},
    {"kimi_k2", latent},
    {"gpt_oss",
     "its attention has sinks and its experts are clamped, with biases and MXFP4 weights, which "
     "moexray does not compute"},
    {"granitemoe_swa", "its attention has sinks, which moexray does not compute"},
    {"phimoe",
     "its router masks by a threshold (SparseMixer) and its norms subtract the mean, which moexray "
     "does not compute"},
    {"slimmoe",
     "its router masks by a threshold (SparseMixer) and its norms subtract the mean, which moexray "
     "does not compute"},
    {"glm4_moe", corrected},
    {"dots1", corrected},
    {"exaone_moe", corrected},
    {"sarvam_moe", corrected},
    {"solar_open", corrected},
    {"minimax_m2", corrected},
    {"bailing_moe_v2", corrected},
    {"afmoe", corrected},
    {"laguna", corrected},
    {"mimo_v2_flash", corrected},
    {"ernie4_5_moe", corrected},
    {"hunyuan_v1_moe",
     "it norms queries and keys after their rotation, which moexray does not compute"},
    {"mellum", "its layers have rotary embeddings by kind of layer, which moexray does not read"},
    {"cohere2_moe",
     "attention and experts of a layer work side by side on one norm, which moexray does not "
     "compute"},
    {"dbrx", "queries, keys and values are one matrix, which moexray does not read"},
    {"gemma4", multimodal},
    {"qwen3_vl_moe", multimodal},
    {"ernie4_5_vl_moe", multimodal},
    {"mistral4", multimodal},
});

// The keys by which configs give the number of experts.
constexpr auto expert_keys = std::to_array<std::string_view>(
    {"num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"});

bool has_experts(const ConfigReader& config) {
  return std::any_of(expert_keys.begin(), expert_keys.end(),
                     [&](std::string_view key) { return config.has(key); });
}

// ""linear_attention" in layers 0-2 and others (36 of 48)", from a list of layer types.
std::string foreign_layers(const ConfigReader& config) {
  const std::vector<std::string> types = config.texts_if_any("layer_types");
  if (types.empty() || types.size() > max_layers) return {};
  const auto is_foreign = [](const std::string& type) {
    return type != "full_attention" && type != "sliding_attention" && type != "attention";
  };
  const auto first = std::find_if(types.begin(), types.end(), is_foreign);
  if (first == types.end()) return {};
  const auto last =
      std::find_if(first, types.end(), [&](const auto& type) { return type != *first; });
  const auto n = std::count_if(types.begin(), types.end(), is_foreign);
  const auto from = first - types.begin(), to = last - types.begin() - 1;
  std::string text = '"' + printable(*first, 60) + "\" in " +
                     (from == to ? "layer " + std::to_string(from)
                                 : "layers " + std::to_string(from) + "-" + std::to_string(to));
  if (n > to - from + 1) text += " and others";
  return text + " (" + std::to_string(n) + " of " + std::to_string(types.size()) + ")";
}

}  // namespace

std::string why_unsupported(const ConfigReader& config) {
  const std::string type = config.text("model_type");
  const auto row = std::find_if(known.begin(), known.end(),
                                [&](const Known& other) { return other.model_type == type; });
  std::string why;
  if (row != known.end()) {
    why = row->what;
  } else if (config.has("text_config")) {
    why = multimodal;
  } else if (config.has("is_encoder_decoder") && config.boolean("is_encoder_decoder", false)) {
    why = encoder;
  } else if (!has_experts(config)) {
    return "it has no experts (a dense model), and so no routers to trace";
  }
  const std::string layers = foreign_layers(config);
  if (layers.empty()) return why;
  return why.empty() ? layers + ", which moexray does not compute" : why + ": " + layers;
}

void refuse_quantised(const ConfigReader& config) {
  for (const char* key : {"quantization_config", "quantization", "compression_config"}) {
    if (!config.has(key)) continue;
    std::string method;
    // MLX writes an object without a method.
    try {
      method = config.section(key).text("quant_method");
    } catch (const Error&) {
    }
    config.fail(
        key, "quantised weights are not implemented",
        "a checkpoint in bfloat16, float16 or float32: mostly the repository from which this "
        "one was quantised",
        method.empty() ? config.found(key) : '"' + printable(method, 60) + '"');
  }
}

}  // namespace moexray
