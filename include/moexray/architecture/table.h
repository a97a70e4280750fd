#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "moexray/architecture/config_reader.h"
#include "moexray/architecture/model_spec.h"
#include "moexray/architecture/weights.h"

namespace moexray {

/// A family of models: everything that is particular to it. Adding one is a file with two functions
/// and a row of the table.
struct Architecture {
  std::string_view name;        ///< in `architectures` of config.json: "OlmoeForCausalLM"
  std::string_view model_type;  ///< in config.json: "olmoe"
  /// What the config describes: pure, from the keys alone.
  /// @throws Error (data) for missing and contradictory keys, sizes out of range, and settings that
  ///   would change the computation and are not implemented.
  ModelSpec (*read)(const ConfigReader& config);
  /// Names the weights of a model of this family, in the order in which checkpoints have them.
  void (*weights)(const ModelSpec& spec, WeightList& list);
};

/// The architectures of this build.
std::span<const Architecture> architectures();

/// The row that `architectures` and `model_type` of a config name; either may be absent.
/// @throws Error (data) if they name none, or two.
const Architecture& find_architecture(const ConfigReader& config,
                                      std::span<const Architecture> table = architectures());

/// The spec that a config describes, checked by check_spec() too.
/// @throws Error (data) as Architecture::read does, and for quantised weights.
ModelSpec read_spec(const Architecture& architecture, const ConfigReader& config);

/// Every weight of a model, those of a tied head included. The slots of the two layouts are the
/// same weights in the same order.
std::vector<WeightSlot> weight_slots(const Architecture& architecture, const ModelSpec& spec,
                                     ExpertLayout layout = ExpertLayout::separate);

}  // namespace moexray
