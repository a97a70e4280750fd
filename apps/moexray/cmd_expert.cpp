#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "analysis.h"
#include "commands.h"
#include "console.h"
#include "expert_view.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/output.h"
#include "moexray/trace/origin.h"
#include "sections.h"

namespace moexray::app {
namespace {

using report::Json;

std::optional<int> number_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.starts_with('-')) {
    return std::nullopt;
  }
  return value;
}

// "9/11": before the trace is read.
stats::ExpertName parse_name(const std::string& text) {
  const std::size_t slash = text.find('/');
  const auto layer = number_of(std::string_view(text).substr(0, slash));
  const auto expert = slash == std::string::npos
                          ? std::nullopt
                          : number_of(std::string_view(text).substr(slash + 1));
  if (!layer || !expert) {
    throw Error(ErrorKind::usage,
                {"no expert", "LAYER/EXPERT", "two numbers from 0, as in 9/11", printable(text)});
  }
  return {*layer, *expert};
}

void check_range(const stats::ExpertName& name, const RoutingShape& shape) {
  if (name.layer < shape.n_layers && name.expert < shape.n_experts) return;
  throw Error(ErrorKind::usage, {"no such expert", "LAYER/EXPERT",
                                 fmt::format("a layer of 0 to {} and an expert of 0 to {}",
                                             shape.n_layers - 1, shape.n_experts - 1),
                                 text_of(name)});
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
  const stats::ExpertName name = parse_name(arguments.positionals().front());
  AnalysisSettings settings = analysis_settings(arguments, 1);
  const std::string json = settings.json;
  const std::string html = arguments.has("html") ? arguments.text("html") : "";
  if (json == "-" && html == "-") {
    throw Error(ErrorKind::usage, "only one of --json and --html can go to standard output");
  }
  const auto check_outputs = [&](const AnalysisSettings& wanted) {
    for (const std::string& file : {json, html}) {
      if (!file.empty() && file != "-") report::check_output_file(file, wanted.force);
    }
  };
  const AnalysisInput input =
      read_analysis_input(std::move(settings), {.tokens = true}, console, check_outputs);
  check_range(name, input.side().traces.shape);
  const stats::ExpertCategoriesResult categories = expert_categories_result(input, arguments);
  const ExpertView view = expert_views(input, categories, std::span(&name, 1)).front();
  for (const std::string& missing : view.missing) console.notice(missing);
  if (!html.empty()) write(html, expert_html(view, input.side().traces.model_name), console);
  if (!json.empty()) {
    Json result = analysis_head("expert", input);
    const Json own = expert_json(view);
    for (const auto& [key, value] : own.members()) result.set(key, value);
    write(json, result.dump(), console);
  }
  if (json == "-" || html == "-") return;
  const std::string origin = origin_text(input.side().traces);
  if (!origin.empty()) console.print(origin + "\n");
  console.print(expert_text(view, console.width()));
}

std::vector<Flag> flags() {
  std::vector<Flag> result = experts_flags();
  std::erase_if(result, [](const Flag& flag) {
    return flag.key() == "underused" || flag.key() == "overloaded";
  });
  result.push_back({.name = "--html",
                    .value_name = "FILE",
                    .help = "also write a page; - sends it to stdout, and nothing else"});
  result = with_analysis_flags(std::move(result));
  std::erase_if(
      result, [](const Flag& flag) { return flag.key() == "output" || flag.key() == "weighted"; });
  return result;
}

}  // namespace

Command expert_command() {
  std::vector<Positional> positionals = trace_positionals();
  positionals.insert(positionals.begin(),
                     {.name = "LAYER/EXPERT", .help = "both counted from 0: 9/11"});
  return {.name = "expert",
          .group = CommandGroup::look,
          .summary = "What one expert is used for: categories, tokens, contexts, weights",
          .description =
              "How often each category's tokens select the expert, with intervals and the tests of "
              "`experts`; the tokens that it takes a larger share of than of all tokens, with "
              "counts (in at least 3 prompts); tokens in their context; prompt against generated "
              "tokens, and positions; its router weights and ranks; and which experts of the layer "
              "are selected beside it. What the trace does not record is named and left out.",
          .positionals = std::move(positionals),
          .flags = flags(),
          .examples = {{"moexray expert 9/11", "of the trace in traces/"},
                       {"moexray expert 9/11 traces --html L09E011.html", "a page to look at"}},
          .run = run};
}

}  // namespace moexray::app
