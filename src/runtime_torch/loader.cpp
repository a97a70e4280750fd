#include "loader.h"

#include <cstring>

namespace moexray::torch_runtime {
namespace {

at::ScalarType scalar_type(WeightType type) {
  switch (type) {
    case WeightType::bf16:
      return at::kBFloat16;
    case WeightType::f16:
      return at::kHalf;
    case WeightType::f32:
      return at::kFloat;
  }
  return at::kFloat;
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, at::ScalarType dtype, const at::Device& device)
      : checkpoint_(checkpoint), dtype_(dtype), device_(device) {}

  at::Tensor matrix(const std::string& name) const {
    const auto tensor = mapped(name);
    const bool kernels_widen =
        device_.is_cpu() && dtype_ == at::kFloat && tensor.scalar_type() == at::kBFloat16;
    return kernels_widen ? tensor : tensor.to(device_, dtype_);
  }

  at::Tensor vector(const std::string& name) const { return mapped(name).to(device_, dtype_); }

 private:
  at::Tensor mapped(const std::string& name) const {
    return mapped_tensor(checkpoint_.tensor(name));
  }

  const Checkpoint& checkpoint_;
  at::ScalarType dtype_;
  at::Device device_;
};

}  // namespace

at::Tensor mapped_tensor(const TensorView& view) {
  const auto options = at::TensorOptions(scalar_type(view.type));
  const auto address = reinterpret_cast<std::uintptr_t>(view.bytes.data());
  if (address % size_of(view.type) == 0) {
    // The mapping is read-only and nothing writes to weights; libtorch has no const tensors.
    return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, options);
  }
  auto copy = at::empty(view.shape, options);
  std::memcpy(copy.data_ptr(), view.bytes.data(), view.bytes.size());
  return copy;
}

Olmoe load_olmoe(const Checkpoint& checkpoint, at::ScalarType dtype, const at::Device& device) {
  const Loader load(checkpoint, dtype, device);
  const ModelConfig& config = checkpoint.config();
  Olmoe model{
      config, load.matrix("model.embed_tokens.weight"), {}, load.vector("model.norm.weight"), {}};
  model.lm_head = config.tie_word_embeddings ? model.embed_tokens : load.matrix("lm_head.weight");
  for (int l = 0; l < config.num_hidden_layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".",
                      attention = layer + "self_attn.";
    OlmoeLayer weights;
    weights.input_norm = load.vector(layer + "input_layernorm.weight");
    weights.q_proj = load.matrix(attention + "q_proj.weight");
    weights.k_proj = load.matrix(attention + "k_proj.weight");
    weights.v_proj = load.matrix(attention + "v_proj.weight");
    weights.o_proj = load.matrix(attention + "o_proj.weight");
    weights.q_norm = load.vector(attention + "q_norm.weight");
    weights.k_norm = load.vector(attention + "k_norm.weight");
    weights.post_attention_norm = load.vector(layer + "post_attention_layernorm.weight");
    weights.router = load.matrix(layer + "mlp.gate.weight");
    for (int e = 0; e < config.num_experts; ++e) {
      const std::string expert = layer + "mlp.experts." + std::to_string(e) + ".";
      weights.experts.gate.push_back(load.matrix(expert + "gate_proj.weight"));
      weights.experts.up.push_back(load.matrix(expert + "up_proj.weight"));
      weights.experts.down.push_back(load.matrix(expert + "down_proj.weight"));
    }
    model.layers.push_back(std::move(weights));
  }
  return model;
}

}  // namespace moexray::torch_runtime
