#include "trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "../memory.h"
#include "batches.h"
#include "evaluate.h"
#include "gradients.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/system.h"
#include "training_log.h"
#include "training_state.h"

namespace moexray::torch_runtime {
namespace {

using Json = nlohmann::ordered_json;

Json config_json(const ModelConfig& config) {
  return {
      {"architectures", {"OlmoeForCausalLM"}},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"bos_token_id", config.bos_token_id ? Json(*config.bos_token_id) : Json()},
      {"clip_qkv", config.clip_qkv ? Json(*config.clip_qkv) : Json()},
      {"eos_token_id", config.eos_token_ids.empty() ? Json() : Json(config.eos_token_ids.front())},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"initializer_range", 0.02},
      {"intermediate_size", config.intermediate_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"model_type", "olmoe"},
      {"norm_topk_prob", config.norm_topk_prob},
      {"num_attention_heads", config.num_attention_heads},
      {"num_experts", config.num_experts},
      {"num_experts_per_tok", config.num_experts_per_tok},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_key_value_heads", config.num_key_value_heads},
      {"output_router_logits", false},
      {"pad_token_id", config.pad_token_id ? Json(*config.pad_token_id) : Json()},
      {"rms_norm_eps", config.rms_norm_eps},
      {"rope_scaling", nullptr},
      {"rope_theta", config.rope_theta},
      {"router_aux_loss_coef", 0.01},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"torch_dtype", "bfloat16"},
      {"use_cache", true},
      {"vocab_size", config.vocab_size}};
}

// Everything that decides what the parameters become, the number of threads aside.
std::string fingerprint(const ModelConfig& config, const TokenDocuments& documents,
                        const TrainingOptions& options) {
  return Json{{"config", config_json(config)},
              {"n_documents", documents.starts.size() - 1},
              {"n_tokens", documents.tokens.size()},
              {"n_steps", options.n_steps},
              {"n_sequences", options.n_sequences},
              {"n_positions", options.n_positions},
              {"n_warmup_steps", options.n_warmup_steps},
              {"learning_rate", options.learning_rate},
              {"final_rate_share", options.final_rate_share},
              {"weight_decay", options.weight_decay},
              {"beta1", options.beta1},
              {"beta2", options.beta2},
              {"max_gradient_norm", options.max_gradient_norm},
              {"load_balancing_weight", options.load_balancing_weight},
              {"relaxed_balancing_weight", options.relaxed_balancing_weight},
              {"relax_balancing_after", options.relax_balancing_after},
              {"router_z_weight", options.router_z_weight},
              {"seed", options.seed}}
      .dump();
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

class TrainingRun {
 public:
  TrainingRun(const ModelConfig& config, const TokenDocuments& documents,
              const TrainingOptions& options)
      : options_(options),
        parameters_(make_parameters(config, options.seed)),
        optimiser_{at::zeros_like(parameters_.values), at::zeros_like(parameters_.values)},
        table_(make_rotary_table(config)),
        stream_(documents, options.n_positions, options.seed),
        fingerprint_(fingerprint(config, documents, options)) {
    if (std::filesystem::exists(options.state_file)) {
      step_ = load_training_state(options.state_file, parameters_, optimiser_, fingerprint_);
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
    const bool relaxed = step_ >= options_.relax_balancing_after;
    const RouterLosses losses{
        relaxed ? options_.relaxed_balancing_weight : options_.load_balancing_weight,
        options_.router_z_weight / parameters_.model.config.num_hidden_layers};
    TrainingOps ops(parameters_.model.config, table_, {B, T}, losses);
    const auto h =
        parameters_.model.forward(parameters_.model.embed_tokens.index_select(0, inputs), ops, {});
    const auto loss = cross_entropy(h, parameters_.model.lm_head, targets);
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
    save_training_state(options_.state_file, parameters_, optimiser_, step_, fingerprint_);
  }

 private:
  const TrainingOptions& options_;
  Parameters parameters_;
  AdamW optimiser_;
  RotaryTable table_;
  WindowStream stream_;
  std::string fingerprint_;
  std::int64_t step_ = 0;
};

class TorchTrainer : public Trainer {
 public:
  void train(const ModelConfig& config, const TokenDocuments& documents,
             const std::vector<ValidationSet>& validation, const TrainingOptions& options,
             const std::function<void(const StepReport&)>& on_step,
             const std::atomic<bool>& stop) override {
    keep_freed_memory();
    at::set_num_threads(options.n_threads > 0 ? options.n_threads : available_threads());
    TrainingRun run(config, documents, options);
    TrainingLog log(options.log_file, run.step());
    constexpr auto everything = std::numeric_limits<std::int64_t>::max();
    while (run.step() < options.n_steps && !stop) {
      const StepReport report = run.train_step();
      log.write_step(report);
      on_step(report);
      const bool last = report.step == options.n_steps;
      if (last || report.step % options.evaluate_every == 0) {
        log.write_evaluation(
            report.step, run.n_tokens(),
            run.evaluate(validation, last ? everything : options.n_validation_windows));
      }
      if (last || report.step % options.save_every == 0) run.save();
    }
    if (run.step() < options.n_steps) {
      run.save();
      throw Error(ErrorKind::interrupted, "stopped at step " + std::to_string(run.step()) +
                                              "; the same command continues from " +
                                              options.state_file.string());
    }
  }

  void export_checkpoint(const std::filesystem::path& state_file, const ModelConfig& config,
                         const std::filesystem::path& directory) override {
    const at::NoGradGuard no_grad;
    Parameters parameters = make_parameters(config, 0);
    AdamW optimiser{at::zeros_like(parameters.values), at::zeros_like(parameters.values)};
    load_training_state(state_file, parameters, optimiser, {});
    std::vector<at::Tensor> kept;
    std::vector<TensorToWrite> tensors;
    for (const NamedTensor& named : named_tensors(parameters.model)) {
      kept.push_back(named.tensor.to(at::kBFloat16).contiguous());
      const auto* bytes = static_cast<const std::byte*>(kept.back().data_ptr());
      tensors.push_back(
          {named.name, "BF16", named.tensor.sizes().vec(), {bytes, kept.back().nbytes()}});
    }
    std::filesystem::create_directories(directory);
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
