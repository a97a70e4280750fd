#pragma once

#include "decoder.h"
#include "kernels/kernel_sets.h"
#include "moexray/runtime/model.h"

namespace moexray::torch_runtime {

/// A loaded model behind the abstract interface: validates what comes in, runs the layers, hands
/// the routers' decisions to the tap.
class TorchModel : public Model {
 public:
  /// @param set multiplies in bfloat16 on the CPU; null: libtorch does, or the float32 kernels.
  TorchModel(ModelConfig config, Decoder decoder, at::ScalarType dtype, const at::Device& device,
             int n_threads, const kernels::KernelSet* set);

  const ModelConfig& config() const override { return config_; }
  std::unique_ptr<Session> new_session(std::span<const std::int64_t> capacities) override;
  std::vector<float> forward(Session& session, std::span<const SequenceChunk> chunks,
                             const Passage& passage) override;
  std::unique_ptr<ShadowRouter> prepare_shadow(const ShadowWeights& weights) override;

 private:
  void check_shadows(std::span<const Shadow> shadows) const;
  /// Lets shadows choose at a layer by h [n, hidden], which its own router has multiplied, and
  /// before that fits biases where they are to be fitted to what it chose.
  void observe_shadows(const Passage& passage, int moe_layer, const at::Tensor& h,
                       const RouterOutput& own, Ops& ops) const;
  std::vector<float> run_pass(Session& session, std::span<const SequenceChunk> chunks,
                              const Passage& passage);

  ModelConfig config_;
  Decoder decoder_;
  at::ScalarType dtype_;
  at::Device device_;
  int n_threads_;
  const kernels::KernelSet* set_;
};

/// Passes the routing of an MoE layer to a tap, after checking that its shapes are what the spec
/// promises.
void observe_router(RouterTap& tap, const RoutingShape& shape, int moe_layer, std::int64_t n_rows,
                    const RouterOutput& routing);

}  // namespace moexray::torch_runtime
