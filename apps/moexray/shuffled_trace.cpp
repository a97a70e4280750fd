#include "shuffled_trace.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "hash_weights.h"
#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/runtime/generate.h"
#include "moexray/runtime/kernels.h"
#include "moexray/runtime/model.h"
#include "moexray/runtime/modules.h"
#include "moexray/runtime/trace_run.h"
#include "moexray/stats/signatures.h"
#include "progress.h"

namespace moexray::app {
namespace {

// Prompts that go through the model at the same time.
constexpr std::size_t batch_size = 16;

struct ShuffledPrompt {
  std::vector<TokenId> ids;
  std::vector<bool> counts;  // what the selection says of each position
};

ShuffledPrompt shuffled_prompt(const stats::RoutedTokens& tokens, std::size_t row,
                               const std::string& id, std::uint64_t seed, int vocab_size) {
  ShuffledPrompt prompt;
  std::vector<std::size_t> free;
  for (const stats::RoutedToken& token : tokens.of_prompt(row)) {
    if (token.type != TokenType::prompt) continue;
    if (token.pos != static_cast<std::int64_t>(prompt.ids.size())) {
      throw Error(ErrorKind::data,
                  {"cannot run the prompts again", "prompt \"" + id + "\"", "every position from 0",
                   "none at " + std::to_string(prompt.ids.size())});
    }
    if (token.id < 0 || token.id >= vocab_size) {
      throw Error(ErrorKind::data, {"cannot run the prompts again", "prompt \"" + id + "\"",
                                    "token ids of the model's vocabulary",
                                    token.id < 0 ? "none recorded" : std::to_string(token.id)});
    }
    if (!token.is_template) free.push_back(prompt.ids.size());
    prompt.ids.push_back(token.id);
    prompt.counts.push_back(token.selected);
  }
  RandomStream random(seed, "shuffled tokens " + id);
  for (std::size_t i = free.size(); i > 1; --i) {
    const std::size_t j = random.below(i);
    std::swap(prompt.ids[free[i - 1]], prompt.ids[free[j]]);
  }
  return prompt;
}

void compare(const TraceSet& traces, const TraceManifest& found) {
  for (std::size_t i = 0; i < traces.manifests.size(); ++i) {
    const auto difference = model_difference(traces.manifests[i], found);
    if (!difference) continue;
    throw Error(ErrorKind::data, {"the trace comes from another model: --model differs in \"" +
                                      difference->key + "\"",
                                  (traces.directories[i] / "manifest.json").string(),
                                  difference->first, difference->second});
  }
}

// The weights are read only where a trace knows those it came from, and nothing else differs.
void check_model(const AnalysisInput& input, const Checkpoint& checkpoint) {
  const TraceSet& traces = input.sides.front().traces;
  if (checkpoint.config().routing_shape() != traces.shape) {
    throw Error(ErrorKind::data, {"the model has other layers and experts than the trace",
                                  checkpoint.config().name,
                                  {},
                                  {}});
  }
  TraceManifest found;
  found.model = manifest_model(checkpoint.config(), checkpoint.router_sha256());
  compare(traces, found);
  const bool is_known = std::any_of(
      traces.manifests.begin(), traces.manifests.end(),
      [](const TraceManifest& manifest) { return !manifest.model.weights_xxh3.empty(); });
  if (!is_known) return;
  found.model.weights_xxh3 =
      hash_weights(checkpoint, input.settings.n_threads, false, *input.console);
  compare(traces, found);
}

// The kernels that the trace was made with, where they run here; else the best.
std::string kernels_of(const TraceManifest& manifest) {
  return kernels_run_here(manifest.kernels) ? manifest.kernels : "fast";
}

// Counts the routing of a prompt's selected tokens.
void count_selected(const RoutingBuffer& routing, const ShuffledPrompt& prompt, std::size_t row,
                    stats::SignatureAccumulator& signatures) {
  for (std::size_t pos = 0; pos < prompt.counts.size(); ++pos) {
    if (!prompt.counts[pos]) continue;
    for (int layer = 0; layer < routing.shape().n_layers; ++layer) {
      const auto chosen = routing.experts(layer, static_cast<std::int64_t>(pos));
      const std::vector<ExpertId> experts(chosen.begin(), chosen.end());
      RoutingRecord record;
      record.layer = layer;
      record.pos = static_cast<std::int64_t>(pos);
      record.experts = experts;
      signatures.add(row, record);
    }
  }
}

}  // namespace

stats::Matrix shuffled_signatures(const AnalysisInput& input,
                                  const std::filesystem::path& model_directory) {
  const Checkpoint checkpoint(find_checkpoint(model_directory));
  check_model(input, checkpoint);
  const stats::Signatures& signatures = input.sides.front().signatures;
  std::vector<ShuffledPrompt> prompts;
  std::int64_t n_tokens = 0;
  for (std::size_t row = 0; row < signatures.size(); ++row) {
    prompts.push_back(shuffled_prompt(input.sides.front().tokens, row, signatures.ids[row],
                                      input.settings.seed, checkpoint.config().spec.vocab_size));
    n_tokens += static_cast<std::int64_t>(prompts.back().ids.size());
  }
  // As the trace was made: only the order of the tokens is to differ.
  const TraceManifest& manifest = input.sides.front().traces.manifests.front();
  const std::string& dtype = manifest.model.dtype;
  const auto model = load_runtime().load(
      checkpoint,
      {dtype.empty() ? "bfloat16" : dtype, "cpu", input.settings.n_threads, kernels_of(manifest)});
  GenerationOptions options;
  options.max_new_tokens = 0;
  Progress progress(*input.console, "shuffled prompts", n_tokens, "tokens");
  std::vector<stats::PromptLabel> labels;
  for (const std::string& id : signatures.ids) labels.push_back({id, {}});
  stats::SignatureAccumulator shuffled(signatures.shape, std::move(labels), {});
  for (std::size_t first = 0; first < prompts.size(); first += batch_size) {
    const std::size_t last = std::min(first + batch_size, prompts.size());
    std::vector<GenerationInput> batch;
    for (std::size_t i = first; i < last; ++i) {
      batch.push_back({signatures.ids[i], prompts[i].ids});
    }
    const auto outputs =
        generate(*model, batch, options, *input.stop,
                 [&](TokenType, std::int64_t n) { progress.update(progress.done() + n); });
    for (std::size_t i = first; i < last; ++i) {
      count_selected(outputs[i - first].routing, prompts[i], i, shuffled);
    }
  }
  return std::move(shuffled).finish().values;
}

}  // namespace moexray::app
