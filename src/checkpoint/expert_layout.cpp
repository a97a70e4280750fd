#include "expert_layout.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace moexray {

ExpertLayoutFinder::ExpertLayoutFinder(const ModelConfig& config,
                                       const std::vector<SafetensorsHeader>& headers)
    : slots_(weight_slots(config, ExpertLayout::separate)) {
  std::unordered_set<std::string_view> names;
  for (const WeightSlot& slot : slots_) names.insert(slot.tensor);
  std::unordered_set<std::string_view> others;
  for (const SafetensorsHeader& header : headers) {
    for (const SafetensorsEntry& entry : header.tensors) {
      if (!names.contains(entry.name)) others.insert(entry.name);
    }
  }
  if (others.empty()) return;
  std::vector<WeightSlot> fused = weight_slots(config, ExpertLayout::fused);
  const auto is_other = [&](const WeightSlot& slot) { return others.contains(slot.tensor); };
  if (std::none_of(fused.begin(), fused.end(), is_other)) return;
  std::unordered_set<std::string_view> experts;
  for (const WeightSlot& slot : fused) {
    if (slot.tensor != slot.name) experts.insert(slot.name);
  }
  for (const SafetensorsHeader& header : headers) {
    for (const SafetensorsEntry& entry : header.tensors) n_separate_ += experts.count(entry.name);
  }
  layout_ = ExpertLayout::fused;
  slots_.swap(fused);
}

std::string ExpertLayoutFinder::note() const {
  if (layout_ == ExpertLayout::separate) return {};
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
