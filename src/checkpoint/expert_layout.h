#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors.h"

namespace moexray {

/// How the names of a checkpoint's tensors lay out the experts: fused if any name says so.
class ExpertLayoutFinder {
 public:
  ExpertLayoutFinder(const ModelConfig& config, const std::vector<SafetensorsHeader>& headers);

  ExpertLayout layout() const { return layout_; }
  /// The weights as they lie in this layout.
  const std::vector<WeightSlot>& slots() const { return slots_; }
  std::vector<WeightSlot> take_slots() { return std::move(slots_); }
  /// For the head of a list of tensors that do not fit: "fused experts, …", or that both layouts
  /// are there; empty for separate ones alone.
  std::string note() const;

 private:
  ExpertLayout layout_ = ExpertLayout::separate;
  std::vector<WeightSlot> slots_;
  std::size_t n_separate_ = 0;  // of the names, each for one expert
};

/// The model's weights by their names, each a view into the tensor that holds it. Nothing is
/// copied. The shapes have been checked.
std::map<std::string, TensorView, std::less<>> views_of_weights(
    const std::vector<WeightSlot>& slots,
    const std::map<std::string, TensorView, std::less<>>& stored);

}  // namespace moexray
