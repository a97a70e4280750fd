#include "traced_batches.h"

#include <fmt/core.h>

#include <atomic>
#include <limits>
#include <numeric>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/runtime/sampling.h"

namespace moexray::bench {
namespace {

TraceManifest manifest_of(const ModelConfig& config, const std::string& kernels,
                          std::vector<std::int64_t> plan) {
  TraceManifest manifest;
  manifest.tool = trace_tool_name();
  manifest.model.name = config.name;
  manifest.model.architecture = config.architecture->name;
  manifest.model.shape = config.routing_shape();
  manifest.model.dtype = "bfloat16";
  manifest.model.moe_layers = config.spec.moe_layers();
  manifest.n_prompts = std::accumulate(plan.begin(), plan.end(), std::int64_t{0});
  manifest.batch = plan.front();
  manifest.plan = std::move(plan);
  manifest.kernels = kernels;
  return manifest;
}

}  // namespace

TracedBatches::TracedBatches(const std::filesystem::path& directory, const ModelConfig& config,
                             const std::string& kernels, std::vector<std::int64_t> plan)
    : directory_(directory) {
  if (std::filesystem::exists(directory)) {
    throw Error(ErrorKind::usage, {"the directory is in the way", directory.string(), {}, {}});
  }
  const TraceManifest manifest = manifest_of(config, kernels, std::move(plan));
  for (std::int64_t i = 0; i < manifest.n_prompts; ++i) {
    Prompt prompt;
    prompt.id = fmt::format("prompt-{}", i);
    prompt.text = "random tokens";
    prompts_.push_back(std::move(prompt));
  }
  writer_ = std::make_unique<TraceWriter>(TraceWriter::create(directory, manifest, false));
}

TracedBatches::~TracedBatches() {
  writer_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TracedBatches::run(Model& model, std::span<const std::span<const TokenId>> prompts,
                        std::int64_t n_new_tokens) {
  GenerationOptions options;
  options.max_new_tokens = n_new_tokens;
  options.eos_token_ids = model.config().eos_token_ids;
  options.ignore_eos = true;
  std::vector<GenerationInput> inputs;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    inputs.push_back({prompts_[n_started_ + i].id, prompts[i]});
  }
  BackgroundWriter background(*writer_);
  const std::atomic<bool> stop = false;
  auto outputs =
      generate(model, inputs, options, stop, [&](TokenType, std::int64_t) { background.check(); });
  std::vector<FinishedPrompt> batch(prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    FinishedPrompt& finished = batch[i];
    finished.prompt = &prompts_[n_started_ + i];
    finished.token_ids.assign(prompts[i].begin(), prompts[i].end());
    finished.token_ids.insert(finished.token_ids.end(), outputs[i].token_ids.begin(),
                              outputs[i].token_ids.end());
    for (const TokenId id : finished.token_ids) finished.tokens.push_back(std::to_string(id));
    finished.n_prompt_tokens = static_cast<std::int64_t>(prompts[i].size());
    finished.n_generated_tokens = std::ssize(outputs[i].token_ids);
    finished.finish_reason = std::move(outputs[i].finish_reason);
    finished.routing = std::move(outputs[i].routing);
  }
  n_started_ += prompts.size();
  background.commit_batch(std::move(batch));
  background.wait();
}

void generate_untraced(Model& model, std::span<const std::span<const TokenId>> prompts,
                       std::int64_t n_new_tokens) {
  const auto n_vocab = static_cast<std::size_t>(model.config().spec.vocab_size);
  std::vector<std::int64_t> capacities;
  std::vector<TokenId> last(prompts.size());
  std::vector<SequenceChunk> chunks;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    capacities.push_back(
        n_forward_tokens(static_cast<std::int64_t>(prompts[i].size()), n_new_tokens));
    chunks.push_back({static_cast<int>(i), prompts[i]});
  }
  const auto session = model.new_session(capacities);
  for (std::int64_t step = 0; step < n_new_tokens; ++step) {
    std::vector<float> logits = model.forward(*session, chunks, {});
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const auto row = std::span(logits).subspan(i * n_vocab, n_vocab);
      for (const TokenId id : model.config().eos_token_ids) {
        row[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
      }
      last[i] = most_probable_token(row);
      chunks[i].token_ids = std::span(last).subspan(i, 1);
    }
  }
}

}  // namespace moexray::bench
