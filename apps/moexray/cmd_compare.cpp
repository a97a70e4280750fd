#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis.h"
#include "compare_structure.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/agreement.h"
#include "moexray/trace/origin.h"
#include "nested_flags.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::Alignment;
using stats::ChanceCorrected;
using stats::ClusteredEstimate;
using stats::LayerAgreement;

// Less is not enough to speak of two traces: a few common prefixes are the easy tokens.
constexpr double least_share = 0.5;

struct Comparison {
  Alignment alignment;
  std::vector<LayerAgreement> layers;  // none: the models have other layers or experts
  std::vector<LayerAgreement> floor;   // none: no --floor
  std::vector<double> lost_by_rank;    // of all layers; none: no layers, or no order of experts
  std::vector<std::string> notices;
};

Json estimate_json(const ClusteredEstimate& estimate) {
  return Json::object({{"estimate", estimate.estimate}, {"ci95", interval_json(estimate.ci95)}});
}

Json layer_json(int layer, const LayerAgreement& own) {
  Json chance = Json::object({});
  Json kappa = Json::object({});
  for (std::size_t i = 0; i < own.chance.size(); ++i) {
    const std::string name = stats::name_of(stats::chance_levels[i]);
    chance.set(name, own.chance[i].chance);
    kappa.set(name, estimate_json(own.chance[i].kappa));
  }
  return Json::object({{"layer", layer},
                       {"overlap", estimate_json(own.overlap)},
                       {"jaccard", own.jaccard},
                       {"top1", own.top1},
                       {"identical", own.identical},
                       {"chance", std::move(chance)},
                       {"kappa", std::move(kappa)},
                       {"coverage", own.chance.back().coverage}});
}

// Shares of all layers' lost places: each layer weighs as much as it lost.
std::vector<double> lost_by_rank(const std::vector<LayerAgreement>& layers) {
  std::vector<double> lost;
  double n_lost = 0;
  for (const LayerAgreement& layer : layers) {
    const double weight = 1 - layer.overlap.estimate;
    lost.resize(layer.lost_by_rank.size());
    for (std::size_t i = 0; i < lost.size(); ++i) lost[i] += weight * layer.lost_by_rank[i];
    n_lost += weight;
  }
  for (double& share : lost) share = n_lost > 0 ? share / n_lost : 0;
  return lost;
}

Json json_of(const Comparison& comparison) {
  const Alignment& alignment = comparison.alignment;
  Json::Array layers;
  for (std::size_t i = 0; i < comparison.layers.size(); ++i) {
    layers.push_back(layer_json(static_cast<int>(i), comparison.layers[i]));
  }
  Json floor;
  if (!comparison.floor.empty()) {
    Json::Array overlaps;
    for (const LayerAgreement& layer : comparison.floor) {
      overlaps.push_back(estimate_json(layer.overlap));
    }
    floor = Json(std::move(overlaps));
  }
  return Json::object(
      {{"aligned", Json::object({{"prompts", alignment.prompts.size()},
                                 {"units", alignment.n_units},
                                 {"only_in_traces", alignment.n_only_first},
                                 {"only_in_with", alignment.n_only_second},
                                 {"tokens", alignment.n_tokens},
                                 {"share", alignment.share()},
                                 {"by_token_ids", alignment.has_ids}})},
       {"agreement",
        Json::object({{"layers", Json(std::move(layers))}, {"floor", std::move(floor)}})},
       {"disagreement", Json::object({{"lost_by_rank", Json::array(comparison.lost_by_rank)}})}});
}

std::string aligned_text(const Alignment& alignment) {
  std::string text = fmt::format("{} of {} aligned ({}% of what either has)",
                                 counted(static_cast<std::int64_t>(alignment.n_tokens), "token"),
                                 counted(std::ssize(alignment.prompts), "prompt"),
                                 fixed(100 * alignment.share(), 1));
  if (alignment.n_units != alignment.prompts.size()) {
    text += fmt::format(", {}", counted(static_cast<std::int64_t>(alignment.n_units), "unit"));
  }
  const std::size_t n_alone = alignment.n_only_first + alignment.n_only_second;
  if (n_alone > 0) {
    text += fmt::format("; {} in one of the traces alone",
                        counted(static_cast<std::int64_t>(n_alone), "prompt"));
  }
  return text;
}

std::vector<std::string> table_row(std::size_t layer, const LayerAgreement& own,
                                   const Comparison& comparison) {
  std::vector<std::string> cells = {std::to_string(layer), fixed(own.overlap.estimate, 3),
                                    interval_text(own.overlap.ci95, 3)};
  for (const ChanceCorrected& one : own.chance) cells.push_back(fixed(one.chance, 3));
  for (const std::size_t level : {2, 3}) {
    const ClusteredEstimate& kappa = own.chance[level].kappa;
    cells.push_back(fixed(kappa.estimate, 3));
    cells.push_back(interval_text(kappa.ci95, 3));
  }
  cells.push_back(fixed(own.identical, 3));
  if (!comparison.floor.empty()) {
    cells.push_back(fixed(comparison.floor[layer].overlap.estimate, 3));
  }
  return cells;
}

report::Document document_of(const Comparison& comparison) {
  report::Document document;
  document.paragraph(aligned_text(comparison.alignment));
  if (comparison.layers.empty()) return document;
  std::vector<std::string> headings = {"layer",        "agreement",   "95% interval", "uniform",
                                       "popular",      "same prompt", "same type",    "κ prompt",
                                       "95% interval", "κ type",      "95% interval", "identical"};
  if (!comparison.floor.empty()) headings.emplace_back("floor");
  report::Table table(headings);
  for (std::size_t i = 0; i < comparison.layers.size(); ++i) {
    table.add_row(table_row(i, comparison.layers[i], comparison));
  }
  document.table(table, "How often both choose the same experts for a token");
  document.note(
      "agreement: share of the experts in common; uniform to same type: what chance would give, "
      "with more and more held fixed; κ = (agreement − chance) / (1 − chance), of the token "
      "against "
      "others of its prompt, and of its type in other prompts; intervals over prompts or groups");
  const std::vector<double>& lost = comparison.lost_by_rank;
  if (!lost.empty()) {
    std::string text;
    for (std::size_t rank = 0; rank < lost.size(); ++rank) {
      text += fmt::format("{}{}: {}%", rank == 0 ? "" : ", ", rank + 1, fixed(100 * lost[rank], 1));
    }
    document.paragraph("places lost, by rank in the first: " + text);
  }
  return document;
}

std::string tsv_of(const Comparison& comparison) {
  std::vector<std::string> headings = {"layer",   "overlap", "ci95_low", "ci95_high",
                                       "jaccard", "top1",    "identical"};
  for (const stats::ChanceLevel level : stats::chance_levels) {
    const std::string name = stats::name_of(level);
    for (const char* what : {"chance_", "kappa_", "kappa_low_", "kappa_high_", "coverage_"}) {
      headings.push_back(what + name);
    }
  }
  headings.emplace_back("floor");
  report::Tsv tsv(headings);
  for (std::size_t i = 0; i < comparison.layers.size(); ++i) {
    const LayerAgreement& own = comparison.layers[i];
    std::vector<std::string> cells = {std::to_string(i)};
    const auto add = [&](double value) { cells.push_back(shortest(value)); };
    for (const double value : {own.overlap.estimate, own.overlap.ci95[0], own.overlap.ci95[1],
                               own.jaccard, own.top1, own.identical}) {
      add(value);
    }
    for (const ChanceCorrected& one : own.chance) {
      for (const double value :
           {one.chance, one.kappa.estimate, one.kappa.ci95[0], one.kappa.ci95[1], one.coverage}) {
        add(value);
      }
    }
    add(comparison.floor.empty() ? NAN : comparison.floor[i].overlap.estimate);
    tsv.add_row(cells);
  }
  return tsv.text();
}

std::vector<report::Figure> figures_of(const Comparison& comparison) {
  std::vector<report::Figure> figures;
  if (comparison.layers.empty()) return figures;
  report::ScatterPlot plot;
  plot.groups = {"agreement", "same type", "same prompt", "popular", "uniform"};
  for (std::size_t i = 0; i < comparison.layers.size(); ++i) {
    const LayerAgreement& own = comparison.layers[i];
    const auto add = [&](double value, int group) {
      if (std::isnan(value)) return;
      plot.points.push_back({static_cast<double>(i), value, group, fmt::format("layer {}", i)});
    };
    for (int level = 0; level < 4; ++level) {
      add(own.chance[static_cast<std::size_t>(level)].chance, 4 - level);
    }
    add(own.overlap.estimate, 0);
  }
  plot.x_title = "layer";
  plot.y_title = "share of experts in common";
  plot.x_key = "layer";
  plot.y_key = "overlap";
  figures.push_back({"compare_agreement", "Agreement by layer",
                     "How many of a token's experts both routings choose, and what chance would "
                     "give with the experts' popularity, the prompt, or the token's type held "
                     "fixed.",
                     std::move(plot)});
  const std::vector<double>& lost = comparison.lost_by_rank;
  if (lost.empty()) return figures;
  report::BarChart bars;
  for (std::size_t rank = 0; rank < lost.size(); ++rank) {
    bars.labels.push_back(std::to_string(rank + 1));
    bars.values.push_back(lost[rank]);
  }
  bars.value_title = "share of the lost places";
  bars.references = {{1.0 / static_cast<double>(lost.size()), "all ranks alike"}};
  bars.label_key = "rank";
  bars.value_key = "share";
  figures.push_back({"compare_ranks", "Ranks of the experts lost",
                     "Which ranks the experts had in the first routing that the second does not "
                     "choose: those of the last ranks are near ties.",
                     std::move(bars)});
  return figures;
}

Alignment checked_alignment(const Side& first, const Side& other) {
  Alignment alignment =
      stats::align(first.signatures, first.tokens, other.signatures, other.tokens, first.groups);
  const std::string names = printable(first.name, 60) + " and " + printable(other.name, 60);
  if (alignment.n_shared_prompts == 0) {
    throw Error(ErrorKind::data, {"the traces have no prompt in common", names,
                                  "the same prompt ids", "other ones"});
  }
  if (!(alignment.share() >= least_share)) {
    throw Error(ErrorKind::data,
                {"too few tokens are the same in both (feed the recorded ones with trace --replay, "
                 "or compare prompts alone with --tokens prompt)",
                 names, "half of them at least, from the start of each prompt",
                 fixed(100 * alignment.share(), 1) + "%"});
  }
  return alignment;
}

void check_layers(const Side& first, const Side& other, const Alignment& alignment) {
  const int shift =
      stats::winning_shift(stats::layer_shifts(first.tokens, other.tokens, alignment));
  if (shift == 0) return;
  throw Error(ErrorKind::data,
              {"the layers of the traces are counted differently", printable(other.name, 60),
               "layers that agree best with those of the same number",
               fmt::format("layer ℓ of {} agrees best with layer ℓ {} {}",
                           printable(first.name, 60), shift > 0 ? "+" : "−", std::abs(shift))});
}

bool same_experts(const Side& a, const Side& b) {
  return a.tokens.shape.n_layers == b.tokens.shape.n_layers &&
         a.tokens.shape.n_experts == b.tokens.shape.n_experts;
}

std::string shape_text(const Side& side) {
  const RoutingShape& shape = side.tokens.shape;
  return fmt::format("{} × {} experts, top-{}", counted(shape.n_layers, "layer"), shape.n_experts,
                     shape.top_k);
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const Side& first = input.sides[0];
  const Side& other = input.sides[1];
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data,
                "agreement counts experts, not their weights: not with --weighted");
  }
  Comparison result;
  result.alignment = checked_alignment(first, other);
  stats::AgreementOptions options;
  options.n_threads = input.settings.n_threads;
  if (!same_experts(first, other)) {
    result.notices.push_back(
        fmt::format("agreement needs the same layers and experts: {} has {}, {} has {}",
                    printable(first.name, 60), shape_text(first), printable(other.name, 60),
                    shape_text(other)));
  } else {
    check_layers(first, other, result.alignment);
    WorkProgress progress(input, "comparing", first.tokens.shape.n_layers, "layers");
    options.work = progress.work();
    options.ordered = has_expert_order(first.traces) && has_expert_order(other.traces);
    result.layers = stats::agreement(first.tokens, other.tokens, result.alignment, options);
    result.lost_by_rank = lost_by_rank(result.layers);
    if (first.tokens.shape.top_k != other.tokens.shape.top_k) {
      result.notices.push_back(
          fmt::format("{} and {} experts a token: agreement is the share of the smaller set",
                      first.tokens.shape.top_k, other.tokens.shape.top_k));
    }
    if (!options.ordered) {
      result.notices.emplace_back("the order of experts was not recorded: nothing by rank");
    }
  }
  if (input.sides.size() > 2 && !result.layers.empty()) {
    const Side& floor = input.sides[2];
    if (!same_experts(first, floor)) {
      throw Error(ErrorKind::data,
                  {"--floor is another routing by the same model", printable(floor.name, 60),
                   shape_text(first), shape_text(floor)});
    }
    options.work = {};
    result.floor =
        stats::agreement(first.tokens, floor.tokens, checked_alignment(first, floor), options);
  }
  if (result.alignment.n_units < options.min_units) {
    result.notices.push_back(fmt::format("intervals need {} prompts or groups: there are {}",
                                         options.min_units, result.alignment.n_units));
  }
  if (!result.alignment.has_ids) {
    result.notices.emplace_back(
        "token ids are not recorded: tokens are aligned by position alone, and nothing is said of "
        "their types");
  } else if (!result.layers.empty() && std::isnan(result.layers[0].chance[3].chance)) {
    result.notices.push_back(fmt::format(
        "too few tokens have a type that other prompts know ({}%): nothing beyond types",
        fixed(100 * result.layers[0].chance[3].coverage, 0)));
  }
  Section section{.json = json_of(result),
                  .document = document_of(result),
                  .notices = result.notices,
                  .figures = figures_of(result)};
  if (!result.layers.empty()) section.files.push_back(text_file("compare.tsv", tsv_of(result)));
  add_structure(compare_structure(input, arguments, first, other), "", section);
  section.json.set("notices", Json::array(section.notices));
  return section;
}

}  // namespace

Analysis compare_analysis() {
  return {
      .name = "compare",
      .summary = "Do two routings of the same tokens choose the same experts?",
      .description =
          "Compares two traces of the same prompts, of two checkpoints, precisions or programs "
          "say: "
          "how many of a token's experts both choose at each layer, beside what chance would give "
          "with nothing, the experts' popularity, the prompt, or the token's type held fixed; and "
          "which ranks the experts had that the other does not choose. Tokens are aligned by "
          "prompt "
          "id and position, up to the first that differs: trace --replay feeds another model the "
          "same ones. A layer that fits the other's neighbour better, by much, is an error. "
          "Further, "
          "also for models of other shapes or tokenizers: how well both separate the categories, "
          "and "
          "whether a classifier of one knows them in the other; whether both find the same prompts "
          "alike (RSA, and CKA by pairs of layers), beside random routers where they watched "
          "(trace "
          "--shadow); and which expert of one is which of the other, matched on one half of the "
          "prompts and judged by the other. With -o DIR it writes compare.tsv, compare_cka.tsv, "
          "compare_matching.tsv, the figures compare_agreement, compare_ranks and compare_cka, and "
          "report.json.",
      .flags = {nested_folds_flag(), common_tokens_flag(), group_by_flag()},
      .examples = {{"moexray compare traces --with traces-float32",
                    "agreement by layer, with intervals over prompts"},
                   {"moexray compare base --with tuned --floor base-again --tokens prompt",
                    "beside what a second run of the same model gives; prompts alone"}},
      .needs = {.tokens = true},
      .other_sides = {{.name = "--with",
                       .type = FlagType::texts,
                       .value_name = "OTHER",
                       .help = "trace directories of the other routing"}},
      .optional_sides = {{.name = "--floor",
                          .type = FlagType::texts,
                          .value_name = "DIR",
                          .help = "the first routing once more (another batch plan or kernel): "
                                  "what no change at all looks like"}},
      .run = run};
}

}  // namespace moexray::app
