#include "moexray/architecture/weights.h"

#include <unordered_set>
#include <utility>

namespace moexray {
namespace {

using Shape = std::vector<std::int64_t>;

// Of an expert, the shared expert or a dense layer.
int network_width(const LayerSpec& layer, WeightRole role) {
  const MoeSpec* moe = layer.moe();
  if (moe == nullptr) return std::get<FeedForwardSpec>(layer.mlp).width;
  const bool is_shared = role == WeightRole::shared_gate || role == WeightRole::shared_up ||
                         role == WeightRole::shared_down;
  return is_shared ? moe->shared.value().width : moe->expert.width;
}

}  // namespace

Shape weight_shape(const ModelSpec& spec, WeightRole role, int layer) {
  const std::int64_t hidden = spec.hidden_size;
  switch (role) {
    case WeightRole::embedding:
    case WeightRole::head:
      return {spec.vocab_size, hidden};
    case WeightRole::final_norm:
    case WeightRole::attention_norm:
    case WeightRole::mlp_norm:
      return {hidden};
    default:
      break;
  }
  const LayerSpec& own = spec.layers.at(static_cast<std::size_t>(layer));
  const std::int64_t d = own.attention.head_dim;
  const std::int64_t queries = own.attention.n_heads * d, keys = own.attention.n_kv_heads * d;
  switch (role) {
    case WeightRole::query:
      return {queries, hidden};
    case WeightRole::key:
    case WeightRole::value:
      return {keys, hidden};
    case WeightRole::output:
      return {hidden, queries};
    case WeightRole::query_bias:
      return {queries};
    case WeightRole::key_bias:
    case WeightRole::value_bias:
      return {keys};
    case WeightRole::output_bias:
      return {hidden};
    case WeightRole::shared_router:
      return {1, hidden};
    case WeightRole::query_norm:
      return {own.attention.qk_norm.value().per_head ? d : queries};
    case WeightRole::key_norm:
      return {own.attention.qk_norm.value().per_head ? d : keys};
    case WeightRole::router:
      return {std::get<MoeSpec>(own.mlp).router.n_experts, hidden};
    case WeightRole::down:
    case WeightRole::shared_down:
      return {hidden, network_width(own, role)};
    default:
      return {network_width(own, role), hidden};
  }
}

bool is_bias(WeightRole role) {
  return role == WeightRole::query_bias || role == WeightRole::key_bias ||
         role == WeightRole::value_bias || role == WeightRole::output_bias;
}

std::int64_t n_values(const Shape& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

void WeightList::add(WeightRole role, std::string name, int layer, std::string fused_name) {
  const Shape shape = weight_shape(spec_, role, layer);
  const bool required = role != WeightRole::head || !spec_.tied_embeddings;
  const bool is_renamed = layout_ == ExpertLayout::fused && !fused_name.empty();
  std::string tensor = is_renamed ? std::move(fused_name) : name;
  slots_.push_back(
      {role, layer, -1, std::move(name), shape, std::move(tensor), shape, 0, required});
}

void WeightList::add_experts(int layer, const ExpertNames& names) {
  if (layout_ == ExpertLayout::fused) {
    add_fused_experts(layer, names);
    return;
  }
  const Shape in = weight_shape(spec_, WeightRole::gate, layer),
              out = weight_shape(spec_, WeightRole::down, layer);
  const auto add_one = [&](WeightRole role, int expert, const std::string& name,
                           const Shape& shape) {
    slots_.push_back({role, layer, expert, name, shape, name, shape});
  };
  for (int e = 0; e < n_experts(layer); ++e) {
    const std::string own = names.prefix + std::to_string(e) + ".";
    add_one(WeightRole::gate, e, own + names.gate, in);
    add_one(WeightRole::up, e, own + names.up, in);
    add_one(WeightRole::down, e, own + names.down, out);
  }
}

void WeightList::add_fused_experts(int layer, const ExpertNames& names) {
  const std::int64_t n = n_experts(layer);
  const Shape in = weight_shape(spec_, WeightRole::gate, layer),
              out = weight_shape(spec_, WeightRole::down, layer);
  const std::int64_t size = n_values(in);  // of every matrix
  const Shape both = {n, 2 * in[0], in[1]}, all = {n, out[0], out[1]};
  for (int e = 0; e < n; ++e) {
    const std::string own = names.prefix + std::to_string(e) + ".";
    slots_.push_back({WeightRole::gate, layer, e, own + names.gate, in, names.gate_up_tensor, both,
                      2 * e * size});
    slots_.push_back({WeightRole::up, layer, e, own + names.up, in, names.gate_up_tensor, both,
                      (2 * e + 1) * size});
    slots_.push_back(
        {WeightRole::down, layer, e, own + names.down, out, names.down_tensor, all, e * size});
  }
}

void WeightList::add_fused_shared(int layer, const ExpertNames& names) {
  const Shape in = weight_shape(spec_, WeightRole::shared_gate, layer);
  const Shape both = {2 * in[0], in[1]};
  slots_.push_back({WeightRole::shared_gate, layer, -1, names.prefix + names.gate, in,
                    names.gate_up_tensor, both});
  slots_.push_back({WeightRole::shared_up, layer, -1, names.prefix + names.up, in,
                    names.gate_up_tensor, both, n_values(in)});
  add(WeightRole::shared_down, names.down_tensor, layer);
}

int WeightList::n_experts(int layer) const {
  return std::get<MoeSpec>(spec_.layers.at(static_cast<std::size_t>(layer)).mlp).router.n_experts;
}

std::vector<TensorSpec> stored_tensors(const std::vector<WeightSlot>& slots) {
  std::vector<TensorSpec> tensors;
  std::unordered_set<std::string_view> seen;
  for (const WeightSlot& slot : slots) {
    if (slot.required && seen.insert(slot.tensor).second) {
      tensors.push_back({slot.tensor, slot.stored});
    }
  }
  return tensors;
}

ParameterCount count_parameters(const ModelSpec& spec, const std::vector<WeightSlot>& slots) {
  const int top_k = spec.routing_shape().top_k;
  ParameterCount count;
  for (const WeightSlot& slot : slots) {
    if (!slot.required) continue;
    const std::int64_t n = n_values(slot.shape);
    count.total += n;
    if (slot.expert < top_k) count.active += n;  // the experts of a layer have equal sizes
  }
  return count;
}

}  // namespace moexray
