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

// Without the experts' weights, which are known after the pass. Weights have 2 bytes. A token's
// query and attention weights meet the keys and values of itself and all before it.
PassWork work_of(const ModelSpec& spec, const Session& session,
                 std::span<const SequenceChunk> chunks) {
  const AttentionSpec& attention = spec.layers.front().attention;
  const double hidden = spec.hidden_size, layers = static_cast<double>(spec.layers.size()),
               q = static_cast<double>(attention.n_heads) * attention.head_dim,
               kv = static_cast<double>(attention.n_kv_heads) * attention.head_dim,
               dense = layers * hidden * (2 * q + 2 * kv + spec.router().n_experts),
               experts = layers * spec.router().top_k * expert_size(spec),
               head = hidden * spec.vocab_size;
  double n_tokens = 0, n_attended = 0;
  for (const SequenceChunk& chunk : chunks) {
    const auto n = static_cast<double>(chunk.token_ids.size());
    n_attended += n * static_cast<double>(session.length(chunk.slot)) + n * (n + 1) / 2;
    n_tokens += n;
  }
  PassWork work;
  work.weight_bytes = 2 * (dense + head);
  work.multiply_adds = n_tokens * (dense + experts) + n_attended * layers * 2 * q +
                       static_cast<double>(chunks.size()) * head;
  work.is_decode = n_tokens == static_cast<double>(chunks.size());
  return work;
}

}  // namespace

std::vector<float> MeteredModel::forward(Session& session, std::span<const SequenceChunk> chunks,
                                         const Passage& passage) {
  PassWork work = work_of(config().spec, session, chunks);
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
