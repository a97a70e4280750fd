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

  // Sums are rounded after a bias is added to them.
  at::Tensor bias(const std::string& name) const { return mapped(name).to(device_, at::kFloat); }

  at::Tensor weight(const WeightSlot& slot) const {
    if (is_bias(slot.role)) return bias(slot.name);
    return slot.shape.size() == 1 ? vector(slot.name) : matrix(slot.name);
  }

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

Decoder load_decoder(const Checkpoint& checkpoint, at::ScalarType dtype, const at::Device& device) {
  const Loader load(checkpoint, dtype, device);
  Decoder decoder(checkpoint.config().spec);
  for (const WeightSlot& slot : checkpoint.weights()) {
    const auto tensor = load.weight(slot);
    if (slot.expert < 0) {
      decoder.weight(slot.role, slot.layer) = tensor;
    } else {
      decoder.expert_weights(slot.role, slot.layer).push_back(tensor);
    }
  }
  if (decoder.spec.tied_embeddings) decoder.head = decoder.embedding;
  return decoder;
}

}  // namespace moexray::torch_runtime
