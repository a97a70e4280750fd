#include "expert_layout.h"

namespace moexray {

ExpertLayoutFinder::ExpertLayoutFinder(const ModelConfig& config)
    : separate_(weight_slots(config, ExpertLayout::separate)),
      fused_(weight_slots(config, ExpertLayout::fused)) {
  for (const WeightSlot& slot : fused_) {
    if (slot.tensor == slot.name) continue;
    fused_names_.insert(slot.tensor);
    expert_names_.insert(slot.name);
  }
}

void ExpertLayoutFinder::see(std::string_view tensor) {
  n_fused_ += fused_names_.count(tensor);
  n_separate_ += expert_names_.count(tensor);
}

ExpertLayout ExpertLayoutFinder::layout() const {
  return n_fused_ > 0 ? ExpertLayout::fused : ExpertLayout::separate;
}

const std::vector<WeightSlot>& ExpertLayoutFinder::slots() const {
  return layout() == ExpertLayout::fused ? fused_ : separate_;
}

std::string ExpertLayoutFinder::note() const {
  if (n_fused_ == 0) return {};
  const std::string fused =
      "fused experts, as transformers 5 saves them: gate_up_proj and down_proj hold all experts of "
      "a layer";
  if (n_separate_ == 0) return fused;
  return fused + "; " + std::to_string(n_separate_) +
         " tensors of single experts beside them: both layouts in one checkpoint";
}

std::map<std::string, TensorView, std::less<>> views_of_weights(
    const std::vector<WeightSlot>& slots,
    const std::map<std::string, TensorView, std::less<>>& stored) {
  std::map<std::string, TensorView, std::less<>> views;
  for (const WeightSlot& slot : slots) {
    const auto found = stored.find(slot.tensor);
    if (found == stored.end()) continue;  // a tied head
    const TensorView& whole = found->second;
    const std::size_t size = size_of(whole.type);
    views.emplace(
        slot.name,
        TensorView{whole.type, slot.shape,
                   whole.bytes.subspan(static_cast<std::size_t>(slot.first) * size,
                                       static_cast<std::size_t>(n_values(slot.shape)) * size)});
  }
  return views;
}

}  // namespace moexray
