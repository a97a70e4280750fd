#include "moexray/checkpoint/config.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "moexray/checkpoint/locate.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"

namespace moexray {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;
constexpr int max_positions = 1 << 26;
constexpr int max_prediction_layers = 64;
constexpr std::size_t max_eos_ids = 256;

void read_dtype(const ConfigReader& file, ModelConfig& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const std::string dtype = file.text(key);
    if (dtype.empty()) continue;
    if (dtype != "bfloat16" && dtype != "float16" && dtype != "float32") {
      file.fail(key, "dtype is not implemented", "\"bfloat16\", \"float16\" or \"float32\"",
                file.found(key));
    }
    config.dtype = dtype;
    return;
  }
}

// Ids of special tokens are taken as transformers takes them: any whole number loads, and one that
// is no token of the model can never be sampled, so that it ends nothing. Some checkpoints write -1
// for "none".
class SpecialTokens {
 public:
  SpecialTokens(const ConfigReader& file, ModelConfig& config) : file_(file), config_(config) {}

  void read() {
    if (file_.has("eos_token_id")) config_.eos_token_ids = eos();
    read_one("bos_token_id", config_.bos_token_id);
    read_one("pad_token_id", config_.pad_token_id);
  }

 private:
  std::vector<TokenId> eos() {
    std::vector<TokenId> ids;
    for (const std::int64_t number : file_.whole_numbers("eos_token_id", max_eos_ids)) {
      const std::optional<TokenId> token = id("eos_token_id", number);
      if (token && std::find(ids.begin(), ids.end(), *token) == ids.end()) ids.push_back(*token);
    }
    return ids;
  }

  void read_one(std::string_view key, std::optional<TokenId>& token) {
    if (const auto number = file_.whole_number(key)) token = id(key, *number);
  }

  std::optional<TokenId> id(std::string_view key, std::int64_t number) {
    const int vocab_size = config_.spec.vocab_size;
    if (number >= 0 && number < vocab_size) return static_cast<TokenId>(number);
    if (number != -1) {
      config_.notices.push_back(file_.where() + ": key \"" + std::string(key) + "\": " +
                                std::to_string(number) + " is no token of the model (0 to " +
                                std::to_string(vocab_size - 1) + ") and is passed over");
    }
    return std::nullopt;
  }

  const ConfigReader& file_;
  ModelConfig& config_;
};

}  // namespace

ModelConfig parse_model_config(std::string_view text, std::string_view where,
                               std::span<const Architecture> table) {
  const ConfigReader file(text, where);
  ModelConfig config;
  config.architecture = &find_architecture(file, table);
  config.spec = read_spec(*config.architecture, file);
  config.max_position_embeddings = file.integer("max_position_embeddings", 1, max_positions);
  config.n_prediction_layers =
      file.integer_or("num_nextn_predict_layers", 0, 0, max_prediction_layers);
  read_dtype(file, config);
  SpecialTokens(file, config).read();
  config.sha256 = sha256_hex(text);
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& directory,
                              std::span<const Architecture> table) {
  const std::filesystem::path path = directory / "config.json";
  ModelConfig config =
      parse_model_config(read_downloaded_file(path, max_file_bytes), path.string(), table);
  config.name = checkpoint_name(directory);

  const std::filesystem::path generation = directory / "generation_config.json";
  if (std::error_code code; std::filesystem::exists(generation, code)) {
    const ConfigReader settings(read_downloaded_file(generation, max_file_bytes),
                                generation.string());
    SpecialTokens(settings, config).read();
  }
  return config;
}

std::vector<WeightSlot> weight_slots(const ModelConfig& config, ExpertLayout layout) {
  return weight_slots(*config.architecture, config.spec, layout);
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config, ExpertLayout layout) {
  return stored_tensors(weight_slots(config, layout));
}

ParameterCount count_parameters(const ModelConfig& config) {
  return count_parameters(config.spec, weight_slots(config));
}

}  // namespace moexray
