#include "evaluate.h"

#include <algorithm>

#include "gradients.h"

namespace moexray::torch_runtime {
namespace {

using Counts = std::vector<std::vector<std::int64_t>>;  // [layers][experts]

LayerBalance balance_of(const std::vector<std::int64_t>& counts) {
  LayerBalance balance;
  std::int64_t total = 0;
  for (const std::int64_t count : counts) total += count;
  const double uniform = static_cast<double>(total) / static_cast<double>(counts.size());
  balance.min_share =
      static_cast<double>(*std::min_element(counts.begin(), counts.end())) / uniform;
  balance.max_share =
      static_cast<double>(*std::max_element(counts.begin(), counts.end())) / uniform;
  for (const std::int64_t count : counts) {
    if (count == 0) ++balance.n_unused;
    if (static_cast<double>(count) < uniform / 5) ++balance.n_below_a_fifth;
  }
  return balance;
}

CategoryLoss category_loss(const Decoder& model, const RotaryTable& table, const ValidationSet& set,
                           const TrainingOptions& options, std::int64_t max_windows,
                           Counts& counts) {
  const std::int64_t T = options.n_positions;
  const std::int64_t n_windows =
      std::min(max_windows, (static_cast<std::int64_t>(set.documents.tokens.size()) - 1) / T);
  CategoryLoss result{set.category, 0, 0};
  for (std::int64_t first = 0; first < n_windows; first += options.n_sequences) {
    const std::int64_t n = std::min(options.n_sequences, n_windows - first);
    auto inputs = at::empty({n * T}, at::kInt), targets = at::empty({n * T}, at::kInt);
    std::copy_n(set.documents.tokens.begin() + first * T, n * T, inputs.data_ptr<TokenId>());
    std::copy_n(set.documents.tokens.begin() + first * T + 1, n * T, targets.data_ptr<TokenId>());
    TrainingOps ops(table, {n, T}, {});
    const auto h =
        model.forward(model.embedding.index_select(0, inputs), ops,
                      [&counts](int moe_layer, const at::Tensor&, const RouterOutput& routing) {
                        auto& layer_counts = counts[static_cast<std::size_t>(moe_layer)];
                        const auto* ids = routing.experts.data_ptr<ExpertId>();
                        for (std::int64_t i = 0; i < routing.experts.numel(); ++i) {
                          ++layer_counts[static_cast<std::size_t>(ids[i])];
                        }
                      });
    result.loss +=
        cross_entropy(h, model.head, targets).item<double>() * static_cast<double>(n * T);
    result.n_tokens += n * T;
  }
  if (result.n_tokens > 0) result.loss /= static_cast<double>(result.n_tokens);
  return result;
}

}  // namespace

Evaluation evaluate(const Decoder& model, const RotaryTable& table,
                    const std::vector<ValidationSet>& sets, const TrainingOptions& options,
                    std::int64_t max_windows) {
  const at::NoGradGuard no_grad;
  const RoutingShape shape = model.spec.routing_shape();
  Counts counts(static_cast<std::size_t>(shape.n_layers),
                std::vector<std::int64_t>(static_cast<std::size_t>(shape.n_experts), 0));
  Evaluation evaluation;
  for (const ValidationSet& set : sets) {
    evaluation.losses.push_back(category_loss(model, table, set, options, max_windows, counts));
  }
  for (const auto& layer : counts) evaluation.layers.push_back(balance_of(layer));
  return evaluation;
}

}  // namespace moexray::torch_runtime
