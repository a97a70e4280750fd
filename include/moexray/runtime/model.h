#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/core/routing.h"
#include "moexray/routing/policy.h"

namespace moexray {

/// What the routers of one MoE layer decided for the rows of one forward pass, after a routing
/// policy had its say. Rows are the tokens of the pass's chunks, in order. Spans are valid only
/// during the call.
struct RouterBatch {
  int layer = 0;  ///< MoE layer, from 0
  std::int64_t n_rows = 0;
  int n_experts = 0;
  int top_k = 0;
  std::span<const ExpertId> experts;  ///< [n_rows, top_k], highest in the choice first (ties: lower
                                      ///< id first), as a policy left them
  std::span<const float> weights;     ///< [n_rows, top_k], as the model applies them; empty unless
                                      ///< asked for
  std::span<const float> logits;  ///< [n_rows, n_experts] of the router itself, before the softmax
                                  ///< and before a policy; empty unless asked for
};

/// Observes the routers of a model: the one way by which routing leaves the runtime. The model
/// calls it once per MoE layer and forward pass, layers in order, with spans whose sizes it has
/// checked.
class RouterTap {
 public:
  virtual ~RouterTap() = default;
  virtual bool wants_logits() const { return false; }
  virtual bool wants_weights() const { return true; }
  virtual void on_router(const RouterBatch& batch) = 0;
};

/// Tokens of one sequence that go through a forward pass together. They continue the sequence that
/// the slot holds.
struct SequenceChunk {
  int slot = 0;
  std::span<const TokenId> token_ids;
};

/// Rows of logits that are computed, and kept, at a time.
inline constexpr std::int64_t max_logit_rows = 256;

/// Takes logits [rows, vocab_size] of consecutive rows of a pass, the first of them `first_row`.
/// The span is valid only during the call.
using LogitsSink = std::function<void(std::int64_t first_row, std::span<const float> logits)>;

/// The weights of a router that watches a model beside the model's own, as a checkpoint would hold
/// them: one matrix [E, hidden] for each MoE layer.
struct ShadowWeights {
  std::vector<TensorView> layers;  ///< [n_layers]; their bytes must outlive what is made of them
};

/// Such a router, made ready by a model for its own passes.
class ShadowRouter {
 public:
  virtual ~ShadowRouter() = default;
};

/// A router that hears what the model's own hears, in the type and by the products that the model
/// computes its own logits with, and chooses by the model's rule. It changes nothing: what computes
/// are the experts of the model's router, or those of a policy, which shadows do not know of.
struct Shadow {
  /// Of neighbours in a list with the same router the product is computed once.
  const ShadowRouter* router = nullptr;
  /// [n_layers, n_experts], added to the logits for the choice, not for the weights; empty: none.
  std::span<const float> biases = {};
  /// Called at each layer behind the model's own tap; null: nobody looks on. Its logits are without
  /// the biases. Those of different shadows are called at the same time.
  RouterTap* tap = nullptr;
};

/// Fits the biases of a shadow at a layer to the tokens that go through it: writes them to where
/// Shadow::biases shows. `shadow` is the shadow's place in the passage, `own` [n_rows, top_k] what
/// the model's own router chose (under a policy), `logits` [n_rows, n_experts] the shadow's.
using BiasFit = std::function<void(std::size_t shadow, int layer, std::span<const ExpertId> own,
                                   std::span<const float> logits)>;

/// How tokens go through a model: who looks on, who interferes, and which logits are wanted.
struct Passage {
  RouterTap* tap = nullptr;               ///< null: nobody looks on
  const RoutingPolicy* policy = nullptr;  ///< null: the routers decide
  /// Takes the logits of every token, in order, in blocks of at most max_logit_rows rows; empty:
  /// only those of each chunk's last token are computed.
  LogitsSink every_token = {};
  std::span<const Shadow> shadows = {};
  /// Called at each layer for each shadow with biases, before it chooses; for different shadows at
  /// the same time. Empty: the biases are there already.
  BiasFit fit_biases = {};
};

/// The key-value cache of several sequences.
class Session {
 public:
  virtual ~Session() = default;
  virtual std::int64_t length(int slot) const = 0;  ///< tokens held
};

/// A loaded model. One thread uses it at a time; it computes with the threads it was loaded with.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  /// A cache for `capacities.size()` sequences; sequence i can grow to `capacities[i]` tokens.
  virtual std::unique_ptr<Session> new_session(std::span<const std::int64_t> capacities) = 0;
  /// Runs the chunks (each slot at most once, none empty) through the model as one ragged batch.
  /// Returns the logits of each chunk's last token, [chunks, vocab_size], or nothing where those of
  /// every token went to the passage's sink.
  /// @throws Error (data) for ids outside the vocabulary, a full slot, or logits that are not
  /// finite, or shadows that another model made ready; as select_under_policy() does for a policy;
  /// and what taps and sink throw. The session is then as it was.
  virtual std::vector<float> forward(Session& session, std::span<const SequenceChunk> chunks,
                                     const Passage& passage) = 0;
  /// @throws Error (data) unless there is a matrix [E, hidden] for each MoE layer.
  virtual std::unique_ptr<ShadowRouter> prepare_shadow(const ShadowWeights& weights) = 0;
};

struct ModelOptions {
  std::string dtype = "bfloat16";  ///< of the computation: bfloat16 or float32
  std::string device = "cpu";      ///< cpu, cuda or cuda:N
  int n_threads = 0;               ///< 0: all this process may use
  /// "fast": bfloat16 on the CPU runs on the best of moexray's own products; "plain": on
  /// libtorch's; or one of kernel_names(). See kernels_in_use() of kernels.h for what comes of it.
  std::string kernels = "fast";
};

/// Facts about a runtime that decide whether two runs can give the same bytes.
struct RuntimeInfo {
  std::string backend;  ///< "libtorch 1.13.1"
  std::string blas;     ///< the BLAS library in use, as it names itself
  bool is_reference_blas = false;
  std::string instruction_set;  ///< "amx_bf16", "avx512_bf16", "avx512", "avx2" or "portable"
};

/// What the libtorch module offers; obtained through load_runtime().
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual RuntimeInfo info() const = 0;
  /// Whether load() could run a model so: the device and the type are there.
  /// @throws Error as load() does.
  virtual void check(const ModelOptions& options) const = 0;
  /// Loads a checkpoint, which must outlive the model (its mapped weights are used where they are).
  virtual std::unique_ptr<Model> load(const Checkpoint& checkpoint,
                                      const ModelOptions& options) = 0;
};

}  // namespace moexray
