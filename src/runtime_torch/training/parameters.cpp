#include "parameters.h"

#include <cmath>
#include <string>

#include "moexray/core/error.h"
#include "moexray/core/random.h"

namespace moexray::torch_runtime {
namespace {

struct Slot {
  at::Tensor* tensor;
  std::vector<std::int64_t> shape;
  double deviation;  ///< 0: filled with ones
};

// All tensors of the model with their shapes and initial deviations, matrices before norms.
std::vector<Slot> slots(Decoder& model) {
  const ModelSpec& spec = model.spec;
  const auto n_layers = static_cast<int>(spec.layers.size());
  std::vector<Slot> all;
  const auto add = [&](WeightRole role, int layer, double deviation) {
    all.push_back({&model.weight(role, layer), weight_shape(spec, role, layer), deviation});
  };
  const double fan_in = 1.0 / std::sqrt(static_cast<double>(spec.hidden_size));
  const double residual = 1.0 / std::sqrt(2.0 * n_layers);
  add(WeightRole::embedding, -1, 0.1);
  add(WeightRole::head, -1, 0.02);
  for (int l = 0; l < n_layers; ++l) {
    const MoeSpec& moe = std::get<MoeSpec>(spec.layers[static_cast<std::size_t>(l)].mlp);
    const std::int64_t E = moe.router.n_experts, I = moe.expert.width, H = spec.hidden_size;
    ExpertWeights& experts = model.layers[static_cast<std::size_t>(l)].experts;
    add(WeightRole::query, l, fan_in);
    add(WeightRole::key, l, fan_in);
    add(WeightRole::value, l, fan_in);
    add(WeightRole::output, l, fan_in * residual);
    add(WeightRole::router, l, 0.02);
    all.push_back({&experts.gate_up_stack, {E, 2 * I, H}, fan_in});
    all.push_back({&experts.down_stack, {E, H, I}, 1.0 / std::sqrt(static_cast<double>(I))});
  }
  add(WeightRole::final_norm, -1, 0);
  for (int l = 0; l < n_layers; ++l) {
    for (const WeightRole role : {WeightRole::attention_norm, WeightRole::query_norm,
                                  WeightRole::key_norm, WeightRole::mlp_norm}) {
      add(role, l, 0);
    }
  }
  return all;
}

void require_trainable(const ModelConfig& config) {
  if (config.architecture->model_type != "olmoe") {
    throw Error(ErrorKind::data,
                {"training is implemented for OLMoE alone", "config.json: key \"architectures\"",
                 "[\"OlmoeForCausalLM\"]", '"' + std::string(config.architecture->name) + '"'});
  }
  if (!has_olmoe_form(config.spec)) {
    throw Error(ErrorKind::data, {"training is implemented for plain OLMoE models alone",
                                  "config.json",
                                  "no rope scaling, no biases, no heads of another width",
                                  {}});
  }
  if (config.spec.tied_embeddings) {
    throw Error(ErrorKind::data, {"cannot train with tied embeddings",
                                  "config.json: key \"tie_word_embeddings\"", "false", "true"});
  }
}

// A weight in the parameters' memory: those of experts are parts of the stacks.
at::Tensor part_of(Parameters& parameters, const WeightSlot& slot) {
  Decoder& model = parameters.model;
  if (slot.expert < 0) return model.weight(slot.role, slot.layer);
  const ExpertWeights& experts = model.layers.at(static_cast<std::size_t>(slot.layer)).experts;
  if (slot.role == WeightRole::down) return experts.down_stack[slot.expert];
  const std::int64_t width = slot.shape[0];
  return experts.gate_up_stack[slot.expert].narrow(0, slot.role == WeightRole::gate ? 0 : width,
                                                   width);
}

}  // namespace

Parameters make_parameters(const ModelConfig& config, std::uint64_t seed) {
  require_trainable(config);
  Parameters parameters{{}, {}, 0, config, Decoder(config.spec)};
  const auto all = slots(parameters.model);
  std::int64_t n = 0;
  for (const Slot& slot : all) {
    n += n_values(slot.shape);
    if (slot.deviation > 0) parameters.n_matrices = n;
  }
  parameters.values = at::empty({n}, at::kFloat);
  parameters.gradients = at::zeros({n}, at::kFloat);
  RandomStream random(seed, "weights");
  std::int64_t offset = 0;
  for (const Slot& slot : all) {
    const std::int64_t size = n_values(slot.shape);
    float* values = parameters.values.data_ptr<float>() + offset;
    for (std::int64_t i = 0; i < size; ++i) {
      values[i] = slot.deviation == 0 ? 1.0F : static_cast<float>(slot.deviation * random.normal());
    }
    *slot.tensor =
        parameters.values.narrow(0, offset, size).view(slot.shape).detach().set_requires_grad(true);
    slot.tensor->mutable_grad() = parameters.gradients.narrow(0, offset, size).view(slot.shape);
    offset += size;
  }
  return parameters;
}

std::vector<NamedTensor> named_tensors(Parameters& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<NamedTensor> named;
  for (const WeightSlot& slot : weight_slots(parameters.config)) {
    named.push_back({slot.name, part_of(parameters, slot).detach()});
  }
  return named;
}

}  // namespace moexray::torch_runtime
