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

std::int64_t n_values(const Shape& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

void WeightList::add(WeightRole role, std::string name, int layer) {
  const Shape shape = weight_shape(spec_, role, layer);
  const bool required = role != WeightRole::head || !spec_.tied_embeddings;
  slots_.push_back({role, layer, -1, name, shape, name, shape, 0, required});
}

void WeightList::add_experts(int layer, const std::string& prefix, const ExpertNames& names) {
  const MoeSpec& moe = std::get<MoeSpec>(spec_.layers.at(static_cast<std::size_t>(layer)).mlp);
  const std::int64_t n_experts = moe.router.n_experts;
  const Shape in = weight_shape(spec_, WeightRole::gate, layer),
              out = weight_shape(spec_, WeightRole::down, layer);
  const std::int64_t n = n_values(in);  // of every matrix
  const Shape both = {n_experts, 2 * in[0], in[1]}, all = {n_experts, out[0], out[1]};
  for (int e = 0; e < n_experts; ++e) {
    const std::string own = prefix + std::to_string(e) + ".";
    if (layout_ == ExpertLayout::separate) {
      slots_.push_back({WeightRole::gate, layer, e, own + names.gate, in, own + names.gate, in});
      slots_.push_back({WeightRole::up, layer, e, own + names.up, in, own + names.up, in});
      slots_.push_back({WeightRole::down, layer, e, own + names.down, out, own + names.down, out});
    } else {
      const std::string gate_up = prefix + names.fused_gate_up, down = prefix + names.fused_down;
      slots_.push_back(
          {WeightRole::gate, layer, e, own + names.gate, in, gate_up, both, 2 * e * n});
      slots_.push_back(
          {WeightRole::up, layer, e, own + names.up, in, gate_up, both, (2 * e + 1) * n});
      slots_.push_back({WeightRole::down, layer, e, own + names.down, out, down, all, e * n});
    }
  }
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
