// Writes traces whose reports are hard to lay out, for scripts/check_pages.sh:
//   make_page_traces DIR
// prompts80: four categories of twenty; categories57: long names and Chinese ones; layers61: more
// layers than a row of anything holds; no-effect: routing that knows nothing of the category;
// one-category; two-prompts; prompts151: more prompts than a page draws cells for.

#include <array>
#include <cmath>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"

namespace moexray::test {
namespace {

using nlohmann::json;

struct TraceKind {
  std::string name;
  std::vector<std::string> categories;
  int prompts_per_category = 1;
  int n_layers = 4;
  int n_experts = 16;
  int top_k = 4;
  int n_tokens = 20;
  double effect = 1;  ///< how much tastes of categories differ; 0: not at all
};

std::vector<std::string> long_categories() {
  constexpr std::array<const char*, 4> levels{"elementary_and_secondary", "high_school", "college",
                                              "professional"};
  constexpr std::array<const char*, 11> subjects{
      "mathematics",        "macroeconomics",    "microeconomics",
      "computer_science",   "european_history",  "moral_scenarios",
      "clinical_medicine",  "international_law", "electrical_engineering",
      "conceptual_physics", "security_studies"};
  std::vector<std::string> names;
  for (const char* subject : subjects) {
    for (const char* level : levels) names.push_back(std::string(level) + "_" + subject);
  }
  for (const char* name :
       {"历史与社会科学综合考试", "机器学习的基础与应用", "古代汉语阅读理解", "中国法律与公共政策",
        "会计、审计和税务实务", "医学影像学和临床诊断", "日本語の読解問題", "한국어 문장 이해",
        "Donaudampfschifffahrtsgesellschaftskapitänswitwenversicherung", "العربية", "🧪 chemistry",
        "a category with blanks in its name, which tells all that there is to be told of it"}) {
    names.emplace_back(name);
  }
  names.emplace_back("x");
  return names;
}

std::vector<TraceKind> trace_kinds() {
  const std::vector<std::string> four{"code", "factual", "math", "story"};
  return {{.name = "prompts80", .categories = four, .prompts_per_category = 20},
          {.name = "categories57",
           .categories = long_categories(),
           .prompts_per_category = 2,
           .n_layers = 2,
           .n_experts = 8,
           .top_k = 2},
          {.name = "layers61",
           .categories = four,
           .prompts_per_category = 6,
           .n_layers = 61,
           .n_experts = 32,
           .top_k = 4},
          {.name = "no-effect", .categories = four, .prompts_per_category = 10, .effect = 0},
          {.name = "one-category", .categories = {"everything"}, .prompts_per_category = 6},
          {.name = "two-prompts", .categories = {"a", "b"}},
          {.name = "prompts151",
           .categories = four,
           .prompts_per_category = 38,
           .n_layers = 2,
           .n_experts = 8,
           .top_k = 2,
           .n_tokens = 12}};
}

// The weights of the experts of a category at every layer.
std::vector<double> taste_of(const TraceKind& kind, const std::string& category) {
  RandomStream common(1, "common");
  RandomStream own(1, category);
  std::vector<double> weights;
  for (int i = 0; i < kind.n_layers * kind.n_experts; ++i) {
    const double shared = common.normal();
    weights.push_back(std::exp(0.7 * shared + kind.effect * 0.7 * own.normal()));
  }
  return weights;
}

// k distinct experts, drawn one after another by their weights.
std::vector<int> draw_experts(const TraceKind& kind, std::vector<double> weights,
                              RandomStream& random) {
  std::vector<int> experts;
  for (int i = 0; i < kind.top_k; ++i) {
    double at = random.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
    std::size_t expert = 0;
    while (expert + 1 < weights.size() && (at -= weights[expert]) > 0) ++expert;
    while (weights[expert] == 0) --expert;
    experts.push_back(static_cast<int>(expert));
    weights[expert] = 0;
  }
  return experts;
}

class TraceMaker {
 public:
  TraceMaker(const std::filesystem::path& directory, const TraceKind& kind) : kind_(kind) {
    std::filesystem::create_directories(directory);
    const json manifest = {{"format", "moexray-trace"},
                           {"version", 1},
                           {"model",
                            {{"name", "made-up"},
                             {"n_layers", kind.n_layers},
                             {"n_experts", kind.n_experts},
                             {"top_k", kind.top_k}}},
                           {"tokenizer", {{"kind", "byte_level_bpe"}}}};
    std::ofstream(directory / "manifest.json") << manifest.dump() << '\n';
    lines_.open(directory / "prompts.jsonl");
    events_.open(directory / "events-00000.jsonl");
  }

  void write() {
    for (const std::string& category : kind_.categories) {
      const std::vector<double> taste = taste_of(kind_, category);
      for (int i = 0; i < kind_.prompts_per_category; ++i) {
        write_prompt(category + "-" + std::to_string(i + 1), category, taste);
      }
    }
  }

 private:
  void write_prompt(const std::string& id, const std::string& category,
                    const std::vector<double>& taste) {
    // Among them one without a blank, one that is markup, and one that reads from the right.
    constexpr std::array<const char*, 8> words{
        "Ġthe",      "Ġroutes", "supercalifragilisticexpialidocious_and_longer_still",
        "<b>",       "Ċ",       "æ¼¢åŃĹ",
        "Ġ×©×ľ×ķ×Ŀ", "Ġ&amp;"};
    RandomStream random(2, id);
    const int n_tokens = kind_.n_tokens / 2 +
                         static_cast<int>(random.below(static_cast<std::uint64_t>(kind_.n_tokens)));
    json line = {{"id", id},
                 {"category", category},
                 {"prompt", "Explain " + category + " to a <reader>, in as few words as will do; " +
                                std::string(90, 'w')},
                 {"events_file", "events-00000.jsonl"},
                 {"n_prompt_tokens", n_tokens},
                 {"n_generated_tokens", 0}};
    for (int pos = 0; pos < n_tokens; ++pos) {
      line["token_ids"].push_back(pos);
      line["tokens"].push_back(words[random.below(words.size())]);
      for (int layer = 0; layer < kind_.n_layers; ++layer) {
        const auto begin = taste.begin() + layer * kind_.n_experts;
        const std::vector<int> experts =
            draw_experts(kind_, {begin, begin + kind_.n_experts}, random);
        std::vector<double> weights;
        for (int i = 0; i < kind_.top_k; ++i) weights.push_back(0.5 / (i + 1));
        events_ << json({{"prompt_id", id},
                         {"layer", layer},
                         {"pos", pos},
                         {"type", "prompt"},
                         {"token_id", pos},
                         {"experts", experts},
                         {"weights", weights}})
                       .dump()
                << '\n';
      }
    }
    lines_ << line.dump() << '\n';
  }

  const TraceKind& kind_;
  std::ofstream lines_;
  std::ofstream events_;
};

}  // namespace
}  // namespace moexray::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_page_traces DIR\n";
    return 2;
  }
  try {
    for (const auto& kind : moexray::test::trace_kinds()) {
      moexray::test::TraceMaker(std::filesystem::path(argv[1]) / kind.name, kind).write();
    }
  } catch (const std::exception& error) {
    std::cerr << "make_page_traces: " << error.what() << '\n';
    return 1;
  }
}
