#include "moexray/checkpoint/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>
#include <utility>

#include "json_document.h"
#include "messages.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"

namespace moexray {
namespace {

using nlohmann::json;

constexpr std::uint64_t max_file_bytes = 1 << 20;
// Bounds far above any real model. With them every product of sizes fits 63 bits, and a list of all
// tensors stays below a hundred megabytes.
constexpr int max_vocab_size = 1 << 24;
constexpr int max_width = 1 << 20;
constexpr int max_layers = 1 << 10;
constexpr int max_experts = 1 << 16;
constexpr std::int64_t max_expert_matrices = 1 << 17;  // layers · experts
constexpr int max_positions = 1 << 26;
constexpr std::size_t max_eos_ids = 256;

// A JSON object of a file with typed, checked access to its keys.
class Section {
 public:
  Section(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) {
      throw Error(ErrorKind::data, {"wrong type", where_, "an object", describe_type(object)});
    }
  }

  [[noreturn]] void fail(std::string_view key, std::string what, std::string expected,
                         std::string found) const {
    throw Error(ErrorKind::data, {std::move(what), where_ + ": key \"" + std::string(key) + "\"",
                                  std::move(expected), std::move(found)});
  }

  /// The value of a key, or null if it is absent or null: transformers writes None as null.
  const json* find(std::string_view key) const {
    const auto value = object_.find(key);
    return value == object_.end() || value->is_null() ? nullptr : &*value;
  }

  const json& at(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) {
      fail(key, "missing", {}, object_.contains(key) ? "null" : std::string());
    }
    return *value;
  }

  int integer(std::string_view key, int min, int max) const {
    return to_integer(key, at(key), min, max);
  }

  int to_integer(std::string_view key, const json& value, int min, int max) const {
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(max)
                          : value.is_number_integer() && value.get<std::int64_t>() <= max;
    if (!fits || value.get<std::int64_t>() < min) {
      fail(key, "wrong value",
           "an integer from " + std::to_string(min) + " to " + std::to_string(max),
           describe_type(value));
    }
    return value.get<int>();
  }

  double number(std::string_view key, double fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) fail(key, "wrong type", "a number", describe_type(*value));
    return value->get<double>();
  }

  bool boolean(std::string_view key, bool fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) fail(key, "wrong type", "true or false", describe_type(*value));
    return value->get<bool>();
  }

  /// Empty if the key is absent.
  std::string text(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail(key, "wrong type", "a string", describe_type(*value));
    return value->get<std::string>();
  }

  Section section(std::string_view key) const {
    return Section(at(key), where_ + ": key \"" + std::string(key) + "\"");
  }

  const std::string& where() const { return where_; }

 private:
  const json& object_;
  std::string where_;
};

void check_architecture(const Section& config) {
  const json* architectures = config.find("architectures");
  const std::string model_type = config.text("model_type");
  if (!model_type.empty() && model_type != "olmoe") {
    config.fail("model_type", "architecture is not implemented", "\"olmoe\"",
                in_quotes(model_type));
  }
  if (architectures != nullptr) {
    const bool is_known = architectures->is_array() && architectures->size() == 1 &&
                          (*architectures)[0] == "OlmoeForCausalLM";
    if (!is_known) {
      const bool is_text = architectures->is_array() && !architectures->empty();
      config.fail("architectures", "architecture is not implemented", "[\"OlmoeForCausalLM\"]",
                  describe_type(is_text ? (*architectures)[0] : *architectures));
    }
  } else if (model_type.empty()) {
    config.fail("architectures", "missing", "[\"OlmoeForCausalLM\"]", {});
  }
}

// Settings that would change what the model computes and that are not implemented.
void check_unsupported(const Section& config) {
  const std::string activation = config.text("hidden_act");
  if (!activation.empty() && activation != "silu") {
    config.fail("hidden_act", "not implemented", "\"silu\"", in_quotes(activation));
  }
  if (config.boolean("attention_bias", false)) {
    config.fail("attention_bias", "not implemented", "false", "true");
  }
  if (const json* settings = config.find("quantization_config")) {
    config.fail("quantization_config", "quantised weights are not implemented", "null",
                describe_type(*settings));
  }
}

void read_sizes(const Section& file, ModelConfig& config) {
  config.vocab_size = file.integer("vocab_size", 1, max_vocab_size);
  config.hidden_size = file.integer("hidden_size", 1, max_width);
  config.intermediate_size = file.integer("intermediate_size", 1, max_width);
  config.num_hidden_layers = file.integer("num_hidden_layers", 1, max_layers);
  config.num_attention_heads = file.integer("num_attention_heads", 1, config.hidden_size);
  config.num_key_value_heads =
      file.find("num_key_value_heads") == nullptr
          ? config.num_attention_heads
          : file.integer("num_key_value_heads", 1, config.num_attention_heads);
  config.num_experts = file.integer("num_experts", 1, max_experts);
  config.num_experts_per_tok = file.integer("num_experts_per_tok", 1, config.num_experts);
  config.max_position_embeddings = file.integer("max_position_embeddings", 1, max_positions);

  const std::int64_t n_matrices = std::int64_t{config.num_hidden_layers} * config.num_experts;
  if (n_matrices > max_expert_matrices) {
    file.fail("num_experts", "too many experts in all layers together",
              "at most " + std::to_string(max_expert_matrices), std::to_string(n_matrices));
  }
  if (config.hidden_size % config.num_attention_heads != 0) {
    file.fail("num_attention_heads", "does not divide hidden_size",
              "a divisor of " + std::to_string(config.hidden_size),
              std::to_string(config.num_attention_heads));
  }
  if (config.head_dim() % 2 != 0) {
    file.fail("num_attention_heads", "the rotary embedding needs heads of even width",
              "hidden_size / num_attention_heads even", std::to_string(config.head_dim()));
  }
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    file.fail("num_key_value_heads", "does not divide num_attention_heads",
              "a divisor of " + std::to_string(config.num_attention_heads),
              std::to_string(config.num_key_value_heads));
  }
  if (file.find("head_dim") != nullptr &&
      file.integer("head_dim", 1, max_width) != config.head_dim()) {
    file.fail("head_dim", "not implemented",
              "hidden_size / num_attention_heads = " + std::to_string(config.head_dim()),
              std::to_string(file.integer("head_dim", 1, max_width)));
  }
}

// One of the objects that describe the rotary embedding: transformers 4 calls it rope_scaling,
// transformers 5 rope_parameters.
void check_rope_type(const Section& rope) {
  for (const char* key : {"rope_type", "type"}) {
    const std::string type = rope.text(key);
    if (!type.empty() && type != "default") {
      rope.fail(key, "rope scaling is not implemented", "\"default\"", in_quotes(type));
    }
  }
  if (rope.find("rope_type") == nullptr && rope.find("type") == nullptr &&
      (rope.find("factor") != nullptr || rope.find("rope_theta") == nullptr)) {
    rope.fail("rope_type", "rope scaling is not implemented", "\"default\"", {});
  }
  const double factor = rope.number("partial_rotary_factor", 1.0);
  if (factor != 1.0) {
    rope.fail("partial_rotary_factor", "not implemented", "1", std::to_string(factor));
  }
}

void read_rope(const Section& file, ModelConfig& config) {
  const bool has_theta = file.find("rope_theta") != nullptr;
  config.rope_theta = file.number("rope_theta", 10000.0);
  if (file.find("rope_scaling") != nullptr) check_rope_type(file.section("rope_scaling"));
  if (file.find("rope_parameters") != nullptr) {
    const Section rope = file.section("rope_parameters");
    check_rope_type(rope);
    const double theta = rope.number("rope_theta", config.rope_theta);
    if (has_theta && theta != config.rope_theta) {
      rope.fail("rope_theta", "disagrees with rope_theta outside rope_parameters",
                std::to_string(config.rope_theta), std::to_string(theta));
    }
    config.rope_theta = theta;
  }
  if (!(config.rope_theta > 0) || config.rope_theta > 1e30) {
    file.fail("rope_theta", "wrong value", "a number above 0", std::to_string(config.rope_theta));
  }
}

void read_numbers(const Section& file, ModelConfig& config) {
  config.rms_norm_eps = file.number("rms_norm_eps", config.rms_norm_eps);
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps <= 1)) {
    file.fail("rms_norm_eps", "wrong value", "a number from 0 to 1",
              std::to_string(config.rms_norm_eps));
  }
  if (file.find("clip_qkv") != nullptr) {
    config.clip_qkv = file.number("clip_qkv", 0);
    if (!(*config.clip_qkv > 0)) {
      file.fail("clip_qkv", "wrong value", "null or a number above 0",
                std::to_string(*config.clip_qkv));
    }
  }
  config.norm_topk_prob = file.boolean("norm_topk_prob", false);
  config.tie_word_embeddings = file.boolean("tie_word_embeddings", false);
}

void read_dtype(const Section& file, ModelConfig& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const std::string dtype = file.text(key);
    if (dtype.empty()) continue;
    if (dtype != "bfloat16" && dtype != "float16" && dtype != "float32") {
      file.fail(key, "dtype is not implemented", "\"bfloat16\", \"float16\" or \"float32\"",
                in_quotes(dtype));
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
  SpecialTokens(const Section& file, ModelConfig& config) : file_(file), config_(config) {}

  void read() {
    if (const json* value = file_.find("eos_token_id")) config_.eos_token_ids = eos(*value);
    if (const json* value = file_.find("bos_token_id"))
      config_.bos_token_id = id("bos_token_id", *value);
    if (const json* value = file_.find("pad_token_id"))
      config_.pad_token_id = id("pad_token_id", *value);
  }

 private:
  std::vector<TokenId> eos(const json& value) {
    constexpr std::string_view key = "eos_token_id";
    std::vector<TokenId> ids;
    const json list = value.is_array() ? value : json::array({value});
    if (list.size() > max_eos_ids) {
      file_.fail(key, "too many ids", "at most " + std::to_string(max_eos_ids),
                 std::to_string(list.size()));
    }
    for (const json& item : list) {
      if (item.is_null()) continue;
      const std::optional<TokenId> token = id(key, item);
      if (token && std::find(ids.begin(), ids.end(), *token) == ids.end()) ids.push_back(*token);
    }
    return ids;
  }

  std::optional<TokenId> id(std::string_view key, const json& value) {
    if (!value.is_number_integer()) {
      file_.fail(key, "wrong type", "a whole number", describe_type(value));
    }
    const bool is_negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    if (!is_negative &&
        value.get<std::uint64_t>() < static_cast<std::uint64_t>(config_.vocab_size)) {
      return value.get<TokenId>();
    }
    if (value != -1) {
      config_.notices.push_back(file_.where() + ": key \"" + std::string(key) +
                                "\": " + value.dump() + " is no token of the model (0 to " +
                                std::to_string(config_.vocab_size - 1) + ") and is passed over");
    }
    return std::nullopt;
  }

  const Section& file_;
  ModelConfig& config_;
};

}  // namespace

ModelConfig parse_model_config(std::string_view text, std::string_view where) {
  const json document = parse_json(text, where);
  const Section file(document, std::string(where));
  ModelConfig config;
  check_architecture(file);
  check_unsupported(file);
  read_sizes(file, config);
  read_rope(file, config);
  read_numbers(file, config);
  read_dtype(file, config);
  SpecialTokens(file, config).read();
  config.sha256 = sha256_hex(text);
  return config;
}

ModelConfig read_model_config(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  ModelConfig config =
      parse_model_config(read_downloaded_file(path, max_file_bytes), path.string());
  config.name = checkpoint_name(directory);

  const std::filesystem::path generation = directory / "generation_config.json";
  if (std::error_code code; std::filesystem::exists(generation, code)) {
    const json settings =
        parse_json(read_downloaded_file(generation, max_file_bytes), generation.string());
    SpecialTokens(Section(settings, generation.string()), config).read();
  }
  return config;
}

std::string model_config_json(const ModelConfig& config) {
  using Json = nlohmann::ordered_json;
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  Json eos = config.eos_token_ids;
  if (config.eos_token_ids.size() < 2) eos = eos.empty() ? Json() : eos[0];
  const Json json = {{"architectures", {config.architecture}},
                     {"attention_bias", false},
                     {"attention_dropout", 0.0},
                     {"bos_token_id", or_null(config.bos_token_id)},
                     {"clip_qkv", or_null(config.clip_qkv)},
                     {"eos_token_id", eos},
                     {"hidden_act", "silu"},
                     {"hidden_size", config.hidden_size},
                     {"initializer_range", 0.02},
                     {"intermediate_size", config.intermediate_size},
                     {"max_position_embeddings", config.max_position_embeddings},
                     {"model_type", "olmoe"},
                     {"norm_topk_prob", config.norm_topk_prob},
                     {"num_attention_heads", config.num_attention_heads},
                     {"num_experts", config.num_experts},
                     {"num_experts_per_tok", config.num_experts_per_tok},
                     {"num_hidden_layers", config.num_hidden_layers},
                     {"num_key_value_heads", config.num_key_value_heads},
                     {"output_router_logits", false},
                     {"pad_token_id", or_null(config.pad_token_id)},
                     {"rms_norm_eps", config.rms_norm_eps},
                     {"rope_scaling", nullptr},
                     {"rope_theta", config.rope_theta},
                     {"router_aux_loss_coef", 0.01},
                     {"tie_word_embeddings", config.tie_word_embeddings},
                     {"torch_dtype", config.dtype},
                     {"use_cache", true},
                     {"vocab_size", config.vocab_size}};
  return json.dump(2) + "\n";
}

}  // namespace moexray
