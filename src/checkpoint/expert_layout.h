#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray {

/// How the names of a checkpoint's tensors lay out the experts.
class ExpertLayoutFinder {
 public:
  void see(std::string_view tensor);
  /// Fused if any name is.
  ExpertLayout layout() const;
  /// For the head of a list of tensors that do not fit: "fused experts, …", or that both layouts
  /// are there; empty for separate ones alone.
  std::string note() const;

 private:
  std::size_t n_fused_ = 0;     // of the names, each for all experts of a layer
  std::size_t n_separate_ = 0;  // of the names, each for one expert
};

/// Replaces the fused tensors, [E, 2I, H] and [E, H, I], by views of each expert's matrices under
/// the names that separate ones have. Nothing is copied. The shapes have been checked.
void split_fused_experts(const ModelConfig& config,
                         std::map<std::string, TensorView, std::less<>>& tensors);

}  // namespace moexray
