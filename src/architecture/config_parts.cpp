#include "config_parts.h"

#include <algorithm>
#include <string>
#include <variant>

#include "moexray/architecture/rotary.h"
#include "size_limits.h"

namespace moexray {
namespace {

double in_range(const ConfigReader& config, std::string_view key, double fallback, double min,
                double max, const char* expected) {
  const double value = config.number(key, fallback);
  if (value >= min && value <= max) return value;
  config.fail(key, "wrong value", expected, config.found(key));
}

constexpr const char* a_scale = "a number from 1e-6 to 1e6";

double required_scale(const ConfigReader& config, std::string_view key) {
  if (!config.has(key)) config.fail(key, "missing", a_scale, {});
  return read_scale(config, key);
}

void require_whole_rotation(const ConfigReader& config) {
  if (config.number("partial_rotary_factor", 1.0) == 1.0) return;
  config.fail("partial_rotary_factor", "not implemented", "1",
              config.found("partial_rotary_factor"));
}

// "default", "linear", …: where transformers 4 calls it `type`, transformers 5 calls it
// `rope_type`.
std::string rope_type(const ConfigReader& rope) {
  std::string type = rope.text("rope_type");
  const std::string other = rope.text("type");
  if (!type.empty() && !other.empty() && type != other) {
    rope.fail("type", "disagrees with rope_type", '"' + type + '"', rope.found("type"));
  }
  return type.empty() ? other : type;
}

// The context before it was stretched. Where it stands outside, that one counts; where it stands
// nowhere, it is the whole context.
int original_positions(const ConfigReader& config, const ConfigReader& rope) {
  constexpr const char* key = "original_max_position_embeddings";
  for (const ConfigReader* place : {&config, &rope}) {
    if (place->has(key)) return place->integer(key, 1, max_positions);
  }
  return config.integer("max_position_embeddings", 1, max_positions);
}

// Where there is no factor, it is the ratio of the contexts.
double yarn_factor(const ConfigReader& config, const ConfigReader& rope, int original) {
  if (rope.has("factor")) return required_scale(rope, "factor");
  return config.integer("max_position_embeddings", 1, max_positions) /
         static_cast<double>(original);
}

YarnScaling read_yarn(const ConfigReader& config, const ConfigReader& rope) {
  YarnScaling yarn;
  yarn.original_positions = original_positions(config, rope);
  yarn.factor = yarn_factor(config, rope, yarn.original_positions);
  const auto or_default = [&](const char* key, double fallback) {
    return rope.number(key, 0) == 0 ? fallback : read_scale(rope, key);
  };
  yarn.beta_fast = or_default("beta_fast", yarn.beta_fast);
  yarn.beta_slow = or_default("beta_slow", yarn.beta_slow);
  yarn.truncate = rope.boolean("truncate", true);
  yarn.amplitude =
      yarn_amplitude(yarn.factor, rope.number("mscale", 0), rope.number("mscale_all_dim", 0));
  if (rope.has("attention_factor")) yarn.amplitude = required_scale(rope, "attention_factor");
  if (!(yarn.amplitude >= min_scale && yarn.amplitude <= max_scale)) {
    rope.fail("mscale", "wrong value", "an amplitude from 1e-6 to 1e6",
              std::to_string(yarn.amplitude));
  }
  return yarn;
}

Llama3Scaling read_llama3(const ConfigReader& config, const ConfigReader& rope) {
  const Llama3Scaling scaling{
      required_scale(rope, "factor"), required_scale(rope, "low_freq_factor"),
      required_scale(rope, "high_freq_factor"), original_positions(config, rope)};
  if (!(scaling.low_freq_factor < scaling.high_freq_factor)) {
    rope.fail("high_freq_factor", "wrong value", "more than low_freq_factor",
              rope.found("high_freq_factor"));
  }
  return scaling;
}

RotaryScaling read_scaling(const ConfigReader& config, const ConfigReader& rope) {
  const std::string type = rope_type(rope);
  if (type == "linear") return LinearScaling{required_scale(rope, "factor")};
  if (type == "llama3") return read_llama3(config, rope);
  if (type == "yarn") return read_yarn(config, rope);
  if (type == "default") return {};
  if (type.empty() && rope.has("rope_theta") && !rope.has("factor")) return {};
  rope.fail(rope.has("type") ? "type" : "rope_type", "this rope scaling is not implemented",
            R"("default", "linear", "llama3" or "yarn")",
            rope.found(rope.has("type") ? "type" : "rope_type"));
}

double theta_of(const ConfigReader& config, double fallback) {
  const double theta = config.number("rope_theta", fallback);
  if (theta > 0 && theta <= 1e30) return theta;
  config.fail("rope_theta", "wrong value", "a number above 0, 1e30 at most",
              config.found("rope_theta"));
}

// The ramp of yarn divides by the logarithm of theta.
void check_yarn(const RotarySpec& rotary, const ConfigReader& config) {
  if (std::holds_alternative<YarnScaling>(rotary.scaling) && !(rotary.theta > 1)) {
    config.fail("rope_theta", "wrong value", "more than 1, as yarn needs it",
                std::to_string(rotary.theta));
  }
}

// The one of two names of a key that is there; `first` if neither is.
std::string_view present(const ConfigReader& config, std::string_view first,
                         std::string_view second) {
  if (!config.has(second)) return first;
  if (config.has(first) && config.whole_number(first) != config.whole_number(second)) {
    config.fail(second, "disagrees with " + std::string(first), config.found(first),
                config.found(second));
  }
  return config.has(first) ? first : second;
}

}  // namespace

ModelSpec read_frame(const ConfigReader& config, double default_eps) {
  ModelSpec spec;
  spec.vocab_size = config.integer("vocab_size", 1, max_vocab_size);
  spec.hidden_size = config.integer("hidden_size", 1, max_width);
  spec.final_norm = {in_range(config, "rms_norm_eps", default_eps, 0, 1, "a number from 0 to 1")};
  spec.tied_embeddings = config.boolean("tie_word_embeddings", false);
  return spec;
}

int read_n_layers(const ConfigReader& config) {
  return config.integer("num_hidden_layers", 1, max_layers);
}

AttentionSpec read_attention(const ConfigReader& config, int hidden_size, double default_theta) {
  AttentionSpec attention;
  attention.n_heads = config.integer("num_attention_heads", 1, max_width);
  attention.n_kv_heads =
      config.integer_or("num_key_value_heads", attention.n_heads, 1, attention.n_heads);
  if (config.has("head_dim")) {
    attention.head_dim = config.integer("head_dim", 1, max_width / attention.n_heads);
  } else if (hidden_size % attention.n_heads != 0) {
    config.fail("num_attention_heads", "does not divide hidden_size",
                "a divisor of " + std::to_string(hidden_size), std::to_string(attention.n_heads));
  } else {
    attention.head_dim = hidden_size / attention.n_heads;
  }
  if (attention.head_dim % 2 != 0) {
    const char* key = config.has("head_dim") ? "head_dim" : "num_attention_heads";
    config.fail(key, "the rotary embedding needs heads of even width",
                "hidden_size / num_attention_heads, or head_dim, even",
                std::to_string(attention.head_dim));
  }
  if (attention.n_heads % attention.n_kv_heads != 0) {
    config.fail("num_key_value_heads", "does not divide num_attention_heads",
                "a divisor of " + std::to_string(attention.n_heads),
                std::to_string(attention.n_kv_heads));
  }
  attention.rotary = read_rotary(config, attention.head_dim, default_theta);
  attention.qkv_bias = attention.output_bias = config.boolean("attention_bias", false);
  return attention;
}

RotarySpec read_rotary(const ConfigReader& config, int head_dim, double default_theta) {
  require_whole_rotation(config);
  RotarySpec rotary{head_dim, theta_of(config, default_theta), {}};
  if (config.has("rope_scaling")) {
    const ConfigReader rope = config.section("rope_scaling");
    require_whole_rotation(rope);
    rotary.scaling = read_scaling(config, rope);
  }
  if (config.has("rope_parameters")) {
    const ConfigReader rope = config.section("rope_parameters");
    require_whole_rotation(rope);
    const RotaryScaling scaling = read_scaling(config, rope);
    if (config.has("rope_scaling") && scaling != rotary.scaling) {
      config.fail("rope_parameters", "disagrees with rope_scaling", config.found("rope_scaling"),
                  config.found("rope_parameters"));
    }
    const double theta = theta_of(rope, rotary.theta);
    if (config.has("rope_theta") && theta != rotary.theta) {
      rope.fail("rope_theta", "disagrees with rope_theta outside rope_parameters",
                config.found("rope_theta"), rope.found("rope_theta"));
    }
    rotary = {head_dim, theta, scaling};
  }
  check_yarn(rotary, config);
  return rotary;
}

RouterSpec read_router(const ConfigReader& config, int n_layers) {
  RouterSpec router;
  const std::string_view key = present(config, "num_experts", "num_local_experts");
  router.n_experts = config.integer(key, 1, max_experts);
  router.top_k = config.integer("num_experts_per_tok", 1, router.n_experts);
  router.normalise = config.boolean("norm_topk_prob", false);
  const std::int64_t n_experts = std::int64_t{n_layers} * router.n_experts;
  if (n_experts > max_layer_experts) {
    config.fail(key, "too many experts in all layers together",
                "at most " + std::to_string(max_layer_experts), std::to_string(n_experts));
  }
  return router;
}

std::vector<bool> read_sparse_layers(const ConfigReader& config, int n_layers) {
  std::vector<std::int64_t> dense;
  if (config.has("mlp_only_layers")) {
    dense = config.whole_numbers("mlp_only_layers", max_layers);
  }
  const int step = config.integer_or("decoder_sparse_step", 1, 1, max_layers);
  std::vector<bool> sparse(static_cast<std::size_t>(n_layers));
  for (int i = 0; i < n_layers; ++i) {
    const bool is_dense = std::find(dense.begin(), dense.end(), i) != dense.end();
    sparse[static_cast<std::size_t>(i)] = !is_dense && (i + 1) % step == 0;
  }
  if (std::find(sparse.begin(), sparse.end(), true) == sparse.end()) {
    config.fail(
        config.has("mlp_only_layers") ? "mlp_only_layers" : "decoder_sparse_step",
        "no layer has experts: there are no routers to trace", "an MoE layer",
        config.found(config.has("mlp_only_layers") ? "mlp_only_layers" : "decoder_sparse_step"));
  }
  return sparse;
}

double read_scale(const ConfigReader& config, std::string_view key) {
  return in_range(config, key, 1, min_scale, max_scale, a_scale);
}

int read_window(const ConfigReader& config, int fallback) {
  return config.integer_or("sliding_window", fallback, 1, max_positions);
}

void require_silu(const ConfigReader& config) {
  const std::string activation = config.text("hidden_act");
  if (!activation.empty() && activation != "silu") {
    config.fail("hidden_act", "not implemented", "\"silu\"", config.found("hidden_act"));
  }
}

}  // namespace moexray
