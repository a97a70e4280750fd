#include "trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "../loader.h"
#include "../memory.h"
#include "../translate_errors.h"
#include "batches.h"
#include "evaluate.h"
#include "gradients.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/sha256.h"
#include "moexray/core/system.h"
#include "training_log.h"
#include "training_state.h"

namespace moexray::torch_runtime {
namespace {

using Json = nlohmann::ordered_json;

// What the exported checkpoint will say of itself.
Json config_json(ModelConfig config) {
  config.dtype = "bfloat16";
  return Json::parse(olmoe_config_json(config));
}

// Everything that decides what the parameters become, the number of threads aside.
RunDescription describe(const ModelConfig& config, const TokenDocuments& documents,
                        const TrainingOptions& options) {
  const auto tokens = std::as_bytes(std::span(documents.tokens));
  return Json{
      {"config", config_json(config)},
      {"n_documents", documents.starts.size() - 1},
      {"n_tokens", documents.tokens.size()},
      {"tokens_sha256", sha256_hex({reinterpret_cast<const char*>(tokens.data()), tokens.size()})},
      {"n_steps", options.n_steps},
      {"n_sequences", options.n_sequences},
      {"n_positions", options.n_positions},
      {"n_warmup_steps", options.n_warmup_steps},
      {"learning_rate", options.learning_rate},
      {"final_rate_share", options.final_rate_share},
      {"weight_decay", options.weight_decay},
      {"beta1", options.beta1},
      {"beta2", options.beta2},
      {"epsilon", options.epsilon},
      {"max_gradient_norm", options.max_gradient_norm},
      {"load_balancing_weight", options.load_balancing_weight},
      {"relaxed_balancing_weight",
       options.relaxed_balancing_weight ? Json(*options.relaxed_balancing_weight) : Json()},
      {"relax_balancing_after", options.relax_balancing_after},
      {"router_z_weight", options.router_z_weight},
      {"seed", options.seed},
      {"initial_router_sha256", nullptr}};  // of the checkpoint the weights come from
}

// Linear warm-up to the full rate, then half a cosine down to `final_rate_share` of it.
double learning_rate(const TrainingOptions& options, std::int64_t step) {
  if (step <= options.n_warmup_steps) {
    return options.learning_rate * static_cast<double>(step) /
           static_cast<double>(options.n_warmup_steps);
  }
  const double progress =
      static_cast<double>(step - options.n_warmup_steps) /
      static_cast<double>(std::max<std::int64_t>(1, options.n_steps - options.n_warmup_steps));
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return options.learning_rate *
         (options.final_rate_share + (1 - options.final_rate_share) * cosine);
}

// What the loops below take for granted.
void check(const ModelConfig& config, const TokenDocuments& documents,
           const TrainingOptions& options) {
  if (options.n_steps < 1 || options.n_sequences < 1 || options.n_sequences > 1 << 20 ||
      options.n_positions < 1 || options.evaluate_every < 1 || options.save_every < 1 ||
      options.n_warmup_steps < 1) {
    throw Error(ErrorKind::usage, "a count of the training options is not positive or too large");
  }
  if (options.n_positions > config.max_position_embeddings) {
    throw Error(ErrorKind::data, {"sequences longer than the model's context", "--positions",
                                  "at most " + std::to_string(config.max_position_embeddings),
                                  std::to_string(options.n_positions)});
  }
  for (const TokenId id : documents.tokens) {
    if (id < 0 || id >= config.spec.vocab_size) {
      throw Error(ErrorKind::data,
                  {"token id outside the model's vocabulary", "config.json: key \"vocab_size\"",
                   "ids below " + std::to_string(config.spec.vocab_size), std::to_string(id)});
    }
  }
}

// A log without the state it belongs to may be all that is left of a run.
void refuse_orphaned_log(const TrainingOptions& options) {
  std::error_code code;
  if (!std::filesystem::exists(options.state_file) &&
      std::filesystem::file_size(options.log_file, code) > 0 && !code) {
    throw Error(ErrorKind::data, {"a log without its training state",
                                  options.log_file.string(),
                                  "the state " + options.state_file.string() + ", or no log",
                                  {}});
  }
}

class TrainingRun {
 public:
  TrainingRun(const ModelConfig& config, const TokenDocuments& documents,
              const TrainingOptions& options)
      : options_(options),
        parameters_(make_parameters(config, options.seed)),
        optimiser_{at::zeros_like(parameters_.values), at::zeros_like(parameters_.values)},
        table_(make_rotary_table(config.spec.layers.front().attention.rotary, options.n_positions)),
        stream_(documents, options.n_positions, options.seed),
        description_(describe(config, documents, options)) {
    if (!options.initial_checkpoint.empty()) start_from(options.initial_checkpoint);
    if (std::filesystem::exists(options.state_file)) {
      step_ = load_training_state(options.state_file, parameters_, optimiser_, description_);
      stream_.seek(step_ * options.n_sequences);
    }
  }

  std::int64_t step() const { return step_; }
  std::int64_t n_tokens() const { return step_ * options_.n_sequences * options_.n_positions; }

  StepReport train_step() {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t B = options_.n_sequences, T = options_.n_positions;
    auto inputs = at::empty({B * T}, at::kInt), targets = at::empty({B * T}, at::kInt);
    for (std::int64_t b = 0; b < B; ++b) {
      stream_.next(inputs.data_ptr<TokenId>() + b * T, targets.data_ptr<TokenId>() + b * T);
    }
    parameters_.gradients.zero_();
    const bool relaxed =
        options_.relaxed_balancing_weight && step_ >= options_.relax_balancing_after;
    const RouterLosses losses{
        relaxed ? *options_.relaxed_balancing_weight : options_.load_balancing_weight,
        options_.router_z_weight / parameters_.config.routing_shape().n_layers};
    TrainingOps ops(table_, {B, T}, losses);
    const auto h =
        parameters_.model.forward(parameters_.model.embedding.index_select(0, inputs), ops, {});
    const auto loss = cross_entropy(h, parameters_.model.head, targets);
    loss.backward();

    ++step_;
    StepReport report{step_,
                      n_tokens(),
                      learning_rate(options_, step_),
                      loss.item<double>(),
                      ops.load_balancing_loss(),
                      parameters_.gradients.norm().item<double>(),
                      0};
    if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
      throw Error(ErrorKind::data, "training diverged at step " + std::to_string(step_) +
                                       ": loss or gradient is not finite");
    }
    const double scale = std::min(1.0, options_.max_gradient_norm / (report.gradient_norm + 1e-6));
    optimiser_.update(parameters_.values, parameters_.gradients, step_,
                      {report.learning_rate, options_.beta1, options_.beta2, options_.epsilon,
                       options_.weight_decay, scale, parameters_.n_matrices});
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
  }

  Evaluation evaluate(const std::vector<ValidationSet>& validation,
                      std::int64_t max_windows) const {
    return torch_runtime::evaluate(parameters_.model, table_, validation, options_, max_windows);
  }

  void save() const {
    save_training_state(options_.state_file, parameters_, optimiser_, step_, description_);
  }

 private:
  void start_from(const std::filesystem::path& directory) {
    const Checkpoint checkpoint(directory);
    const auto wanted = config_json(parameters_.config), found = config_json(checkpoint.config());
    if (wanted != found) {
      throw Error(ErrorKind::data, {"the initial weights belong to another config",
                                    directory.string(), wanted.dump(), found.dump()});
    }
    const at::NoGradGuard no_grad;
    for (NamedTensor& named : named_tensors(parameters_)) {
      named.tensor.copy_(mapped_tensor(checkpoint.tensor(named.name)));
    }
    description_["initial_router_sha256"] = checkpoint.router_sha256();
  }

  const TrainingOptions& options_;
  Parameters parameters_;
  AdamW optimiser_;
  RotaryTable table_;
  WindowStream stream_;
  RunDescription description_;
  std::int64_t step_ = 0;
};

class TorchTrainer : public Trainer {
 public:
  void train(const ModelConfig& config, const TokenDocuments& documents,
             const std::vector<ValidationSet>& validation, const TrainingOptions& options,
             const std::function<void(const StepReport&)>& on_step,
             const std::atomic<bool>& stop) override {
    check(config, documents, options);
    for (const ValidationSet& set : validation) check(config, set.documents, options);
    refuse_orphaned_log(options);
    with_translated_errors("train",
                           [&] { run(config, documents, validation, options, on_step, stop); });
  }

  void export_checkpoint(const std::filesystem::path& state_file, const ModelConfig& config,
                         const std::filesystem::path& directory) override {
    with_translated_errors("export", [&] { write_checkpoint(state_file, config, directory); });
  }

 private:
  static void run(const ModelConfig& config, const TokenDocuments& documents,
                  const std::vector<ValidationSet>& validation, const TrainingOptions& options,
                  const std::function<void(const StepReport&)>& on_step,
                  const std::atomic<bool>& stop) {
    keep_freed_memory();
    at::set_num_threads(options.n_threads > 0 ? options.n_threads : available_threads());
    TrainingRun training(config, documents, options);
    TrainingLog log(options.log_file, training.step());
    constexpr auto everything = std::numeric_limits<std::int64_t>::max();
    while (training.step() < options.n_steps && !stop) {
      const StepReport report = training.train_step();
      log.write_step(report);
      on_step(report);
      const bool last = report.step == options.n_steps;
      if (last || report.step % options.evaluate_every == 0) {
        log.write_evaluation(
            report.step, training.n_tokens(),
            training.evaluate(validation, last ? everything : options.n_validation_windows));
      }
      if (last || report.step % options.save_every == 0) training.save();
    }
    if (training.step() < options.n_steps) {
      training.save();
      throw Error(ErrorKind::interrupted, "stopped at step " + std::to_string(training.step()) +
                                              "; the same command continues from " +
                                              options.state_file.string());
    }
  }

  static void write_checkpoint(const std::filesystem::path& state_file, const ModelConfig& config,
                               const std::filesystem::path& directory) {
    const at::NoGradGuard no_grad;
    Parameters parameters = make_parameters(config, 0);
    AdamW optimiser{at::zeros_like(parameters.values), at::zeros_like(parameters.values)};
    load_training_state(state_file, parameters, optimiser, {{"config", config_json(config)}});
    std::vector<at::Tensor> kept;
    std::vector<TensorToWrite> tensors;
    for (const NamedTensor& named : named_tensors(parameters)) {
      kept.push_back(named.tensor.to(at::kBFloat16).contiguous());
      const auto* bytes = static_cast<const std::byte*>(kept.back().data_ptr());
      tensors.push_back(
          {named.name, "BF16", named.tensor.sizes().vec(), {bytes, kept.back().nbytes()}});
    }
    std::error_code code;
    std::filesystem::create_directories(directory, code);
    if (code) {
      throw Error(ErrorKind::runtime,
                  {"cannot make the directory", directory.string(), {}, code.message()});
    }
    write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}});
    write_file_atomically(directory / "config.json", config_json(config).dump(2) + "\n");
  }
};

}  // namespace

Trainer& trainer() {
  static TorchTrainer instance;
  return instance;
}

}  // namespace moexray::torch_runtime
