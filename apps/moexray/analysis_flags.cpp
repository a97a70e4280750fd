#include "analysis_flags.h"

#include <string_view>
#include <utility>

#include "help_text.h"
#include "moexray/core/error.h"
#include "moexray/core/system.h"

namespace moexray::app {

std::string meta_key(const Arguments& arguments, std::string_view flag) {
  if (!arguments.has(flag)) return {};
  const std::string& key = arguments.text(flag);
  constexpr std::string_view prefix = "meta.";
  if (!key.starts_with(prefix) || key.size() == prefix.size()) {
    throw Error(ErrorKind::usage, {"wrong value", "--" + std::string(flag), "meta.KEY", key});
  }
  return key;
}

std::vector<Positional> trace_positionals() {
  return {{"TRACES",
           "trace directories that belong together: the parts of a sharded run, say "
           "(default: traces)",
           false, true}};
}

std::vector<Flag> with_analysis_flags(std::vector<Flag> own, const std::string& default_output) {
  const std::vector<Flag> shared = {
      {.name = "-o,--output",
       .value_name = "DIR",
       .default_value = default_output,
       .help = default_output.empty() ? "write the data files and report.json into DIR"
                                      : "where to write"},
      {.name = "--json",
       .value_name = "FILE",
       .help = "write the results as JSON; - sends them to stdout, and nothing else"},
      {.name = "--force",
       .type = FlagType::on_off,
       .help =
           "replace what this command wrote there before and nobody changed, never other files"},
      {.name = "--tokens",
       .type = FlagType::choice,
       .value_name = "WHICH",
       .default_value = "all",
       .help = "count the tokens of the prompt, the generated ones, or all",
       .choices = {"all", "prompt", "generation"}},
      {.name = "--exclude-template",
       .type = FlagType::on_off,
       .help = "skip the tokens that the chat template added"},
      {.name = "--weighted",
       .type = FlagType::on_off,
       .help = "sum router weights in place of counting selections"},
      {.name = "--category-key",
       .value_name = "meta.KEY",
       .help = "take each prompt's category from this key of its line"},
      {.name = "--allow-partial",
       .type = FlagType::on_off,
       .help = "use the complete prompts of a trace that is not complete"},
      {.name = "--seed",
       .type = FlagType::integer,
       .value_name = "N",
       .default_value = "0",
       .help = "for everything random",
       .min = 0},
      {.name = "--threads",
       .type = FlagType::integer,
       .value_name = "N",
       .help = "how many to use (default: all there are); does not change results",
       .min = 1,
       .max = 1024},
  };
  own.insert(own.end(), shared.begin(), shared.end());
  return own;
}

Flag group_by_flag() {
  return {.name = "--group-by",
          .value_name = "meta.KEY",
          .help =
              "prompts with the same value of this key of their line (one template or source, "
              "say) are one unit: folds, the bootstrap and permutations keep them together"};
}

Flag common_tokens_flag() {
  return {.name = "--common-tokens",
          .type = FlagType::integer,
          .value_name = "N",
          .help =
              "test labels on the first N tokens of every prompt that has them (default: the most "
              "that nine of ten prompts have)",
          .min = 8,
          .max = 1e9};
}

Directories AnalysisSettings::directories() const {
  Directories all;
  for (const Directories& side : sides) all.insert(all.end(), side.begin(), side.end());
  return all;
}

AnalysisSettings analysis_settings(const Arguments& arguments, std::size_t first_trace,
                                   std::span<const Flag> other_sides) {
  AnalysisSettings settings;
  const std::vector<std::string>& words = arguments.positionals();
  Directories first;
  for (std::size_t i = first_trace; i < words.size(); ++i) first.emplace_back(words[i]);
  if (first.empty()) first.emplace_back("traces");
  settings.sides.push_back(std::move(first));
  for (const Flag& flag : other_sides) {
    if (!arguments.has(flag.key())) {
      throw Error(ErrorKind::usage, "missing flag --" + flag.key() + " " + placeholder_of(flag));
    }
    for (const std::vector<std::string>& own : arguments.groups(flag.key())) {
      settings.sides.emplace_back(own.begin(), own.end());
    }
  }
  if (arguments.has("output")) settings.output = arguments.text("output");
  if (arguments.has("json")) settings.json = arguments.text("json");
  settings.force = arguments.on("force");
  if (arguments.has("seed")) {
    settings.seed = static_cast<std::uint64_t>(arguments.integer("seed"));
  }
  settings.n_threads = arguments.has("threads") ? static_cast<int>(arguments.integer("threads"))
                                                : available_threads();
  settings.selection.tokens = stats::parse_token_selection(arguments.text("tokens"));
  settings.selection.exclude_template = arguments.on("exclude-template");
  if (arguments.has("common-tokens")) settings.common_tokens = arguments.integer("common-tokens");
  settings.selection.weighted = arguments.on("weighted");
  settings.selection.category_key = meta_key(arguments, "category-key");
  settings.reading = {.allow_partial = arguments.on("allow-partial"),
                      .category_key = settings.selection.category_key,
                      .n_threads = settings.n_threads,
                      .group_key = meta_key(arguments, "group-by")};
  return settings;
}

}  // namespace moexray::app
