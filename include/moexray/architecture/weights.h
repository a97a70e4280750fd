#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moexray/architecture/model_spec.h"

namespace moexray {

/// What a weight is for. Matrices are [out, in].
enum class WeightRole {
  embedding,       ///< [vocab, hidden]
  head,            ///< [vocab, hidden]
  final_norm,      ///< [hidden]
  attention_norm,  ///< [hidden], before or after attention
  query,           ///< [heads · d, hidden]
  key,             ///< [kv heads · d, hidden]
  value,           ///< [kv heads · d, hidden]
  output,          ///< [hidden, heads · d]
  query_bias,      ///< [heads · d]
  key_bias,        ///< [kv heads · d]
  value_bias,      ///< [kv heads · d]
  output_bias,     ///< [hidden]
  query_norm,      ///< [d] for each head alike, or [heads · d]
  key_norm,        ///< [d] for each head alike, or [kv heads · d]
  mlp_norm,        ///< [hidden], before or after the network
  router,          ///< [E, hidden]
  gate,            ///< [width, hidden], of an expert or of a dense layer; so up and down
  up,              ///< [width, hidden]
  down,            ///< [hidden, width]
  shared_gate,     ///< as gate, of the shared expert
  shared_up,
  shared_down,
  shared_router,  ///< [1, hidden]: its sigmoid multiplies what the shared expert gives
};

/// Whether it is added to a product.
bool is_bias(WeightRole role);

/// The shape of a weight with this role, in transformer layer `layer` where it belongs to one.
std::vector<std::int64_t> weight_shape(const ModelSpec& spec, WeightRole role, int layer = -1);

/// How a checkpoint stores the experts of a layer.
enum class ExpertLayout {
  separate,  ///< as the family's published checkpoints do: mostly three tensors for each,
             ///< `experts.N.gate_proj.weight`, …
  fused,     ///< two for all of them, as transformers 5 can save every family:
             ///< `experts.gate_up_proj` [E, 2I, H], in which the rows of gate come first, and
             ///< `experts.down_proj` [E, H, I]
};

/// A weight that a model has, and where a checkpoint stores it.
struct WeightSlot {
  WeightRole role = WeightRole::embedding;
  int layer = -1;                    ///< transformer layer, from 0; −1: belongs to none
  int expert = -1;                   ///< −1: belongs to none
  std::string name;                  ///< as a tensor of its own: what the weight is called
  std::vector<std::int64_t> shape;   ///< of the weight
  std::string tensor;                ///< the tensor that holds it; `name` where it has its own
  std::vector<std::int64_t> stored;  ///< that tensor's shape
  std::int64_t first = 0;  ///< of the tensor's values in a row, the weight's first: a slice
  bool required = true;    ///< a head that is tied to the embedding need not be stored
};

/// Product of the sizes.
std::int64_t n_values(const std::vector<std::int64_t>& shape);

/// Takes a family's names and makes slots of them: shapes follow from the spec, and where the
/// experts lie from the layout.
class WeightList {
 public:
  WeightList(const ModelSpec& spec, ExpertLayout layout) : spec_(spec), layout_(layout) {}

  /// A weight of the model, or of a layer, in a tensor of its own.
  /// @param fused_name what the tensor is called in the fused layout, where that is another name
  void add(WeightRole role, std::string name, int layer = -1, std::string fused_name = {});

  /// The networks of a layer that are stored like experts, one or E of them.
  struct ExpertNames {
    std::string prefix;          ///< of the names of single weights: "….mlp.experts."
    std::string gate, up, down;  ///< behind it, for an expert its number and a point between
    std::string gate_up_tensor;  ///< holds gate and up of all experts of the layer
    std::string down_tensor;     ///< holds down of all
  };
  /// The experts of a layer, where the layout says they lie.
  void add_experts(int layer, const ExpertNames& names);
  /// The experts of a layer that lie in the two tensors in every layout.
  void add_fused_experts(int layer, const ExpertNames& names);
  /// The shared expert of a layer: gate [S, H] above up in one tensor, down in its own.
  void add_fused_shared(int layer, const ExpertNames& names);

  ExpertLayout layout() const { return layout_; }
  std::vector<WeightSlot> take() { return std::move(slots_); }

 private:
  int n_experts(int layer) const;

  const ModelSpec& spec_;
  ExpertLayout layout_;
  std::vector<WeightSlot> slots_;
};

/// A tensor of a checkpoint.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// The tensors that hold the required weights, each once, in the order of the slots.
std::vector<TensorSpec> stored_tensors(const std::vector<WeightSlot>& slots);

struct ParameterCount {
  std::int64_t total = 0;
  /// Used for one token: all but the (E − k) experts that are not selected.
  std::int64_t active = 0;
};

ParameterCount count_parameters(const ModelSpec& spec, const std::vector<WeightSlot>& slots);

}  // namespace moexray
