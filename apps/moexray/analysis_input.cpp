#include "analysis_input.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/version.h"
#include "moexray/core/wording.h"
#include "moexray/report/visible.h"
#include "moexray/trace/counts.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::Json;

// Feeds the routing records of a trace to what is computed from them.
class AnalysisVisitor : public EventVisitor {
 public:
  // `tokens` may be null.
  AnalysisVisitor(stats::SignatureAccumulator& signatures, stats::TokenAccumulator* tokens,
                  const std::atomic<bool>& stop)
      : signatures_(signatures), tokens_(tokens), stop_(stop) {}

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    on_record_with_logits(prompt_index, record, {});
  }
  void on_record_with_logits(std::size_t prompt_index, const RoutingRecord& record,
                             std::span<const float> logits) override {
    if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    signatures_.add(prompt_index, record);
    if (tokens_ != nullptr) tokens_->add(prompt_index, record, logits);
  }

 private:
  stats::SignatureAccumulator& signatures_;
  stats::TokenAccumulator* tokens_;
  const std::atomic<bool>& stop_;
};

void add_category_notice(TraceSet& traces) {
  std::vector<std::string> categories;
  for (const TracePrompt& prompt : traces.prompts) categories.push_back(prompt.category);
  std::string notice = report::similar_names_notice("categories", categories);
  if (!notice.empty()) traces.notices.push_back(std::move(notice));
}

// "traces/base/" is called "base".
std::string name_of_directory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory.lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

void name_sides(const std::vector<Directories>& directories, std::vector<Side>& sides) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    sides[i].name = name_of_directory(directories[i].front());
    names.push_back(sides[i].name);
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) == names.end()) return;
  constexpr std::size_t n_letters = 26;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    const std::string round = i < n_letters ? "" : std::to_string(i / n_letters + 1);
    sides[i].name = static_cast<char>('A' + i % n_letters) + round;
  }
}

void add_events(const ReadOptions& reading, const std::atomic<bool>& stop, const Side& side,
                stats::SignatureAccumulator& signatures, stats::TokenAccumulator* tokens) {
  AnalysisVisitor visitor(signatures, tokens, stop);
  read_events(side.traces, visitor, reading);
}

void add_counts(const std::atomic<bool>& stop, const Side& side,
                stats::SignatureAccumulator& signatures) {
  const CountsReader reader(side.traces);
  for (std::size_t i = 0; i < side.traces.prompts.size(); ++i) {
    if (stop.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
    signatures.add_counts(i, reader.read(i));
  }
}

// Fills in what is made of the events of side.traces.
void read_side(const AnalysisSettings& settings, const Needs& needs, bool with_ranks,
               const std::atomic<bool>& stop, Side& side) {
  if (!needs.signatures && !needs.tokens) return;
  std::vector<stats::PromptLabel> labels;
  for (const TracePrompt& prompt : side.traces.prompts) {
    labels.push_back({prompt.id, prompt.category});
  }
  stats::SignatureAccumulator signatures(side.traces.shape, std::move(labels), settings.selection);
  std::optional<stats::TokenAccumulator> tokens;
  const bool is_counted = has_counts(side.traces);
  if (needs.tokens && !is_counted) {
    tokens.emplace(side.traces.shape, side.traces.prompts.size(), settings.selection,
                   stats::KeptOfTokens{.weights = with_ranks, .logits = with_ranks});
  }
  if (is_counted) {
    add_counts(stop, side, signatures);
  } else {
    ReadOptions reading = settings.reading;
    reading.router_logits = with_ranks;
    add_events(reading, stop, side, signatures, tokens ? &*tokens : nullptr);
  }
  side.signatures = std::move(signatures).finish();
  if (tokens) side.tokens = std::move(*tokens).finish(side.signatures);
  if (!settings.reading.group_key.empty()) {
    for (const std::size_t index : side.signatures.prompt_indices) {
      side.groups.push_back(side.traces.prompts[index].group);
    }
  }
  if (!needs.tokens || has_pool(side.traces)) return;
  if (is_counted) {
    if (settings.common_tokens > 0) {
      throw Error(ErrorKind::data, {"--common-tokens needs single tokens, and this directory has "
                                    "counts, not tokens",
                                    side.traces.directories.front().string(),
                                    {},
                                    {}});
    }
    side.compared = stats::counted_prompts(side.signatures, side.groups);
    return;
  }
  side.compared =
      stats::compared_prompts(side.tokens, side.signatures, side.groups, settings.selection.tokens,
                              {.n_tokens = settings.common_tokens});
}

Json trace_json(const TraceSet& traces) {
  Json result =
      Json::object({{"model", text_or_null(traces.model_name)},
                    {"n_prompts", traces.prompts.size()},
                    {"n_layers", traces.shape.n_layers},
                    {"n_experts", traces.shape.n_experts},
                    {"top_k", traces.shape.top_k > 0 ? Json(traces.shape.top_k) : Json()}});
  const std::string origin = origin_text(traces);
  if (!origin.empty()) result.set("origin", origin);
  return result;
}

std::string side_line(const Side& side, const stats::Selection& selection) {
  const TraceSet& traces = side.traces;
  const std::size_t n_all = traces.prompts.size();
  const bool is_counted = side.signatures.size() > 0;
  const std::size_t n = is_counted ? side.signatures.size() : n_all;
  std::string tokens(name_of(selection.tokens));
  if (selection.tokens == stats::TokenSelection::generation) tokens = "generated";
  const std::string origin = origin_text(traces);
  return fmt::format(
      "{}{} {}, {} × {}{}; {} tokens{}{}{}",
      traces.model_name.empty() ? "" : printable(traces.model_name, 60) + ": ",
      n == n_all ? std::to_string(n) : fmt::format("{} of {}", n, n_all), noun_for(n_all, "prompt"),
      counted(traces.shape.n_layers, "layer"), counted(traces.shape.n_experts, "expert"),
      traces.shape.top_k > 0 ? fmt::format(", top-{}", traces.shape.top_k) : "", tokens,
      selection.exclude_template ? " without template" : "",
      selection.weighted ? ", weighted by the router" : "", origin.empty() ? "" : "\n" + origin);
}

}  // namespace

void check_takes(const AnalysisInput& input, const std::string& analysis, const Needs& needs) {
  for (const Side& side : input.sides) {
    const bool is_pool = has_pool(side.traces);
    const bool needs_tokens = needs.tokens && !needs.takes_counts;
    if (is_pool ? needs.takes_pool : !needs_tokens || !has_counts(side.traces)) continue;
    throw Error(ErrorKind::data,
                {analysis + (is_pool ? " needs prompts, and this directory has one pool of counts, "
                                       "which `experts` and `load` read"
                                     : " needs single tokens, and this directory has counts, not "
                                       "tokens"),
                 side.traces.directories.front().string(),
                 {},
                 {}});
  }
}

NeededFacts needed_facts(const stats::Selection& selection) {
  return {.weights = selection.weighted,
          .template_marks = selection.exclude_template,
          .prompt_tokens = selection.tokens == stats::TokenSelection::prompt,
          .tokens = selection.tokens != stats::TokenSelection::all};
}

AnalysisInput read_analysis_input(
    AnalysisSettings settings, const Needs& needs, Console& console,
    const std::function<void(const AnalysisSettings&)>& check_outputs) {
  AnalysisInput input;
  input.sides.resize(settings.sides.size());
  for (std::size_t i = 0; i < input.sides.size(); ++i) {
    input.sides[i].traces = open_traces(settings.sides[i], settings.reading);
    check_facts(input.sides[i].traces, needed_facts(settings.selection));
    add_category_notice(input.sides[i].traces);
  }
  name_sides(settings.sides, input.sides);
  check_outputs(settings);
  for (const Side& side : input.sides) {
    const std::string head = input.sides.size() > 1 ? printable(side.name, 60) + ": " : "";
    for (const std::string& notice : side.traces.notices) console.notice(head + notice);
  }
  for (Side& side : input.sides) {
    const bool with_ranks = needs.ranks && &side == &input.sides.front();
    read_side(settings, needs, with_ranks, console.stop_requested(), side);
  }
  input.settings = std::move(settings);
  input.stop = &console.stop_requested();
  input.console = &console;
  return input;
}

Json program_json(std::string_view command) {
  return Json::object(
      {{"version", version()}, {"report_format", report_format}, {"command", command}});
}

Json analysis_head(const std::string& command, const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  Json program = program_json(command);
  program.set("seed", input.settings.seed);
  Json result = Json::object({{"moexray", std::move(program)}});
  if (input.sides.size() == 1) {
    result.set("trace", trace_json(input.side().traces));
  } else {
    Json::Array traces;
    for (const Side& side : input.sides) {
      Json named = Json::object({{"name", side.name}});
      const Json trace = trace_json(side.traces);
      for (const auto& [key, value] : trace.members()) named.set(key, value);
      traces.push_back(std::move(named));
    }
    result.set("traces", std::move(traces));
  }
  result.set("selection", Json::object({{"tokens", name_of(selection.tokens)},
                                        {"exclude_template", selection.exclude_template},
                                        {"weighted", selection.weighted},
                                        {"category_key", text_or_null(selection.category_key)}}));
  return result;
}

std::string trace_line(const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  if (input.sides.size() == 1) return side_line(input.side(), selection);
  std::string lines;
  for (const Side& side : input.sides) {
    lines +=
        (lines.empty() ? "" : "\n") + printable(side.name, 60) + ": " + side_line(side, selection);
  }
  return lines;
}

}  // namespace moexray::app
