#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "console.h"
#include "model_descriptor.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/version.h"
#include "moexray/core/wording.h"
#include "moexray/report/json.h"
#include "moexray/report/output.h"
#include "moexray/report/table.h"
#include "moexray/text/chat_template.h"
#include "open_tokenizer.h"

namespace moexray::app {
namespace {

using report::Json;

struct StoredWeights {
  std::size_t n_files = 0;
  std::size_t n_tensors = 0;
  std::int64_t n_bytes = 0;
  bool has_fused_experts = false;
  std::map<std::string, std::int64_t> tensors_of_type;
  std::string router_sha256;
};

struct TokenizerFacts {
  std::string kind;
  int vocab_size = 0;
  std::string sha256;
  std::string chat_template;  ///< empty: not recognised
};

struct ModelFacts {
  ModelConfig config;
  ParameterCount parameters;
  std::optional<StoredWeights> weights;
  std::optional<TokenizerFacts> tokenizer;
  std::string tokenizer_problem;  ///< why there is no `tokenizer`
};

// What running the model takes at one type of computation, in bytes.
struct Memory {
  const char* dtype;
  std::int64_t weights;
  std::int64_t kv_cache_per_token;
  std::int64_t kv_cache_full_context;  ///< one sequence that fills the context
};

const MoeSpec& first_moe(const ModelSpec& spec) {
  return *spec.layers[static_cast<std::size_t>(spec.moe_layers().front())].moe();
}

std::array<Memory, 2> memory_needs(const ModelFacts& facts) {
  const ModelConfig& config = facts.config;
  const auto need = [&](const char* dtype, std::int64_t size) {
    const std::int64_t per_token = size * n_cache_values(config.spec);
    return Memory{dtype, facts.parameters.total * size, per_token,
                  per_token * config.max_position_embeddings};
  };
  return {need("bfloat16", 2), need("float32", 4)};
}

StoredWeights describe_weights(const Checkpoint& checkpoint) {
  StoredWeights weights;
  weights.n_files = checkpoint.files().size();
  weights.has_fused_experts = std::ranges::any_of(checkpoint.weights(), [](const WeightSlot& slot) {
    return slot.expert >= 0 && slot.tensor != slot.name;
  });
  for (const auto& [type, n] : checkpoint.n_stored_tensors()) {
    weights.n_tensors += static_cast<std::size_t>(n);
    weights.tensors_of_type[std::string(name_of(type))] = n;
  }
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    weights.n_bytes += static_cast<std::int64_t>(tensor.bytes.size());
  }
  weights.router_sha256 = checkpoint.router_sha256();
  return weights;
}

// A tokenizer that cannot be used does not keep the rest from being described.
void describe_tokenizer(const std::filesystem::path& directory, ModelFacts& facts,
                        Console& console) {
  std::error_code ignored;
  if (!std::filesystem::exists(directory / "tokenizer.json", ignored) &&
      !std::filesystem::exists(directory / "tokenizer.model", ignored)) {
    facts.tokenizer_problem = "absent: neither tokenizer.json nor tokenizer.model is there";
    return;
  }
  std::unique_ptr<Tokenizer> tokenizer;
  try {
    tokenizer = open_tokenizer_of(directory, console);
  } catch (const Error& error) {
    facts.tokenizer_problem = "not usable (see the message)";
    console.warn(error.what());
    return;
  }
  facts.tokenizer = {
      std::string(tokenizer->kind()), tokenizer->vocab_size(), tokenizer->sha256(), {}};
  try {
    facts.tokenizer->chat_template = recognise_chat_template(directory, *tokenizer)->name();
  } catch (const Error& error) {
    console.warn(error.what());
  }
}

ModelFacts describe_model(const std::filesystem::path& directory, Console& console) {
  ModelFacts facts;
  if (has_weights(directory)) {
    const Checkpoint checkpoint(directory);
    facts.config = checkpoint.config();
    facts.weights = describe_weights(checkpoint);
  } else {
    facts.config = read_model_config(directory);
    const std::string why = why_no_weights(directory);
    if (!why.empty()) console.notice(printable(directory.string()) + ": found " + why);
  }
  for (const std::string& notice : facts.config.notices) console.notice(notice);
  facts.parameters = count_parameters(facts.config);
  describe_tokenizer(directory, facts, console);
  return facts;
}

// Three digits and a decimal prefix: 13838323712 with "B" → "13.8 GB".
std::string with_prefix(std::int64_t number, std::string_view unit) {
  auto value = static_cast<double>(number);
  std::size_t step = 0;
  constexpr std::array<const char*, 5> prefixes = {"", "k", "M", "G", "T"};
  while (value >= 999.5 && step + 1 < prefixes.size()) {
    value /= 1000;
    ++step;
  }
  if (step == 0) return fmt::format("{} {}", number, unit);
  const int n_decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}{}", value, n_decimals, prefixes[step], unit);
}

std::string weights_text(const std::optional<StoredWeights>& weights) {
  if (!weights) return "absent: described from config.json alone";
  std::string types;
  for (const auto& [type, n] : weights->tensors_of_type) {
    types += (types.empty() ? "" : " and ") + type;
  }
  return fmt::format("{} in {}, {} {} in {}{}", with_prefix(weights->n_bytes, "B"), types,
                     grouped_digits(static_cast<std::int64_t>(weights->n_tensors)),
                     noun_for(static_cast<std::int64_t>(weights->n_tensors), "tensor"),
                     counted(static_cast<std::int64_t>(weights->n_files), "file"),
                     weights->has_fused_experts ? ", fused experts" : "");
}

const char* weights_word(const RouterSpec& router) {
  if (router.softmax == SoftmaxOver::chosen) return "of the selected alone";
  return router.normalise ? "renormalised" : "not renormalised";
}

std::string to_text(const ModelFacts& facts) {
  const ModelConfig& config = facts.config;
  const ModelSpec& spec = config.spec;
  const RoutingShape shape = spec.routing_shape();
  using report::Table;
  Table table({"model", config.name}, {Table::Align::left, Table::Align::left});
  table.add_row({"architecture", std::string(config.architecture->name)});
  table.add_row({"MoE layers", std::to_string(shape.n_layers)});
  table.add_row({"experts", fmt::format("{} per layer, {} selected, weights {}", shape.n_experts,
                                        shape.top_k, weights_word(spec.router()))});
  table.add_row({"widths", fmt::format("{} hidden, {} in each expert", spec.hidden_size,
                                       first_moe(spec).expert.width)});
  for (auto& [label, text] : descriptor_rows(spec)) table.add_row({label, text});
  table.add_row(
      {"vocabulary", fmt::format("{} tokens, {} embeddings", grouped_digits(spec.vocab_size),
                                 spec.tied_embeddings ? "tied" : "untied")});
  table.add_row(
      {"context", fmt::format("{} tokens", grouped_digits(config.max_position_embeddings))});
  table.add_row({"parameters", grouped_digits(facts.parameters.total)});
  table.add_row(
      {"active for a token", fmt::format("{} ({:.1f}%)", grouped_digits(facts.parameters.active),
                                         100.0 * static_cast<double>(facts.parameters.active) /
                                             static_cast<double>(facts.parameters.total))});
  table.add_row({"weights", weights_text(facts.weights)});
  for (const Memory& memory : memory_needs(facts)) {
    table.add_row(
        {fmt::format("memory for {}", memory.dtype),
         fmt::format("{} weights, key-value cache {} a token, {} a full context",
                     with_prefix(memory.weights, "B"), with_prefix(memory.kv_cache_per_token, "B"),
                     with_prefix(memory.kv_cache_full_context, "B"))});
  }
  if (facts.tokenizer) {
    const TokenizerFacts& tokenizer = *facts.tokenizer;
    const std::string& name = tokenizer.chat_template;
    table.add_row({"tokenizer", fmt::format("{}, {} ids", tokenizer.kind,
                                            grouped_digits(tokenizer.vocab_size))});
    table.add_row({"chat template", name.empty() ? "not recognised (see the message)" : name});
  } else {
    table.add_row({"tokenizer", facts.tokenizer_problem});
  }
  return table.text();
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

Json config_json(const ModelFacts& facts) {
  const ModelConfig& config = facts.config;
  const ModelSpec& spec = config.spec;
  const RoutingShape shape = spec.routing_shape();
  const AttentionSpec& attention = spec.layers.front().attention;
  return Json::object(
      {{"name", config.name},
       {"architecture", config.architecture->name},
       {"n_layers", shape.n_layers},
       {"moe_layers", Json::array(spec.moe_layers())},
       {"n_experts", shape.n_experts},
       {"top_k", shape.top_k},
       {"norm_topk_prob", spec.router().normalise},
       {"hidden_size", spec.hidden_size},
       {"intermediate_size", first_moe(spec).expert.width},
       {"num_attention_heads", attention.n_heads},
       {"num_key_value_heads", attention.n_kv_heads},
       {"vocab_size", spec.vocab_size},
       {"max_position_embeddings", config.max_position_embeddings},
       {"tie_word_embeddings", spec.tied_embeddings},
       {"embedding_multiplier", spec.embedding_scale},
       {"residual_multiplier", spec.residual_scale},
       {"logits_scaling", spec.logit_divisor},
       {"rms_norm_eps", spec.final_norm.eps},
       {"rope_theta", attention.rotary.theta},
       {"clip_qkv", or_null(attention.clip)},
       {"dtype", config.dtype},
       {"eos_token_id", Json::array(config.eos_token_ids)},
       {"config_sha256", config.sha256},
       {"router_sha256", facts.weights ? Json(facts.weights->router_sha256) : Json()},
       {"layers", layers_json(spec)}});
}

Json weights_json(const std::optional<StoredWeights>& weights) {
  if (!weights) return {};
  Json types = Json::object();
  for (const auto& [type, n] : weights->tensors_of_type) types.set(type, n);
  return Json::object({{"n_bytes", weights->n_bytes},
                       {"n_tensors", weights->n_tensors},
                       {"n_files", weights->n_files},
                       {"fused_experts", weights->has_fused_experts},
                       {"tensors_of_type", types}});
}

Json to_json(const ModelFacts& facts) {
  Json memory = Json::object();
  for (const Memory& need : memory_needs(facts)) {
    memory.set(need.dtype,
               Json::object({{"weights_bytes", need.weights},
                             {"kv_cache_bytes_per_token", need.kv_cache_per_token},
                             {"kv_cache_bytes_full_context", need.kv_cache_full_context}}));
  }
  Json tokenizer;
  Json chat_template;
  if (facts.tokenizer) {
    tokenizer = Json::object({{"kind", facts.tokenizer->kind},
                              {"vocab_size", facts.tokenizer->vocab_size},
                              {"sha256", facts.tokenizer->sha256}});
    if (!facts.tokenizer->chat_template.empty()) chat_template = facts.tokenizer->chat_template;
  }
  return Json::object(
      {{"moexray", Json::object({{"version", version()}, {"command", "model"}, {"seed", Json()}})},
       {"model", config_json(facts)},
       {"parameters",
        Json::object({{"total", facts.parameters.total}, {"active", facts.parameters.active}})},
       {"weights", weights_json(facts.weights)},
       {"memory", memory},
       {"tokenizer", tokenizer},
       {"chat_template", chat_template}});
}

void run_model(const Arguments& arguments, Console& console) {
  const std::filesystem::path directory = find_checkpoint(arguments.positionals().front());
  const std::string json_file = arguments.given("json") ? arguments.text("json") : std::string();
  const ModelFacts facts = describe_model(directory, console);
  if (!json_file.empty() && json_file != "-") {
    report::check_output_file(json_file, arguments.on("force"));
  }
  if (json_file == "-") {
    console.print(to_json(facts).dump());
    return;
  }
  if (!json_file.empty()) report::write_output_file(json_file, to_json(facts).dump());
  console.print(to_text(facts));
}

}  // namespace

Command model_command() {
  return {
      .name = "model",
      .group = CommandGroup::tool,
      .summary = "what a checkpoint is: architecture, parameters, memory, tokenizer",
      .description =
          "Reads config.json, the headers of the safetensors files and the tokenizer of a "
          "checkpoint directory, and "
          "checks that every tensor is there with its shape. The weights are mapped, not loaded. A "
          "directory "
          "without weights is described from its config.json.\n\n"
          "It says what a layer computes: attention, norms, rotary embedding, router, shared "
          "experts, and "
          "which layers are dense. Memory is that of the weights at the type of computation and of "
          "the key-value cache, "
          "for a token and for "
          "one sequence that fills the context. Weights stored at the type of computation are used "
          "where they are "
          "mapped.",
      .positionals = {{.name = "DIR", .help = "checkpoint directory in Hugging Face layout"}},
      .flags = {{.name = "--json",
                 .value_name = "FILE",
                 .help = "write the facts as JSON (-: to stdout, and nothing else)"},
                {.name = "--force",
                 .type = FlagType::on_off,
                 .help = "replace an earlier result that nobody changed"}},
      .examples = {{"moexray model models/mini-olmoe", "the bundled model"},
                   {"moexray model OLMoE-1B-7B-0125-Instruct --json -",
                    "the full-size model, for a script"}},
      .run = run_model,
  };
}

}  // namespace moexray::app
