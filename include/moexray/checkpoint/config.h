#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/architecture/table.h"
#include "moexray/core/routing.h"

namespace moexray {

/// What the JSON files of a checkpoint say about its model: what it computes, and who it is.
struct ModelConfig {
  const Architecture* architecture = nullptr;  ///< a row of the table it was read with
  std::string name;                            ///< of the checkpoint, as checkpoint_name() gives it
  ModelSpec spec;
  int max_position_embeddings = 0;
  int n_prediction_layers = 0;    ///< that predict tokens further ahead, behind the others: not run
  std::string dtype = "float32";  ///< of the stored weights, as `torch_dtype` or `dtype` says
  /// Each once, those of the vocabulary; generation_config.json has precedence over config.json.
  std::vector<TokenId> eos_token_ids;
  std::optional<TokenId> bos_token_id;
  std::optional<TokenId> pad_token_id;
  std::string sha256;                ///< of the bytes of config.json, lower-case hex
  std::vector<std::string> notices;  ///< what was passed over, a line each

  RoutingShape routing_shape() const { return spec.routing_shape(); }
};

/// Parses and checks the text of a `config.json`; `name` stays empty.
/// @param where the file's name, for messages.
/// @throws Error (data) as read_model_config() does.
ModelConfig parse_model_config(std::string_view text, std::string_view where,
                               std::span<const Architecture> table = architectures());

/// Reads and checks `DIR/config.json` (of transformers 4 and of transformers 5) and
/// `DIR/generation_config.json` where it exists.
/// @param table the architectures to choose from; its rows must outlive the config.
/// @throws Error (data) naming the file, the key, what was expected and what was found; also for
///   settings that would change the computation and are not implemented (another `hidden_act`,
///   rope scaling of an unknown type, quantised weights, another architecture, with what is missing
///   in it), and sizes beyond sane bounds.
ModelConfig read_model_config(const std::filesystem::path& directory,
                              std::span<const Architecture> table = architectures());

/// The weights of the model, as weight_slots() of its architecture lists them.
std::vector<WeightSlot> weight_slots(const ModelConfig& config,
                                     ExpertLayout layout = ExpertLayout::separate);

/// The tensors of a checkpoint of this model, in the usual order.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config,
                                         ExpertLayout layout = ExpertLayout::separate);

ParameterCount count_parameters(const ModelConfig& config);

/// True if the keys that olmoe_config_json() writes say all that a spec does: no rope scaling, no
/// biases, heads of hidden_size / n_heads, all layers alike.
bool has_olmoe_form(const ModelSpec& spec);

/// The text of a `config.json` for an OLMoE model as transformers 4 writes it; read_model_config()
/// gives the config back, apart from `name` and `sha256`.
/// @throws Error (data) for another architecture and a spec without has_olmoe_form().
std::string olmoe_config_json(const ModelConfig& config);

/// The settings that decide what a model computes, a line "KEY VALUE" each: the same for every text
/// of a config.json that means the same. What is not in it decides nothing (`torch_dtype`,
/// `transformers_version`, `max_position_embeddings`) or is a setting of generation (the end
/// tokens).
std::string deciding_config(const ModelConfig& config);

/// The SHA-256 of deciding_config(), lower-case hex.
std::string deciding_config_sha256(const ModelConfig& config);

}  // namespace moexray
