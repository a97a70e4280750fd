#include "metered_model.h"

#include <algorithm>
#include <chrono>

namespace moexray::bench {
namespace {

// Counts the experts that a pass uses, all layers together, and lets another tap see the routing.
class ExpertCounter : public RouterTap {
 public:
  ExpertCounter(int n_experts, RouterTap* next)
      : used_(static_cast<std::size_t>(n_experts)), next_(next) {}

  bool wants_logits() const override { return next_ != nullptr && next_->wants_logits(); }
  void on_router(const RouterBatch& batch) override {
    std::fill(used_.begin(), used_.end(), false);
    for (const ExpertId e : batch.experts) used_[static_cast<std::size_t>(e)] = true;
    n_used_ += static_cast<double>(std::count(used_.begin(), used_.end(), true));
    if (next_ != nullptr) next_->on_router(batch);
  }
  double n_used() const { return n_used_; }

 private:
  std::vector<bool> used_;
  RouterTap* next_;
  double n_used_ = 0;
};

// Values of an expert's three matrices.
double expert_size(const ModelSpec& spec) {
  const LayerSpec& layer = spec.layers.at(static_cast<std::size_t>(spec.moe_layers().at(0)));
  return 3.0 * static_cast<double>(spec.hidden_size) *
         static_cast<double>(layer.moe()->expert.width);
}

// Pairs of a query and a key that it sees, for n tokens behind `before` others.
double n_pairs(const AttentionSpec& attention, std::int64_t before, std::int64_t n) {
  double pairs = 0;
  for (std::int64_t pos = before; pos < before + n; ++pos) {
    pairs += static_cast<double>(
        attention.window == 0 ? pos + 1 : std::min<std::int64_t>(pos + 1, attention.window));
  }
  return pairs;
}

// Without the experts' weights, which are known after the pass. Weights have 2 bytes. A token's
// query and attention weights meet the keys and values that it sees.
PassWork work_of(const ModelSpec& spec, const MatrixSizes& sizes, const Session& session,
                 std::span<const SequenceChunk> chunks) {
  double n_tokens = 0, attention = 0;
  for (const SequenceChunk& chunk : chunks) {
    const auto n = static_cast<std::int64_t>(chunk.token_ids.size());
    n_tokens += static_cast<double>(n);
    for (const LayerSpec& layer : spec.layers) {
      attention += n_pairs(layer.attention, session.length(chunk.slot), n) * 2 *
                   layer.attention.n_heads * layer.attention.head_dim;
    }
  }
  PassWork work;
  work.weight_bytes = 2 * (sizes.dense + sizes.head);
  work.multiply_adds = n_tokens * (sizes.dense + sizes.experts) + attention +
                       static_cast<double>(chunks.size()) * sizes.head;
  work.is_decode = n_tokens == static_cast<double>(chunks.size());
  return work;
}

MatrixSizes sizes_of(const ModelConfig& config) {
  MatrixSizes sizes;
  sizes.head = static_cast<double>(config.spec.hidden_size) * config.spec.vocab_size;
  for (const WeightSlot& slot : weight_slots(config)) {
    const bool is_outside = slot.role == WeightRole::embedding || slot.role == WeightRole::head;
    if (slot.shape.size() != 2 || is_outside) continue;
    const auto n = static_cast<double>(n_values(slot.shape));
    if (slot.expert < 0) {
      sizes.dense += n;
    } else if (slot.expert < config.spec.router().top_k) {
      sizes.experts += n;
    }
  }
  return sizes;
}

}  // namespace

MeteredModel::MeteredModel(Model& model) : model_(model), sizes_(sizes_of(model.config())) {}

std::vector<float> MeteredModel::forward(Session& session, std::span<const SequenceChunk> chunks,
                                         const Passage& passage) {
  PassWork work = work_of(config().spec, sizes_, session, chunks);
  ExpertCounter counter(config().spec.router().n_experts, passage.tap);
  Passage counted = passage;
  counted.tap = &counter;
  const auto start = std::chrono::steady_clock::now();
  auto logits = model_.forward(session, chunks, counted);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  work.weight_bytes += 2 * counter.n_used() * expert_size(config().spec);
  passes_.push_back(work);
  return logits;
}

void MeteredModel::reset() {
  seconds_ = 0;
  passes_.clear();
}

double MeteredModel::limit(const MachineLimits& limits) const {
  double seconds = 0;
  for (const PassWork& pass : passes_) {
    const double compute = 2 * pass.multiply_adds / limits.multiply_rate,
                 reading = pass.weight_bytes / limits.read_rate;
    seconds += pass.is_decode ? std::max(compute, reading) : compute;
  }
  return seconds;
}

}  // namespace moexray::bench
