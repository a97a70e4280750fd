#include "random_trace.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Draws with the words of the generator.
class Dice {
 public:
  explicit Dice(RandomStream& random) : random_(random) {}
  bool chance(double probability) { return random_.uniform() < probability; }
  int between(int low, int high) {
    return low + static_cast<int>(random_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  template <typename T>
  const T& one_of(const std::vector<T>& values) {
    return values[random_.below(values.size())];
  }
  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[random_.below(i)]);
    }
  }

 private:
  RandomStream& random_;
};

enum class Routing { uniform, popular, by_category, by_prompt, by_token, collapsed };
enum class Weights { none, decreasing, equal, some_zero, all_zero, extreme };

// What holds for a whole trace.
struct Plan {
  int n_layers = 1;
  int n_experts = 1;
  int top_k = 1;
  std::vector<std::string> categories;
  std::vector<int> longest;  // [categories]
  Routing routing = Routing::uniform;
  Weights weights = Weights::none;
  bool has_ids = false;
  bool has_text = false;
  bool has_template = false;
  bool has_generation = false;
  bool has_groups = false;
  bool copies = false;
  bool flat = false;
  bool shuffled = false;
  double uncategorised = 0;
};

const std::vector<std::string> odd_names{
    "a",          "code", "Code",     "two words",
    "\"quoted\"", "it's", "<b>&amp;", "数学",
    "🦊",         "-o",   "a,b;c",    "#1",
    "=1+2",       "'",    "\\t",      "high_school_macroeconomics_and_more_besides"};

std::vector<std::string> random_categories(Dice& dice) {
  if (dice.chance(0.1)) return {};
  const int n = dice.one_of(std::vector<int>{1, 2, 2, 2, 3, 3, 4, 6, 12});
  std::vector<std::string> names = odd_names;
  dice.shuffle(names);
  names.resize(static_cast<std::size_t>(n));
  return names;
}

Plan random_plan(Dice& dice) {
  Plan plan;
  plan.n_layers = dice.one_of(std::vector<int>{1, 1, 2, 2, 3, 5, 9});
  plan.n_experts = dice.one_of(std::vector<int>{1, 2, 2, 3, 4, 5, 8, 13, 25, 33});
  plan.top_k = dice.chance(0.15) ? plan.n_experts : dice.between(1, std::min(plan.n_experts, 5));
  plan.categories = random_categories(dice);
  for (std::size_t c = 0; c < plan.categories.size() + 1; ++c) {
    // About the 8 and 16 tokens that some statistics need.
    plan.longest.push_back(dice.one_of(std::vector<int>{1, 2, 5, 8, 15, 17, 17, 24, 24}));
  }
  plan.routing = static_cast<Routing>(dice.between(0, 5));
  plan.weights = dice.chance(0.6) ? Weights::decreasing : static_cast<Weights>(dice.between(0, 5));
  plan.has_ids = dice.chance(0.7);
  plan.has_text = dice.chance(0.7);
  plan.has_template = dice.chance(0.4);
  plan.has_generation = dice.chance(0.6);
  plan.has_groups = dice.chance(0.5);
  plan.copies = dice.chance(0.2);
  plan.flat = dice.chance(0.2);
  plan.shuffled = dice.chance(0.2);
  plan.uncategorised = dice.chance(0.15) ? 0.2 : 0;
  return plan;
}

int random_n_prompts(Dice& dice, const Plan& plan) {
  const int size = dice.between(0, 9);
  if (size == 0) return dice.between(0, 1);
  if (size < 4) return dice.between(2, 6);
  if (size < 8) return dice.between(7, 20);
  // More prompts than features change how pairs are summed.
  return std::min(plan.n_layers * plan.n_experts + dice.between(1, 12), 80);
}

// One token of a prompt.
struct Token {
  bool generated = false;
  bool is_template = false;
  int id = 0;
};

std::vector<int> random_experts(Dice& dice, const Plan& plan, int layer, int category, int prompt,
                                int token) {
  const int n = plan.n_experts;
  std::vector<int> experts(static_cast<std::size_t>(n));
  std::iota(experts.begin(), experts.end(), 0);
  const auto rotate = [&](int by) {
    std::rotate(experts.begin(), experts.begin() + by % n, experts.end());
  };
  switch (plan.routing) {
    case Routing::uniform:
      dice.shuffle(experts);
      break;
    case Routing::popular:
      if (dice.chance(0.3)) dice.shuffle(experts);
      break;
    case Routing::by_category:
      rotate(category + layer);
      if (dice.chance(0.4)) dice.shuffle(experts);
      break;
    case Routing::by_prompt:
      rotate(prompt);
      break;
    case Routing::by_token:
      rotate(token * (layer + 1));
      break;
    case Routing::collapsed:
      break;
  }
  experts.resize(static_cast<std::size_t>(plan.top_k));
  return experts;
}

std::vector<double> random_weights(Dice& dice, const Plan& plan) {
  std::vector<double> weights(static_cast<std::size_t>(plan.top_k), 0.25);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    switch (plan.weights) {
      case Weights::decreasing:
        weights[i] = 0.5 / static_cast<double>(i + 1) / dice.between(1, 9);
        break;
      case Weights::some_zero:
        weights[i] = dice.chance(0.5) ? 0 : 0.5;
        break;
      case Weights::all_zero:
        weights[i] = 0;
        break;
      case Weights::extreme:
        weights[i] = dice.chance(0.5) ? 1e-38 : 3e38;
        break;
      case Weights::none:
      case Weights::equal:
        break;
    }
  }
  std::sort(weights.rbegin(), weights.rend());
  return weights;
}

// Writes prompts and their records line by line.
class TraceMaker {
 public:
  TraceMaker(const fs::path& directory, const Plan& plan, Dice& dice)
      : plan_(plan),
        dice_(dice),
        prompts_(directory / "prompts.jsonl"),
        events_(directory / "events.jsonl") {}

  void add_prompt(int number, const std::string& id) {
    const int n_categories = static_cast<int>(plan_.categories.size());
    const bool has_category = n_categories > 0 && !dice_.chance(plan_.uncategorised);
    const int category = has_category ? dice_.between(0, n_categories - 1) : n_categories;
    // Two prompts of one trace may be the same in all but their ids.
    const int twin = plan_.copies ? number / 2 : number;
    const std::vector<Token> tokens = random_tokens(category, twin);
    json line = {{"id", id}, {"events_file", "events.jsonl"}};
    if (has_category) line["category"] = plan_.categories[static_cast<std::size_t>(category)];
    if (plan_.has_text) line["prompt"] = "Prompt " + std::to_string(twin);
    if (plan_.has_groups && !dice_.chance(0.1)) {
      line["meta"] = {{"source", "s" + std::to_string(dice_.between(0, 4))}, {"level", number % 3}};
    }
    if (plan_.has_ids) add_token_ids(tokens, line);
    prompts_ << line.dump() << '\n';
    add_events(id, tokens, category, twin);
  }

 private:
  std::vector<Token> random_tokens(int category, int twin) {
    const int longest = plan_.longest[static_cast<std::size_t>(category)];
    const int n_prompt = dice_.chance(0.8) ? longest : dice_.between(1, longest);
    const int n_generated = plan_.has_generation && dice_.chance(0.8) ? dice_.between(1, 6) : 0;
    const int n_template = plan_.has_template && dice_.chance(0.9)
                               ? std::min(n_prompt, dice_.chance(0.1) ? 99 : 2)
                               : 0;
    std::vector<Token> tokens;
    for (int i = 0; i < n_prompt + n_generated; ++i) {
      tokens.push_back({.generated = i >= n_prompt,
                        .is_template = i < n_template,
                        .id = i < n_template ? i : (i * 7 + twin % 3) % 23});
    }
    return tokens;
  }

  void add_token_ids(const std::vector<Token>& tokens, json& line) {
    for (const Token& token : tokens) {
      line["token_ids"].push_back(token.id);
      line["tokens"].push_back("t" + std::to_string(token.id));
    }
  }

  void add_events(const std::string& id, const std::vector<Token>& tokens, int category, int twin) {
    std::vector<std::string> lines;
    for (std::size_t pos = 0; pos < tokens.size(); ++pos) {
      for (int layer = 0; layer < plan_.n_layers; ++layer) {
        const std::vector<int> experts =
            random_experts(dice_, plan_, layer, category, twin, tokens[pos].id);
        const std::vector<double> weights = random_weights(dice_, plan_);
        json record = {{"prompt_id", id},
                       {"layer", layer},
                       {"pos", pos},
                       {"type", tokens[pos].generated ? "generation" : "prompt"}};
        if (plan_.has_ids) record["token_id"] = tokens[pos].id;
        if (tokens[pos].is_template) record["template"] = true;
        const bool has_weights = plan_.weights != Weights::none;
        if (!plan_.flat) {
          record["experts"] = experts;
          if (has_weights) record["weights"] = weights;
          lines.push_back(record.dump());
          continue;
        }
        for (std::size_t rank = 0; rank < experts.size(); ++rank) {
          record["expert"] = experts[rank];
          record["rank"] = rank;
          if (has_weights) record["weight"] = weights[rank];
          lines.push_back(record.dump());
        }
      }
    }
    if (plan_.shuffled) dice_.shuffle(lines);
    for (const std::string& line : lines) events_ << line << '\n';
  }

  const Plan& plan_;
  Dice& dice_;
  std::ofstream prompts_;
  std::ofstream events_;
};

// A number that the flag takes; of what repeats work, a small one.
std::string random_number(const app::Flag& flag, Dice& dice) {
  const bool whole = flag.type == app::FlagType::integer;
  const int low = static_cast<int>(std::max(flag.min, 0.0));
  const int high = static_cast<int>(std::min(flag.max, low + (dice.chance(0.3) ? 2.0 : 12.0)));
  std::string text = std::to_string(dice.between(low, std::max(low, high)));
  if (!whole && dice.chance(0.7)) text += "." + std::to_string(dice.between(1, 9));
  return text;
}

std::string random_text(const std::string& key, const RandomTrace& trace, const fs::path& place,
                        Dice& dice) {
  if (key == "json") return dice.chance(0.8) ? "-" : place / "result.json";
  if (key == "output") return place / "out";
  if (key == "html") return place / "page.html";
  if (key == "category-key" || key == "group-by") {
    return dice.one_of(std::vector<std::string>{"meta.source", "meta.source", "meta.level",
                                                "meta.absent", "source"});
  }
  if (key == "folds-file") {
    std::ofstream folds(place / "folds.tsv");
    folds << "prompt_id\tfold\n";
    for (const std::string& id : trace.ids) folds << id << '\t' << dice.between(0, 2) << '\n';
    return place / "folds.tsv";
  }
  return dice.one_of(std::vector<std::string>{"x", "0", "a,b", "../x"});
}

// How often a flag is given. One whose default is a large number always is, or draws by the
// thousand would take their time.
double share_given(const app::Flag& flag) {
  const std::string key = flag.key();
  if (flag.type == app::FlagType::integer) {
    const bool costly = flag.default_value.size() > 2 || key == "nested-repetitions";
    return costly ? 1 : 0.25;
  }
  if (key == "output" || key == "json") return 0.4;
  if (key == "model" || key == "full") return 0;
  if (key == "quick") return 0.85;
  return key == "weighted" || key == "exclude-template" || key == "group-by" ? 0.2 : 0.12;
}

std::string random_positional(const app::Positional& positional, const RandomTrace& trace,
                              Dice& dice) {
  if (positional.name == "TRACES") return trace.directory;
  if (positional.name == "LAYER/EXPERT") {
    return std::to_string(dice.between(0, trace.n_layers)) + "/" +
           std::to_string(dice.between(0, trace.n_experts));
  }
  return trace.ids.empty() || dice.chance(0.05) ? "none" : dice.one_of(trace.ids);
}

}  // namespace

RandomTrace write_random_trace(const fs::path& directory, RandomStream& random) {
  Dice dice(random);
  const Plan plan = random_plan(dice);
  fs::create_directories(directory);
  const int n_prompts = random_n_prompts(dice, plan);
  json manifest = {
      {"format", "moexray-trace"},
      {"version", 1},
      {"model",
       {{"n_layers", plan.n_layers}, {"n_experts", plan.n_experts}, {"top_k", plan.top_k}}}};
  if (dice.chance(0.5)) manifest["model"]["name"] = "some/model";
  if (dice.chance(0.5)) manifest["n_prompts"] = n_prompts;
  std::ofstream(directory / "manifest.json") << manifest.dump() << '\n';
  RandomTrace trace{directory, {}, plan.n_layers, plan.n_experts};
  TraceMaker maker(directory, plan, dice);
  for (int i = 0; i < n_prompts; ++i) {
    trace.ids.push_back((dice.chance(0.1) ? "ü " : "p") + std::to_string(i));
    maker.add_prompt(i, trace.ids.back());
  }
  return trace;
}

std::vector<std::string> random_words(const app::Command& command, const RandomTrace& trace,
                                      const fs::path& place, RandomStream& random) {
  Dice dice(random);
  std::vector<std::string> words{command.name};
  for (const app::Positional& positional : command.positionals) {
    words.push_back(random_positional(positional, trace, dice));
  }
  for (const app::Flag& flag : command.flags) {
    const bool has_to_be = flag.key() == "output" && !flag.default_value.empty();
    if (!has_to_be && !dice.chance(share_given(flag))) continue;
    words.push_back("--" + flag.key());
    switch (flag.type) {
      case app::FlagType::on_off:
        break;
      case app::FlagType::choice:
        words.push_back(dice.one_of(flag.choices));
        break;
      case app::FlagType::integer:
      case app::FlagType::number:
        words.push_back(random_number(flag, dice));
        break;
      case app::FlagType::text:
      case app::FlagType::texts:
        words.push_back(random_text(flag.key(), trace, place, dice));
        break;
    }
  }
  if (dice.chance(0.3)) words.emplace_back("--quiet");
  return words;
}

}  // namespace moexray::test
