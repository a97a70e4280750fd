#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "analysis_flags.h"
#include "analysis_input.h"
#include "commands.h"
#include "console.h"
#include "moexray/core/error.h"
#include "moexray/report/json.h"
#include "moexray/report/output.h"
#include "moexray/trace/origin.h"
#include "show_html.h"
#include "show_text.h"
#include "shown_prompt.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::Json;

Json id_or_null(TokenId id) {
  if (id < 0) return {};
  return Json(id);
}

Json routing_json(const TokenRouting& routing, std::size_t layer) {
  return Json::object(
      {{"layer", layer},
       {"experts", Json::array(routing.experts)},
       {"weights", routing.weights.empty() ? Json()
                                           : Json::array(std::vector<double>(
                                                 routing.weights.begin(), routing.weights.end()))},
       {"distance", routing.distance}});
}

Json token_json(const ShownToken& token, const ShowOptions& options) {
  Json::Array layers;
  for (std::size_t layer = 0; layer < token.layers.size(); ++layer) {
    if (options.layer && static_cast<std::size_t>(*options.layer) != layer) continue;
    layers.push_back(routing_json(token.layers[layer], layer));
  }
  return Json::object({{"pos", token.pos},
                       {"type", token.type == TokenType::generation ? "generation" : "prompt"},
                       {"template", token.is_template},
                       {"token_id", id_or_null(token.id)},
                       {"token", text_or_null(token.text)},
                       {"distance", token.distance},
                       {"layers", std::move(layers)}});
}

std::string json_of(const ShownPrompt& shown, const ShowOptions& options) {
  Json::Array tokens;
  for (const ShownToken& token : shown.tokens) tokens.push_back(token_json(token, options));
  return Json::object({{"moexray", program_json("show")},
                       {"trace", Json::object({{"model", text_or_null(shown.model_name)},
                                               {"n_layers", shown.shape.n_layers},
                                               {"n_experts", shown.shape.n_experts},
                                               {"top_k", shown.shape.top_k},
                                               {"origin", text_or_null(shown.origin)}})},
                       {"id", shown.prompt->id},
                       {"category", text_or_null(shown.prompt->category)},
                       {"prompt", text_or_null(shown.prompt->text)},
                       {"completion", text_or_null(shown.prompt->completion)},
                       {"reference", text_or_null(shown.reference)},
                       {"typical_distance", defined_mean(shown.typical)},
                       {"uniform_distance", defined_mean(shown.uniform)},
                       {"tokens", std::move(tokens)}})
      .dump();
}

// None if the selection leaves the prompt no token.
std::optional<std::size_t> row_of(const stats::Signatures& signatures, std::size_t index) {
  const auto& indices = signatures.prompt_indices;
  const auto found = std::find(indices.begin(), indices.end(), index);
  if (found == indices.end()) return std::nullopt;
  return static_cast<std::size_t>(found - indices.begin());
}

// https://no-color.org: set and not empty means no colours.
bool wants_colour(const std::string& choice, const Console& console) {
  if (choice != "auto") return choice == "always";
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return console.stdout_is_terminal() && (no_color == nullptr || *no_color == '\0') &&
         (term == nullptr || std::string_view(term) != "dumb");
}

void write(const std::string& file, const std::string& bytes, Console& console) {
  if (file == "-") {
    console.print(bytes);
  } else {
    report::write_output_file(file, bytes);
    console.notice("wrote " + file);
  }
}

void run(const Arguments& arguments, Console& console) {
  AnalysisSettings settings = analysis_settings(arguments, 1);
  const std::string json = settings.json;
  const std::string html = arguments.has("html") ? arguments.text("html") : "";
  if (json == "-" && html == "-") {
    throw Error(ErrorKind::usage, "only one of --json and --html can go to standard output");
  }
  const TraceSet traces = open_traces(settings.sides.front(), settings.reading);
  for (const std::string& notice : traces.notices) console.notice(notice);
  check_facts(traces, needed_facts(settings.selection));
  ShowOptions options;
  if (arguments.has("layer")) {
    options.layer = static_cast<int>(arguments.integer("layer"));
    if (*options.layer >= traces.shape.n_layers) {
      throw Error(ErrorKind::usage,
                  {"wrong value", "--layer", fmt::format("0 to {}", traces.shape.n_layers - 1),
                   std::to_string(*options.layer)});
    }
  }
  options.colour_by =
      arguments.text("color-by") == "expert" ? ColourBy::expert : ColourBy::distance;
  if (options.colour_by == ColourBy::expert && !has_expert_order(traces)) {
    throw Error(ErrorKind::data,
                "--color-by expert needs the top expert of every token, and the "
                "order of experts is unknown (" +
                    origin_text(traces) + ")");
  }
  options.coloured = wants_colour(arguments.text("color"), console);
  const std::size_t index = find_prompt(traces, arguments.positionals().front());
  for (const std::string& file : {json, html}) {
    if (!file.empty() && file != "-") report::check_output_file(file, settings.force);
  }
  ShownPrompt shown = read_shown_prompt(traces, index, settings.reading);
  if (options.colour_by == ColourBy::distance) {
    const stats::Signatures signatures =
        read_signatures(traces, settings.selection, settings.reading, console.stop_requested());
    const std::string reason =
        add_distances(stats::OtherPrompts(signatures), row_of(signatures, index), shown);
    if (!reason.empty()) console.notice(reason);
  }
  if (!html.empty()) write(html, show_html(shown, options), console);
  if (!json.empty()) write(json, json_of(shown, options), console);
  if (json != "-" && html != "-") console.print(show_text(shown, options));
}

std::vector<Flag> flags() {
  return {
      {.name = "--layer",
       .type = FlagType::integer,
       .value_name = "N",
       .help = "only this MoE layer, counted from 0: all experts of every token",
       .min = 0,
       .max = 1e6},
      {.name = "--color-by",
       .type = FlagType::choice,
       .value_name = "WHAT",
       .default_value = "distance",
       .help = "colour tokens by the distance of their routing from their category's mean, or "
               "by their top expert, which is faster on large traces",
       .choices = {"distance", "expert"}},
      {.name = "--color",
       .type = FlagType::choice,
       .value_name = "WHEN",
       .default_value = "auto",
       .help = "auto: on a terminal, unless NO_COLOR is set",
       .choices = {"auto", "always", "never"}},
      {.name = "--html",
       .value_name = "FILE",
       .help = "also write a page with coloured tokens; - sends it to stdout, and nothing else"}};
}

// Those of the analysis flags that mean something here.
std::vector<Flag> all_flags() {
  std::vector<Flag> result = with_analysis_flags(flags());
  std::erase_if(result, [](const Flag& flag) {
    const std::string key = flag.key();
    return key == "output" || key == "seed" || key == "weighted";
  });
  return result;
}

}  // namespace

Command show_command() {
  std::vector<Positional> positionals = trace_positionals();
  positionals.insert(positionals.begin(), {.name = "ID", .help = "id of the prompt"});
  return {.name = "show",
          .group = CommandGroup::look,
          .summary = "One prompt token by token: its experts, and how usual they are",
          .description =
              "Shows every token of a prompt with its type and the most probable expert of each "
              "layer, or with --layer all experts and weights of one. The distance tells how far "
              "a token's experts are from those that the other prompts of its category use: 0 for "
              "the ones used most, 1 for ones never used there. --tokens and --exclude-template "
              "choose the tokens that the category's mean is taken over.",
          .positionals = std::move(positionals),
          .flags = all_flags(),
          .examples = {{"moexray show code-01", "the prompt of that id in traces/"},
                       {"moexray show code-01 traces --layer 3", "all experts at one layer"},
                       {"moexray show code-01 --html code-01.html", "a page to look at"}},
          .run = run};
}

}  // namespace moexray::app
