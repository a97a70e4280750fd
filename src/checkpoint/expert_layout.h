#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray {

/// How the names of a checkpoint's tensors lay out the experts.
class ExpertLayoutFinder {
 public:
  explicit ExpertLayoutFinder(const ModelConfig& config);

  void see(std::string_view tensor);
  /// Fused if any name is.
  ExpertLayout layout() const;
  /// The weights as they lie in this layout.
  const std::vector<WeightSlot>& slots() const;
  /// For the head of a list of tensors that do not fit: "fused experts, …", or that both layouts
  /// are there; empty for separate ones alone.
  std::string note() const;

 private:
  std::vector<WeightSlot> separate_, fused_;
  std::unordered_set<std::string_view> fused_names_;  // of tensors that hold several weights
  std::unordered_set<std::string_view> expert_names_;
  std::size_t n_fused_ = 0;     // of the names, each for all experts of a layer
  std::size_t n_separate_ = 0;  // of the names, each for one expert
};

/// The model's weights by their names, each a view into the tensor that holds it. Nothing is
/// copied. The shapes have been checked.
std::map<std::string, TensorView, std::less<>> views_of_weights(
    const std::vector<WeightSlot>& slots,
    const std::map<std::string, TensorView, std::less<>>& stored);

}  // namespace moexray
