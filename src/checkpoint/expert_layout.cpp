#include "expert_layout.h"

#include <utility>

namespace moexray {
namespace {

constexpr std::string_view experts = ".mlp.experts.";

}  // namespace

void ExpertLayoutFinder::see(std::string_view tensor) {
  const std::size_t at = tensor.find(experts);
  if (at == std::string_view::npos || at + experts.size() == tensor.size()) return;
  const std::string_view rest = tensor.substr(at + experts.size());
  if (rest == "gate_up_proj" || rest == "down_proj") ++n_fused_;
  if (rest[0] >= '0' && rest[0] <= '9') ++n_separate_;
}

ExpertLayout ExpertLayoutFinder::layout() const {
  return n_fused_ > 0 ? ExpertLayout::fused : ExpertLayout::separate;
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

void split_fused_experts(const ModelConfig& config,
                         std::map<std::string, TensorView, std::less<>>& tensors) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t width = config.intermediate_size;
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    const auto take = [&](const char* name) {
      return std::move(tensors.extract(tensors.find(prefix + name)).mapped());
    };
    const TensorView gate_up = take("gate_up_proj");
    const TensorView down = take("down_proj");
    // All three matrices of an expert have as many bytes.
    const std::size_t n_bytes = static_cast<std::size_t>(hidden * width) * size_of(gate_up.type);
    const std::size_t n_down_bytes = static_cast<std::size_t>(hidden * width) * size_of(down.type);
    for (int e = 0; e < config.num_experts; ++e) {
      const std::string expert = prefix + std::to_string(e) + ".";
      const auto i = static_cast<std::size_t>(e);
      tensors.emplace(
          expert + "gate_proj.weight",
          TensorView{
              gate_up.type, {width, hidden}, gate_up.bytes.subspan(2 * i * n_bytes, n_bytes)});
      tensors.emplace(expert + "up_proj.weight",
                      TensorView{gate_up.type,
                                 {width, hidden},
                                 gate_up.bytes.subspan((2 * i + 1) * n_bytes, n_bytes)});
      tensors.emplace(
          expert + "down_proj.weight",
          TensorView{
              down.type, {hidden, width}, down.bytes.subspan(i * n_down_bytes, n_down_bytes)});
    }
  }
}

}  // namespace moexray
