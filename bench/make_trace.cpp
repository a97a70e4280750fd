// Writes a made-up trace of any size, for measuring what reads and analyses it:
//   make_trace DIR [PROMPTS [TOKENS [SEED]]]
// 16 layers × 64 experts, top-8; four categories, each with its own taste in experts; TOKENS a
// prompt, give or take a half, of 5,000 types. 10,000 prompts of 42 tokens are about 1 GB of
// events. Another SEED is another routing of the same tokens.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <numeric>

#include "moexray/core/random.h"
#include "moexray/trace/writer.h"

namespace moexray {
namespace {

constexpr RoutingShape shape{16, 64, 8};
constexpr std::size_t n_categories = 4;
constexpr std::size_t batch_size = 100;

// Cumulative shares of the experts, [categories][layers · E].
std::vector<std::vector<double>> make_tastes() {
  RandomStream random(1, "tastes");
  std::vector<std::vector<double>> tastes(n_categories);
  for (auto& taste : tastes) {
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      double sum = 0;
      for (int e = 0; e < shape.n_experts; ++e) {
        sum += std::exp(0.7 * random.normal());
        taste.push_back(sum);
      }
    }
  }
  return tastes;
}

// k distinct experts, drawn one after another by their shares.
void draw_experts(const double* cumulative, RandomStream& random, std::vector<ExpertId>& experts) {
  experts.clear();
  while (experts.size() < static_cast<std::size_t>(shape.top_k)) {
    const double* end = cumulative + shape.n_experts;
    const auto e = static_cast<ExpertId>(
        std::upper_bound(cumulative, end - 1, random.uniform() * end[-1]) - cumulative);
    if (std::find(experts.begin(), experts.end(), e) == experts.end()) experts.push_back(e);
  }
}

FinishedPrompt make_prompt(const Prompt& prompt, const std::vector<double>& taste,
                           std::int64_t mean_tokens, std::uint64_t seed) {
  RandomStream tokens(2, prompt.id);
  const auto n =
      std::max<std::int64_t>(1, mean_tokens / 2) +
      static_cast<std::int64_t>(tokens.below(static_cast<std::uint64_t>(mean_tokens) + 1));
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.n_prompt_tokens = n;
  finished.n_generated_tokens = 0;
  finished.finish_reason = "length";
  for (std::int64_t t = 0; t < n; ++t) {
    // Chances that fall as 1 / rank.
    finished.token_ids.push_back(static_cast<TokenId>(std::pow(5000, tokens.uniform())));
  }
  finished.tokens.assign(static_cast<std::size_t>(n), "a");
  finished.routing = RoutingBuffer(shape, false);
  finished.routing.reserve(n);
  RandomStream random(seed, prompt.id);
  std::vector<ExpertId> experts;
  std::vector<float> weights(static_cast<std::size_t>(shape.top_k));
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    for (std::int64_t t = 0; t < n; ++t) {
      draw_experts(taste.data() + layer * shape.n_experts, random, experts);
      for (float& weight : weights) weight = static_cast<float>(0.2 * random.uniform());
      std::sort(weights.rbegin(), weights.rend());
      finished.routing.append(layer, 1, experts, weights);
    }
  }
  return finished;
}

void make_trace(const std::filesystem::path& directory, std::size_t n_prompts,
                std::int64_t mean_tokens, std::uint64_t seed) {
  TraceManifest manifest;
  manifest.tool = trace_tool_name();
  manifest.model.name = "made-up";
  manifest.model.shape = shape;
  manifest.n_prompts = static_cast<std::int64_t>(n_prompts);
  for (std::size_t left = n_prompts; left > 0; left -= std::min(left, batch_size)) {
    manifest.plan.push_back(static_cast<std::int64_t>(std::min(left, batch_size)));
  }
  const auto tastes = make_tastes();
  TraceWriter writer = TraceWriter::create(directory, manifest, true);
  for (std::size_t first = 0; first < n_prompts; first += batch_size) {
    const std::size_t n = std::min(batch_size, n_prompts - first);
    std::vector<Prompt> prompts(n);
    std::vector<FinishedPrompt> batch;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t category = (first + i) % n_categories;
      prompts[i].id = fmt::format("p{:06}", first + i);
      prompts[i].category = fmt::format("category-{}", category);
      prompts[i].text = "made up";
      batch.push_back(make_prompt(prompts[i], tastes[category], mean_tokens, seed));
    }
    writer.commit_batch(batch);
  }
}

}  // namespace
}  // namespace moexray

int main(int argc, char** argv) {
  if (argc < 2 || argc > 5 || argv[1][0] == '-') {
    std::cerr << "usage: make_trace DIR [PROMPTS [TOKENS [SEED]]]\n";
    return 2;
  }
  try {
    moexray::make_trace(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10000,
                        argc > 3 ? std::strtoll(argv[3], nullptr, 10) : 42,
                        argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 3);
  } catch (const std::exception& error) {
    std::cerr << "make_trace: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
