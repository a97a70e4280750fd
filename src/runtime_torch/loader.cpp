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

// Sums are rounded after a bias is added to them.
at::Tensor loaded_weight(const WeightSlot& slot, const TensorView& view, at::ScalarType dtype,
                         const at::Device& device) {
  if (is_bias(slot.role)) return mapped_tensor(view).to(device, at::kFloat);
  return slot.shape.size() == 1 ? mapped_tensor(view).to(device, dtype)
                                : loaded_matrix(view, dtype, device);
}

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

at::Tensor loaded_matrix(const TensorView& view, at::ScalarType dtype, const at::Device& device) {
  const auto tensor = mapped_tensor(view);
  const bool kernels_widen =
      device.is_cpu() && dtype == at::kFloat && tensor.scalar_type() == at::kBFloat16;
  return kernels_widen ? tensor : tensor.to(device, dtype);
}

Decoder load_decoder(const Checkpoint& checkpoint, at::ScalarType dtype, const at::Device& device) {
  Decoder decoder(checkpoint.config().spec);
  for (const WeightSlot& slot : checkpoint.weights()) {
    const auto tensor = loaded_weight(slot, checkpoint.tensor(slot.name), dtype, device);
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
