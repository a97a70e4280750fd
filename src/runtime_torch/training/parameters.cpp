#include "parameters.h"

#include <cmath>
#include <map>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"

namespace moexray::torch_runtime {
namespace {

struct Slot {
  at::Tensor* tensor;
  std::vector<std::int64_t> shape;
  double deviation;  ///< 0: filled with ones
};

std::int64_t n_elements(const std::vector<std::int64_t>& shape) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

// All tensors of the model with their shapes and initial deviations, matrices before norms.
std::vector<Slot> slots(Olmoe& model) {
  const ModelConfig& c = model.config;
  const std::int64_t H = c.hidden_size, I = c.intermediate_size, E = c.num_experts,
                     V = c.vocab_size;
  const std::int64_t kv = static_cast<std::int64_t>(c.num_key_value_heads) * c.head_dim();
  const double fan_in = 1.0 / std::sqrt(static_cast<double>(H));
  const double residual = 1.0 / std::sqrt(2.0 * c.num_hidden_layers);
  std::vector<Slot> matrices = {{&model.embed_tokens, {V, H}, 0.1}, {&model.lm_head, {V, H}, 0.02}};
  std::vector<Slot> norms = {{&model.norm, {H}, 0}};
  for (OlmoeLayer& layer : model.layers) {
    matrices.insert(
        matrices.end(),
        {{&layer.q_proj, {H, H}, fan_in},
         {&layer.k_proj, {kv, H}, fan_in},
         {&layer.v_proj, {kv, H}, fan_in},
         {&layer.o_proj, {H, H}, fan_in * residual},
         {&layer.router, {E, H}, 0.02},
         {&layer.experts.gate_up_stack, {E, 2 * I, H}, fan_in},
         {&layer.experts.down_stack, {E, H, I}, 1.0 / std::sqrt(static_cast<double>(I))}});
    norms.insert(norms.end(), {{&layer.input_norm, {H}, 0},
                               {&layer.q_norm, {H}, 0},
                               {&layer.k_norm, {kv}, 0},
                               {&layer.post_attention_norm, {H}, 0}});
  }
  matrices.insert(matrices.end(), norms.begin(), norms.end());
  return matrices;
}

}  // namespace

Parameters make_parameters(const ModelConfig& config, std::uint64_t seed) {
  if (config.tie_word_embeddings) {
    throw Error(ErrorKind::data, {"cannot train with tied embeddings",
                                  "config.json: key \"tie_word_embeddings\"", "false", "true"});
  }
  Parameters parameters;
  parameters.model.config = config;
  parameters.model.layers.resize(static_cast<std::size_t>(config.num_hidden_layers));
  const auto all = slots(parameters.model);
  std::int64_t n = 0;
  for (const Slot& slot : all) {
    n += n_elements(slot.shape);
    if (slot.deviation > 0) parameters.n_matrices = n;
  }
  parameters.values = at::empty({n}, at::kFloat);
  parameters.gradients = at::zeros({n}, at::kFloat);
  RandomStream random(seed, "weights");
  std::int64_t offset = 0;
  for (const Slot& slot : all) {
    const std::int64_t size = n_elements(slot.shape);
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

std::vector<NamedTensor> named_tensors(const Olmoe& model) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> tensors = {{"model.embed_tokens.weight", model.embed_tokens},
                                               {"model.norm.weight", model.norm},
                                               {"lm_head.weight", model.lm_head}};
  const std::int64_t I = model.config.intermediate_size;
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const OlmoeLayer& layer = model.layers[l];
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    tensors[prefix + "input_layernorm.weight"] = layer.input_norm;
    tensors[prefix + "post_attention_layernorm.weight"] = layer.post_attention_norm;
    tensors[prefix + "self_attn.q_proj.weight"] = layer.q_proj;
    tensors[prefix + "self_attn.k_proj.weight"] = layer.k_proj;
    tensors[prefix + "self_attn.v_proj.weight"] = layer.v_proj;
    tensors[prefix + "self_attn.o_proj.weight"] = layer.o_proj;
    tensors[prefix + "self_attn.q_norm.weight"] = layer.q_norm;
    tensors[prefix + "self_attn.k_norm.weight"] = layer.k_norm;
    tensors[prefix + "mlp.gate.weight"] = layer.router;
    for (std::int64_t e = 0; e < model.config.num_experts; ++e) {
      const std::string expert = prefix + "mlp.experts." + std::to_string(e) + ".";
      tensors[expert + "gate_proj.weight"] = layer.experts.gate_up_stack[e].narrow(0, 0, I);
      tensors[expert + "up_proj.weight"] = layer.experts.gate_up_stack[e].narrow(0, I, I);
      tensors[expert + "down_proj.weight"] = layer.experts.down_stack[e];
    }
  }
  std::vector<NamedTensor> named;
  for (const TensorSpec& spec : expected_tensors(model.config)) {
    named.push_back({spec.name, tensors.at(spec.name).detach()});
  }
  return named;
}

}  // namespace moexray::torch_runtime
