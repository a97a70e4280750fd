#include <fmt/core.h>

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "analysis.h"
#include "load_output.h"
#include "moexray/core/error.h"
#include "moexray/report/number.h"
#include "moexray/stats/load.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/logits.h"
#include "placement_file.h"

namespace moexray::app {
namespace {

using stats::LoadResult;

// What routers computed, where that was recorded.
std::optional<stats::RouterOutputs> router_outputs(const AnalysisInput& input) {
  const Side& side = input.side();
  if (!has_router_logits(side.traces)) return {};
  class Visitor : public LogitVisitor {
   public:
    Visitor(stats::RouterOutputAccumulator& outputs, const std::atomic<bool>& stop)
        : outputs_(outputs), stop_(stop) {}
    void on_logits(std::size_t prompt, const RoutingRecord& record,
                   std::span<const float> logits) override {
      if (stop_.load(std::memory_order_relaxed)) throw Error(ErrorKind::interrupted, "interrupted");
      outputs_.add(prompt, record, logits);
    }

   private:
    stats::RouterOutputAccumulator& outputs_;
    const std::atomic<bool>& stop_;
  };
  stats::RouterOutputAccumulator outputs(side.traces.shape, side.traces.prompts.size(),
                                         input.settings.selection);
  Visitor visitor(outputs, *input.stop);
  read_router_logits(side.traces, visitor, input.settings.reading);
  return outputs.finish(side.signatures);
}

stats::ExpertPlacement placement_of(const AnalysisInput& input, const Arguments& arguments) {
  if (!arguments.given("ep-size")) return {};
  const RoutingShape& shape = input.side().traces.shape;
  const auto n_devices = static_cast<int>(arguments.integer("ep-size"));
  if (arguments.given("placement")) {
    return read_placement_file(arguments.text("placement"), shape, n_devices);
  }
  if (n_devices > shape.n_experts) {
    throw Error(ErrorKind::data,
                {"more devices than experts", "--ep-size",
                 fmt::format("at most {}", shape.n_experts), std::to_string(n_devices)});
  }
  return {n_devices, {}};
}

void add_notices(const AnalysisInput& input, LoadResult& result) {
  const Side& side = input.side();
  if (side.traces.shape.top_k == 0) {
    result.notices.emplace_back(
        "how many experts a token selects is not known: no uniform routing to compare with");
  }
  if (has_pool(side.traces)) {
    result.n_units = 0;
    result.dead_bound = stats::undefined;
    result.notices.emplace_back(
        "one pool of counts, no prompts: nothing is said of what clusters alone give");
  } else if (result.n_units < stats::min_cluster_units) {
    result.notices.push_back(
        fmt::format("only {}: nothing is said of what clusters alone give",
                    result.n_units == 1 && !result.grouped ? "one prompt" : units_text(result)));
  }
}

Section section_of(const AnalysisInput& input, const stats::LoadOptions& options) {
  const std::optional<stats::RouterOutputs> outputs = router_outputs(input);
  const Side& side = input.side();
  LoadResult result = stats::load(side.signatures, side.groups, side.tokens,
                                  outputs ? &*outputs : nullptr, options);
  add_notices(input, result);
  Section section{.json = json_of(result, options),
                  .document = document_of(result, options),
                  .notices = result.notices,
                  .figures = {figure_of(result)}};
  section.files.push_back(text_file("load.tsv", tsv_of(result)));
  section.headlines = {{.quantity = "load CV of the experts",
                        .value = report::fixed(mean_load_cv(result), 3),
                        .remark = "mean over layers" + chance_text(result)}};
  section.page_part = PagePart{.chapter = Chapter::experts, .title = "Load, and what chance gives"};
  return section;
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data, "load counts selections, not their weights: not with --weighted");
  }
  stats::LoadOptions options;
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.stop = input.stop;
  options.placement = placement_of(input, arguments);
  if (arguments.given("window")) options.window = arguments.integer("window");
  if (options.window > 0 && has_counts(input.side().traces)) {
    throw Error(ErrorKind::data,
                {"--window needs single tokens, and this directory has counts, not tokens",
                 input.side().traces.directories.front().string(),
                 {},
                 {}});
  }
  return section_of(input, options);
}

void check(const Arguments& arguments) {
  if (arguments.given("placement") && !arguments.given("ep-size")) {
    throw Error(ErrorKind::usage, "--placement needs --ep-size, the number of devices");
  }
}

}  // namespace

Analysis load_analysis() {
  return {
      .name = "load",
      .summary = "How evenly experts are used, beside what chance alone gives",
      .description =
          "How evenly each layer uses its experts: coefficient of variation, largest over mean "
          "(MaxVio), entropy, Gini coefficient and experts that no token selects, each beside what "
          "uniform routing of as many tokens would show, and what prompts that differ as much as "
          "these would if all experts were equally popular. With --ep-size also how evenly "
          "devices would be loaded (balancedness), with --window MaxVio of single batches, and, "
          "where trace --router-logits recorded them, the Switch and router z losses. Reads "
          "counts as well as tokens; categories are not needed. With -o DIR it writes load.tsv, "
          "the figure load_by_layer, and report.json.",
      .flags = {{.name = "--ep-size",
                 .type = FlagType::integer,
                 .value_name = "G",
                 .help = "devices that the experts of a layer are spread over (expert parallelism)",
                 .min = 1,
                 .max = max_experts},
                {.name = "--placement",
                 .value_name = "FILE",
                 .help = "JSON with \"physical_to_logical_map\": for each layer the expert in each "
                         "slot, device by device (default: in order, without copies)"},
                {.name = "--window",
                 .type = FlagType::integer,
                 .value_name = "N",
                 .help = "also the MaxVio of batches of N tokens, as training sees them",
                 .min = 1,
                 .max = 1e9},
                group_by_flag()},
      .examples = {{"moexray load traces", "every layer, beside what chance gives"},
                   {"moexray load counts --ep-size 8 --placement eplb.json",
                    "how evenly eight devices would be loaded"},
                   {"moexray load traces --window 4096 --tokens prompt",
                    "the load of single batches of prompt tokens"}},
      .needs = {.tokens = true, .takes_counts = true, .takes_pool = true},
      .in_analyze = InAnalyze{.place = 85},
      .check = check,
      .run = run};
}

}  // namespace moexray::app
