#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moexray/checkpoint/config.h"
#include "moexray/core/routing.h"

namespace moexray {

/// Token sequences, one after the other: document i is tokens[starts[i] … starts[i + 1]).
struct TokenDocuments {
  std::vector<TokenId> tokens;
  std::vector<std::int64_t> starts = {0};  ///< [documents + 1]
};

struct ValidationSet {
  std::string category;
  TokenDocuments documents;
};

struct TrainingOptions {
  std::int64_t n_steps = 4000;
  std::int64_t n_sequences = 16;      ///< sequences a step
  std::int64_t n_positions = 256;     ///< tokens a sequence
  std::int64_t n_warmup_steps = 150;  ///< linear warm-up, then cosine decay to `final_rate_share`
  double learning_rate = 3e-3;
  double final_rate_share = 0.02;
  double weight_decay = 0.1;  ///< on matrices; not on norms
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double max_gradient_norm = 1.0;
  double load_balancing_weight =
      0.01;  ///< of E · Σ_e f_e P_e, summed over layers (1 a layer when uniform)
  /// The same after `relax_balancing_after` steps, when every expert is alive and may specialise
  /// further; nothing: it stays as it is.
  std::optional<double> relaxed_balancing_weight;
  std::int64_t relax_balancing_after = 0;
  double router_z_weight =
      0.001;  ///< of the mean squared log-partition of the router, mean over layers
  std::uint64_t seed = 1;
  int n_threads = 0;                  ///< 0: all this process may use
  std::int64_t evaluate_every = 250;  ///< steps
  std::int64_t n_validation_windows =
      32;                         ///< a category and evaluation; the last one uses everything
  std::int64_t save_every = 250;  ///< steps
  std::filesystem::path initial_checkpoint;  ///< where the weights start; empty: random
  std::filesystem::path state_file;          ///< safetensors; continued from if it exists
  std::filesystem::path log_file;  ///< JSON Lines; lines after the state's step are cut on resume
};

struct StepReport {
  std::int64_t step = 0;
  std::int64_t n_tokens = 0;  ///< seen so far
  double learning_rate = 0;
  double loss = 0;                 ///< cross-entropy in nats a token
  double load_balancing_loss = 0;  ///< mean over layers; 1 when uniform
  double gradient_norm = 0;
  double seconds = 0;  ///< of this step
};

/// Trains OLMoE models: the torch module's entry point `moexray_torch_trainer`.
class Trainer {
 public:
  virtual ~Trainer() = default;
  /// Trains from random weights, those of a checkpoint, or the state file if there is one, until
  /// `n_steps` or `stop`; the state is saved either way, and a run that was stopped continues as if
  /// it had not been. Model parameters, optimiser moments and the place in the data are all of the
  /// state: every random choice is a function of the seed and the step.
  /// @throws Error (data) if the state file belongs to another config or other options.
  virtual void train(const ModelConfig& config, const TokenDocuments& documents,
                     const std::vector<ValidationSet>& validation, const TrainingOptions& options,
                     const std::function<void(const StepReport&)>& on_step,
                     const std::atomic<bool>& stop) = 0;
  /// Writes the parameters of a state file as `DIRECTORY/model.safetensors` in bfloat16, in the
  /// layout of Hugging Face, with a config.json.
  /// @throws Error (data) if the state was trained with another config.
  virtual void export_checkpoint(const std::filesystem::path& state_file, const ModelConfig& config,
                                 const std::filesystem::path& directory) = 0;
};

}  // namespace moexray
