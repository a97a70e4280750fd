#include "moexray/architecture/table.h"

#include <algorithm>
#include <array>
#include <string>

#include "moexray/core/escape.h"
#include "unsupported.h"

namespace moexray {

// What the families' files define.
ModelSpec read_olmoe(const ConfigReader& config);
ModelSpec read_flex_olmo(const ConfigReader& config);
ModelSpec read_mixtral(const ConfigReader& config);
ModelSpec read_qwen2_moe(const ConfigReader& config);
ModelSpec read_qwen3_moe(const ConfigReader& config);
ModelSpec read_granitemoe(const ConfigReader& config);
ModelSpec read_granitemoeshared(const ConfigReader& config);
void olmoe_weights(const ModelSpec& spec, WeightList& list);
void flex_olmo_weights(const ModelSpec& spec, WeightList& list);
void mixtral_weights(const ModelSpec& spec, WeightList& list);
void qwen_weights(const ModelSpec& spec, WeightList& list);
void granitemoe_weights(const ModelSpec& spec, WeightList& list);

namespace {

constexpr auto table_of_all = std::to_array<Architecture>({
    {"OlmoeForCausalLM", "olmoe", read_olmoe, olmoe_weights},
    {"FlexOlmoForCausalLM", "flex_olmo", read_flex_olmo, flex_olmo_weights},
    {"MixtralForCausalLM", "mixtral", read_mixtral, mixtral_weights},
    {"Qwen2MoeForCausalLM", "qwen2_moe", read_qwen2_moe, qwen_weights},
    {"Qwen3MoeForCausalLM", "qwen3_moe", read_qwen3_moe, qwen_weights},
    {"GraniteMoeForCausalLM", "granitemoe", read_granitemoe, granitemoe_weights},
    {"GraniteMoeSharedForCausalLM", "granitemoeshared", read_granitemoeshared, granitemoe_weights},
});

// "\"a\", \"b\" or \"c\"".
std::string choices(std::span<const Architecture> table, std::string_view Architecture::* field,
                    std::string_view before, std::string_view after) {
  std::string text;
  for (const Architecture& row : table) {
    if (!text.empty()) text += &row == &table.back() ? " or " : ", ";
    text += std::string(before) + std::string(row.*field) + std::string(after);
  }
  return text;
}

// "architecture is not implemented", and why.
std::string not_implemented(const ConfigReader& config) {
  const std::string why = why_unsupported(config);
  return why.empty() ? "architecture is not implemented"
                     : "architecture is not implemented: " + why;
}

const Architecture* find_row(std::span<const Architecture> table,
                             std::string_view Architecture::* field, std::string_view value) {
  const auto row = std::find_if(table.begin(), table.end(),
                                [&](const Architecture& other) { return other.*field == value; });
  return row == table.end() ? nullptr : &*row;
}

}  // namespace

std::span<const Architecture> architectures() { return table_of_all; }

const Architecture& find_architecture(const ConfigReader& config,
                                      std::span<const Architecture> table) {
  const std::string type = config.text("model_type");
  const Architecture* by_type = find_row(table, &Architecture::model_type, type);
  if (!type.empty() && by_type == nullptr) {
    config.fail("model_type", not_implemented(config),
                choices(table, &Architecture::model_type, "\"", "\""), config.found("model_type"));
  }
  const std::string names = choices(table, &Architecture::name, "[\"", "\"]");
  if (!config.has("architectures")) {
    if (type.empty()) config.fail("architectures", "missing", names, {});
    return *by_type;
  }
  const std::vector<std::string> given = config.texts_if_any("architectures");
  const Architecture* by_name =
      given.size() == 1 ? find_row(table, &Architecture::name, given[0]) : nullptr;
  if (by_name == nullptr) {
    config.fail(
        "architectures", not_implemented(config), names,
        given.size() == 1 ? printable('"' + given[0] + '"', 160) : config.found("architectures"));
  }
  if (by_type != nullptr && by_type != by_name) {
    config.fail("architectures", "contradicts model_type \"" + type + "\"",
                "[\"" + std::string(by_type->name) + "\"]", printable('"' + given[0] + '"', 160));
  }
  return *by_name;
}

ModelSpec read_spec(const Architecture& architecture, const ConfigReader& config) {
  refuse_quantised(config);
  ModelSpec spec = architecture.read(config);
  check_spec(spec, config.where());
  return spec;
}

std::vector<WeightSlot> weight_slots(const Architecture& architecture, const ModelSpec& spec,
                                     ExpertLayout layout) {
  WeightList list(spec, layout);
  architecture.weights(spec, list);
  return list.take();
}

}  // namespace moexray
