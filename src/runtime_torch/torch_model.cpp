#include "torch_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "inference_ops.h"
#include "loader.h"
#include "moexray/core/error.h"
#include "translate_errors.h"

namespace moexray::torch_runtime {
namespace {

// Of shadows, multiplied together: bounds the memory of their logits.
constexpr std::size_t max_routers_at_once = 32;

// The rows of a forward pass and the tokens on them.
struct Rows {
  RaggedBatch batch;
  at::Tensor token_ids;                     ///< [rows], int32
  std::vector<std::int64_t> last_of_chunk;  ///< [chunks]
};

Rows lay_out(const TorchSession& session, std::span<const SequenceChunk> chunks, int vocab_size) {
  Rows rows;
  std::vector<TokenId> ids;
  std::vector<bool> used(static_cast<std::size_t>(session.n_slots()), false);
  for (const SequenceChunk& chunk : chunks) {
    const auto slot = static_cast<std::size_t>(chunk.slot);
    if (chunk.slot < 0 || chunk.slot >= session.n_slots() || used[slot] ||
        chunk.token_ids.empty()) {
      throw Error(ErrorKind::data, {"bad chunk of a forward pass",
                                    "slot " + std::to_string(chunk.slot),
                                    "tokens for a slot of the session, each slot at most once",
                                    {}});
    }
    used[slot] = true;
    const SequenceCache& sequence = session.sequence(chunk.slot);
    const auto n = static_cast<std::int64_t>(chunk.token_ids.size());
    if (n > sequence.capacity - sequence.length) {
      throw Error(ErrorKind::data,
                  {"sequence outgrows its cache", "slot " + std::to_string(chunk.slot),
                   "at most " + std::to_string(sequence.capacity) + " tokens",
                   std::to_string(sequence.length + n)});
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const TokenId id = chunk.token_ids[static_cast<std::size_t>(i)];
      if (id < 0 || id >= vocab_size) {
        throw Error(ErrorKind::data, {"token id outside the vocabulary",
                                      {},
                                      "0 to " + std::to_string(vocab_size - 1),
                                      std::to_string(id)});
      }
      ids.push_back(id);
      rows.batch.rows.push_back({chunk.slot, sequence.length + i, id});
    }
    rows.last_of_chunk.push_back(static_cast<std::int64_t>(ids.size()) - 1);
  }
  rows.token_ids = at::tensor(ids, at::kInt);
  return rows;
}

// Logits [rows, vocab] of rows of a pass.
void require_finite(std::span<const float> logits, std::span<const RowPlace> rows) {
  const std::size_t vocab_size = logits.size() / rows.size();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!std::isfinite(logits[i])) {
      throw Error(ErrorKind::data, {"the model computed a logit that is not finite",
                                    "sequence " + std::to_string(rows[i / vocab_size].slot),
                                    {},
                                    std::to_string(logits[i])});
    }
  }
}

// The routers of a shadow, where the products of this module read them.
struct TorchShadow : ShadowRouter {
  std::vector<at::Tensor> layers;  // [n_layers] of [E, hidden]
};

}  // namespace

void observe_router(RouterTap& tap, const RoutingShape& shape, int moe_layer, std::int64_t n_rows,
                    const RouterOutput& routing) {
  const auto weights =
      tap.wants_weights() ? routing.weights.to(at::kCPU, at::kFloat).contiguous() : at::Tensor();
  const auto logits =
      tap.wants_logits() ? routing.logits.to(at::kCPU, at::kFloat).contiguous() : at::Tensor();
  const at::IntArrayRef selected = routing.experts.sizes();
  TORCH_CHECK(selected == at::IntArrayRef({n_rows, shape.top_k}) &&
                  (!weights.defined() || weights.sizes() == selected),
              "router output of MoE layer ", moe_layer, " has shape ", selected);
  TORCH_CHECK(!logits.defined() || logits.sizes() == at::IntArrayRef({n_rows, shape.n_experts}));
  const auto n_selected = static_cast<std::size_t>(n_rows * shape.top_k);
  RouterBatch batch{moe_layer,
                    n_rows,
                    shape.n_experts,
                    shape.top_k,
                    {routing.experts.data_ptr<ExpertId>(), n_selected},
                    {},
                    {}};
  if (weights.defined()) batch.weights = {weights.data_ptr<float>(), n_selected};
  if (logits.defined())
    batch.logits = {logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())};
  for (const float weight : batch.weights) {
    if (!std::isfinite(weight)) {
      throw Error(ErrorKind::data, {"a router weight is not finite",
                                    "MoE layer " + std::to_string(moe_layer),
                                    {},
                                    std::to_string(weight)});
    }
  }
  tap.on_router(batch);
}

TorchModel::TorchModel(ModelConfig config, Decoder decoder, at::ScalarType dtype,
                       const at::Device& device, int n_threads, const kernels::KernelSet* set)
    : config_(std::move(config)),
      decoder_(std::move(decoder)),
      dtype_(dtype),
      device_(device),
      n_threads_(n_threads),
      set_(set) {}

std::unique_ptr<Session> TorchModel::new_session(std::span<const std::int64_t> capacities) {
  return with_translated_errors("make room for a batch", [&] {
    return std::make_unique<TorchSession>(decoder_.spec, config_.max_position_embeddings,
                                          capacities, at::TensorOptions(dtype_).device(device_));
  });
}

std::vector<float> TorchModel::forward(Session& session, std::span<const SequenceChunk> chunks,
                                       const Passage& passage) {
  return with_translated_errors("run the model",
                                [&] { return run_pass(session, chunks, passage); });
}

std::unique_ptr<ShadowRouter> TorchModel::prepare_shadow(const ShadowWeights& weights) {
  return with_translated_errors("prepare a shadow router", [&] {
    const RoutingShape shape = config_.routing_shape();
    const std::vector<std::int64_t> expected{shape.n_experts, config_.spec.hidden_size};
    auto router = std::make_unique<TorchShadow>();
    for (const TensorView& view : weights.layers) {
      if (view.shape != expected) break;
      router->layers.push_back(loaded_matrix(view, dtype_, device_));
    }
    if (std::ssize(router->layers) != shape.n_layers ||
        std::ssize(weights.layers) != shape.n_layers) {
      throw Error(ErrorKind::data,
                  {"the weights of a shadow router do not fit the model",
                   {},
                   std::to_string(shape.n_layers) + " matrices of " + std::to_string(expected[0]) +
                       " x " + std::to_string(expected[1]),
                   std::to_string(router->layers.size()) + " that do"});
    }
    return router;
  });
}

void TorchModel::check_shadows(std::span<const Shadow> shadows) const {
  const RoutingShape shape = config_.routing_shape();
  const auto n_biases =
      static_cast<std::size_t>(shape.n_layers) * static_cast<std::size_t>(shape.n_experts);
  for (const Shadow& shadow : shadows) {
    if (dynamic_cast<const TorchShadow*>(shadow.router) == nullptr ||
        (!shadow.biases.empty() && shadow.biases.size() != n_biases)) {
      throw Error(ErrorKind::data,
                  "a shadow has no router of this model, or biases that do not fit");
    }
  }
}

void TorchModel::observe_shadows(const Passage& passage, int moe_layer, const at::Tensor& h,
                                 const RouterOutput& own, Ops& ops) const {
  const RouterSpec& rule = decoder_.spec.router();
  const RoutingShape shape = config_.routing_shape();
  const auto layer = static_cast<std::size_t>(moe_layer),
             n_experts = static_cast<std::size_t>(shape.n_experts);
  const auto own_experts = rows_of<ExpertId>(own.experts, 0, h.size(0));
  const std::span<const Shadow> shadows = passage.shadows;
  for (std::size_t first = 0, end = 0; first < shadows.size(); first = end) {
    std::vector<at::Tensor> routers;
    std::vector<std::int64_t> router_of;  // [end − first]
    for (end = first; end < shadows.size(); ++end) {
      if (end == first || shadows[end].router != shadows[end - 1].router) {
        if (routers.size() == max_routers_at_once) break;
        routers.push_back(dynamic_cast<const TorchShadow&>(*shadows[end].router).layers[layer]);
      }
      router_of.push_back(std::ssize(routers) - 1);
    }
    const at::Tensor logits = ops.linear_each(h, routers).to(at::kCPU);
    const auto observe = [&](const Shadow& shadow, std::size_t index) {
      const auto own_logits = logits[router_of[index - first]];
      std::span<const float> biases;
      if (!shadow.biases.empty()) biases = shadow.biases.subspan(layer * n_experts, n_experts);
      if (passage.fit_biases && !biases.empty()) {
        const auto values = own_logits.to(at::kFloat).contiguous();
        passage.fit_biases(index, moe_layer, own_experts, rows_of<float>(values, 0, h.size(0)));
      }
      if (shadow.tap == nullptr) return;
      const auto routing = biases.empty()
                               ? InferenceOps::choose(rule, own_logits)
                               : InferenceOps::choose_with_biases(rule, own_logits, biases,
                                                                  shadow.tap->wants_weights());
      observe_router(*shadow.tap, shape, moe_layer, h.size(0), routing);
    };
    at::parallel_for(static_cast<std::int64_t>(first), static_cast<std::int64_t>(end), 1,
                     [&](std::int64_t from, std::int64_t to) {
                       const at::NoGradGuard no_grad;  // grad mode belongs to the thread
                       for (std::int64_t i = from; i < to; ++i) {
                         const auto index = static_cast<std::size_t>(i);
                         observe(shadows[index], index);
                       }
                     });
  }
}

std::vector<float> TorchModel::run_pass(Session& session, std::span<const SequenceChunk> chunks,
                                        const Passage& passage) {
  // A setting of the process, which another model may have changed. Setting it starts libtorch's
  // second pool of threads anew, and those spin at first: a tenth of a decode step.
  if (at::get_num_threads() != n_threads_) at::set_num_threads(n_threads_);
  const at::NoGradGuard no_grad;
  auto& torch_session = dynamic_cast<TorchSession&>(session);
  const Rows rows = lay_out(torch_session, chunks, decoder_.spec.vocab_size);
  const auto n_rows = static_cast<std::int64_t>(rows.batch.rows.size());
  if (n_rows == 0) return {};

  check_shadows(passage.shadows);
  const auto embedded = decoder_.embedding.index_select(0, rows.token_ids.to(device_)).to(dtype_);
  const auto logits_of = [&](Ops& ops, const at::Tensor& h, std::span<const RowPlace> places) {
    const auto logits = decoder_.logits(h, ops).to(at::kCPU, at::kFloat).contiguous();
    std::vector<float> values(logits.data_ptr<float>(), logits.data_ptr<float>() + logits.numel());
    require_finite(values, places);
    return values;
  };
  std::vector<float> result;
  const auto run = [&](auto&& ops) {
    ops.set_policy(passage.policy);
    RouterHook hook;
    if (passage.tap != nullptr || !passage.shadows.empty()) {
      hook = [&](int moe_layer, const at::Tensor& rows_h, const RouterOutput& routing) {
        const RoutingShape shape = config_.routing_shape();
        if (passage.tap != nullptr) {
          observe_router(*passage.tap, shape, moe_layer, n_rows, routing);
        }
        observe_shadows(passage, moe_layer, rows_h, routing, ops);
      };
    }
    const auto h = decoder_.forward(embedded, ops, hook);
    const std::span<const RowPlace> places = rows.batch.rows;
    if (!passage.every_token) {
      std::vector<RowPlace> last;
      for (const std::int64_t row : rows.last_of_chunk) {
        last.push_back(places[static_cast<std::size_t>(row)]);
      }
      result = logits_of(
          ops, h.index_select(0, at::tensor(rows.last_of_chunk, at::kLong).to(device_)), last);
      return;
    }
    for (std::int64_t first = 0; first < n_rows; first += max_logit_rows) {
      const std::int64_t n = std::min(max_logit_rows, n_rows - first);
      passage.every_token(first, logits_of(ops, h.narrow(0, first, n),
                                           places.subspan(static_cast<std::size_t>(first),
                                                          static_cast<std::size_t>(n))));
    }
  };
  if (set_ != nullptr) {
    run(FastOps(torch_session, rows.batch, *set_));
  } else if (device_.is_cpu()) {
    run(CpuOps(torch_session, rows.batch));
  } else {
    run(ReferenceOps(torch_session, rows.batch));
  }
  for (const SequenceChunk& chunk : chunks) {
    torch_session.sequence(chunk.slot).length += static_cast<std::int64_t>(chunk.token_ids.size());
  }
  return result;
}

}  // namespace moexray::torch_runtime
