#include "made_trace.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "moexray/core/random.h"

namespace moexray::test {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// k different experts, in the order of the draws.
std::vector<int> draw_experts(const MadeTrace& made, int kind, RandomStream& random) {
  std::vector<int> experts;
  const auto n = static_cast<std::uint64_t>(made.n_experts);
  while (static_cast<int>(experts.size()) < made.top_k) {
    const bool own = experts.empty() && random.uniform() < made.preference;
    const int expert = own ? kind % made.n_experts : static_cast<int>(random.below(n));
    if (std::find(experts.begin(), experts.end(), expert) == experts.end()) {
      experts.push_back(expert);
    }
  }
  return experts;
}

}  // namespace

std::vector<std::string> shuffled_names(const std::vector<std::string>& names, int n,
                                        std::uint64_t seed) {
  std::vector<std::string> result;
  for (int i = 0; i < n; ++i) result.push_back(names[static_cast<std::size_t>(i) % names.size()]);
  RandomStream random(seed);
  for (std::size_t i = result.size(); i > 1; --i) std::swap(result[i - 1], result[random.below(i)]);
  return result;
}

void write_made_trace(const fs::path& directory, const MadeTrace& made) {
  fs::create_directories(directory);
  const json manifest = {{"format", "moexray-trace"},
                         {"version", 1},
                         {"model",
                          {{"name", "made"},
                           {"n_layers", made.n_layers},
                           {"n_experts", made.n_experts},
                           {"top_k", made.top_k}}}};
  std::ofstream(directory / "manifest.json") << manifest.dump() << '\n';
  std::ofstream lines(directory / "prompts.jsonl");
  std::ofstream events(directory / "e.jsonl");
  RandomStream random(made.seed);
  const int n_kinds = static_cast<int>(made.kinds.size());
  for (int i = 0; i < made.n_prompts; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const std::string id = "p" + std::to_string(i);
    const std::string& category =
        made.categories.empty() ? made.kinds[index % made.kinds.size()] : made.categories[index];
    json line = {{"id", id}, {"category", category}, {"events_file", "e.jsonl"}};
    if (!made.metas.empty()) line["meta"] = made.metas[index];
    lines << line.dump() << '\n';
    for (int pos = 0; pos < made.n_tokens; ++pos) {
      const auto token = static_cast<int>(random.below(20));
      for (int layer = 0; layer < made.n_layers; ++layer) {
        const json event = {
            {"prompt_id", id},   {"layer", layer},
            {"pos", pos},        {"type", "prompt"},
            {"token_id", token}, {"experts", draw_experts(made, i % n_kinds, random)}};
        events << event.dump() << '\n';
      }
    }
  }
}

}  // namespace moexray::test
