// Trains the bundled model: text for the tokenizer, training, export. See
// models/mini-olmoe/README.md.

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "corpus.h"
#include "moexray/checkpoint/config.h"
#include "moexray/core/error.h"
#include "moexray/core/version.h"
#include "moexray/runtime/modules.h"

namespace moexray::train {
namespace {

std::atomic<bool> stop_requested{false};

std::atomic<int> stop_signal{SIGINT};

void request_stop(int number) {
  stop_signal = number;
  stop_requested = true;
}

// The text a tokenizer is trained on: every line of every training record, without empty ones.
void write_text(const std::filesystem::path& corpus) {
  for (const std::string& category : categories) {
    for_each_record(corpus, "train", category, [](const CorpusRecord& record) {
      for (std::string_view text :
           {std::string_view(record.prompt), std::string_view(record.text)}) {
        while (!text.empty()) {
          const std::string_view line = text.substr(0, text.find('\n'));
          if (!line.empty()) std::cout << line << '\n';
          text.remove_prefix(std::min(text.size(), line.size() + 1));
        }
      }
    });
  }
  if (!std::cout.flush()) throw Error(ErrorKind::runtime, "cannot write to standard output");
}

Trainer& load_trainer() {
  using TrainerFunction = Trainer* (*)();
  prepare_for_threads();
  return *reinterpret_cast<TrainerFunction>(
      open_module(module_directory(), "moexray_torch.so", "moexray_torch_trainer"))();
}

void append(TokenDocuments& all, const TokenDocuments& more) {
  const auto offset = static_cast<std::int64_t>(all.tokens.size());
  all.tokens.insert(all.tokens.end(), more.tokens.begin(), more.tokens.end());
  for (std::size_t i = 1; i < more.starts.size(); ++i)
    all.starts.push_back(offset + more.starts[i]);
}

void report(const StepReport& step, std::int64_t n_steps) {
  if (step.step % 20 != 0) return;
  const double rate =
      static_cast<double>(step.n_tokens) / static_cast<double>(step.step) / step.seconds;
  std::cerr << "step " << step.step << "/" << n_steps << "  loss " << step.loss << "  balance "
            << step.load_balancing_loss << "  gradient " << step.gradient_norm << "  "
            << static_cast<int>(rate) << " tokens/s  "
            << static_cast<int>(static_cast<double>(n_steps - step.step) * step.seconds / 60)
            << " min left\n";
}

// From here on Ctrl-C saves the state and stops; before, it just ends the program.
void stop_on_signals() {
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
}

void train(const std::filesystem::path& corpus, const std::filesystem::path& model,
           const RecordSelection& selection, TrainingOptions options) {
  const ModelConfig config = read_model_config(model);
  const auto tokenizer = open_tokenizer(model, module_directory());
  TokenDocuments documents;
  std::vector<ValidationSet> validation;
  for (const std::string& category : categories) {
    append(documents, tokenize_records(corpus, "train", category, *tokenizer, selection));
    validation.push_back({category, tokenize_records(corpus, "valid", category, *tokenizer)});
    std::cerr << category << ": " << documents.tokens.size() << " training tokens so far, "
              << validation.back().documents.tokens.size() << " for validation\n";
  }
  stop_on_signals();
  load_trainer().train(
      config, documents, validation, options,
      [&](const StepReport& step) { report(step, options.n_steps); }, stop_requested);
}

int run(int argc, char** argv) {
  CLI::App app{"moexray-train: trains small OLMoE models such as the bundled one"};
  app.set_version_flag("--version", std::string(version()));
  app.require_subcommand(1);
  std::string corpus, model, output;
  RecordSelection selection;
  TrainingOptions options;
  options.state_file = "training-state.safetensors";
  options.log_file = "training-log.jsonl";

  auto* text =
      app.add_subcommand("text", "Write the corpus as lines of text, for training a tokenizer");
  text->add_option("CORPUS", corpus, "Corpus directory")->required();
  text->callback([&] { write_text(corpus); });

  auto* training =
      app.add_subcommand("train", "Train a model; continues from its state file if there is one");
  training->add_option("CORPUS", corpus, "Corpus directory")->required();
  training->add_option("--model", model, "Directory with config.json and the tokenizer")
      ->required();
  training->add_option("--initial", options.initial_checkpoint,
                       "Start from the weights of this checkpoint directory, not from random ones");
  training->add_option("--min-answer", selection.min_answer_bytes,
                       "Use only instructions with answers of at least this many bytes");
  training->add_option("--max-records", selection.max_records,
                       "Use at most this many records a category");
  training->add_option("--state", options.state_file, "Training state, written and continued from")
      ->capture_default_str();
  training->add_option("--log", options.log_file, "Log, JSON Lines")->capture_default_str();
  training->add_option("--steps", options.n_steps)
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--sequences", options.n_sequences, "Sequences a step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--positions", options.n_positions, "Tokens a sequence")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--warmup", options.n_warmup_steps, "Warm-up steps")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--learning-rate", options.learning_rate)
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--weight-decay", options.weight_decay)
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  training
      ->add_option("--load-balancing", options.load_balancing_weight,
                   "Weight of the load-balancing loss")
      ->capture_default_str();
  auto* relaxed = training->add_option("--relaxed-balancing", options.relaxed_balancing_weight,
                                       "The same, after --relax-after steps");
  auto* relax_after = training->add_option("--relax-after", options.relax_balancing_after, "Steps")
                          ->check(CLI::NonNegativeNumber);
  relaxed->needs(relax_after);
  relax_after->needs(relaxed);
  training->add_option("--router-z", options.router_z_weight, "Weight of the router z loss")
      ->capture_default_str();
  training->add_option("--seed", options.seed)->capture_default_str();
  training->add_option("--threads", options.n_threads, "0: all")->capture_default_str();
  training->add_option("--evaluate-every", options.evaluate_every, "Steps")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->add_option("--save-every", options.save_every, "Steps")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  training->callback([&] { train(corpus, model, selection, options); });

  auto* exporting = app.add_subcommand(
      "export", "Write a training state as a Hugging Face checkpoint in bfloat16");
  exporting->add_option("--state", options.state_file)->capture_default_str();
  exporting->add_option("--model", model, "Directory with config.json")->required();
  exporting->add_option("-o,--output", output, "Directory for model.safetensors and config.json")
      ->required();
  exporting->callback([&] {
    load_trainer().export_checkpoint(options.state_file, read_model_config(model), output);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return 0;
}

}  // namespace
}  // namespace moexray::train

int main(int argc, char** argv) {
  try {
    return moexray::train::run(argc, argv);
  } catch (const moexray::Error& error) {
    std::cerr << "moexray-train: " << error.what() << '\n';
    return error.kind() == moexray::ErrorKind::interrupted ? 128 + moexray::train::stop_signal
           : error.kind() == moexray::ErrorKind::usage     ? 2
                                                           : 1;
  } catch (const std::exception& error) {
    std::cerr << "moexray-train: " << error.what() << '\n';
    return 1;
  }
}
