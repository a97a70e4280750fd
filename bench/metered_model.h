#pragma once

#include <memory>
#include <span>
#include <vector>

#include "machine_limits.h"
#include "moexray/runtime/model.h"

namespace moexray::bench {

/// What a forward pass has to do.
struct PassWork {
  double weight_bytes = 0;   ///< of the weights it touches, each counted once
  double multiply_adds = 0;  ///< of its matrix products
  bool is_decode = false;    ///< one token a sequence: its weights cannot be read less than once
};

/// Values of the matrices that a token meets: in all layers but for experts, of the experts that
/// are chosen for it, and of the head.
struct MatrixSizes {
  double dense = 0, experts = 0, head = 0;
};

/// Passes on to a model, and keeps the time and the work of its forward passes.
class MeteredModel : public Model {
 public:
  /// `model` must outlive the object.
  explicit MeteredModel(Model& model);

  const ModelConfig& config() const override { return model_.config(); }
  std::unique_ptr<Session> new_session(std::span<const std::int64_t> capacities) override {
    return model_.new_session(capacities);
  }
  std::vector<float> forward(Session& session, std::span<const SequenceChunk> chunks,
                             const Passage& passage) override;
  std::unique_ptr<ShadowRouter> prepare_shadow(const ShadowWeights& weights) override {
    return model_.prepare_shadow(weights);
  }

  /// Forgets the passes so far.
  void reset();
  /// Of the passes since reset().
  double seconds() const { return seconds_; }
  /// The seconds that the passes since reset() cannot go below on this machine: for a decode step
  /// the larger of weight_bytes / B and 2 · multiply_adds / F, for the others the latter.
  double limit(const MachineLimits& limits) const;

 private:
  Model& model_;
  MatrixSizes sizes_;
  double seconds_ = 0;
  std::vector<PassWork> passes_;
};

}  // namespace moexray::bench
