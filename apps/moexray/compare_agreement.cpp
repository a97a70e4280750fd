#include "compare_agreement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
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

struct Agreement {
  const Alignment& alignment;
  std::vector<LayerAgreement> layers;  // none: the models have other layers or experts
  std::vector<LayerAgreement> floor;   // none: no --floor
  std::vector<double> lost_by_rank;    // of all layers; none: no layers, or no order of experts
};

Json clustered_json(const ClusteredEstimate& estimate) {
  return Json::object({{"estimate", estimate.estimate}, {"ci95", interval_json(estimate.ci95)}});
}

Json layer_agreement_json(int layer, const LayerAgreement& own) {
  Json chance = Json::object({});
  Json kappa = Json::object({});
  for (std::size_t i = 0; i < own.chance.size(); ++i) {
    const std::string name = stats::name_of(stats::chance_levels[i]);
    chance.set(name, own.chance[i].chance);
    kappa.set(name, clustered_json(own.chance[i].kappa));
  }
  return Json::object({{"layer", layer},
                       {"overlap", clustered_json(own.overlap)},
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

void add_agreement_json(const Agreement& agreement, Json& json) {
  const Alignment& alignment = agreement.alignment;
  Json::Array layers;
  for (std::size_t i = 0; i < agreement.layers.size(); ++i) {
    layers.push_back(layer_agreement_json(static_cast<int>(i), agreement.layers[i]));
  }
  Json floor;
  if (!agreement.floor.empty()) {
    Json::Array overlaps;
    for (const LayerAgreement& layer : agreement.floor) {
      overlaps.push_back(clustered_json(layer.overlap));
    }
    floor = Json(std::move(overlaps));
  }
  json.set("aligned", Json::object({{"prompts", alignment.prompts.size()},
                                    {"units", alignment.n_units},
                                    {"only_in_traces", alignment.n_only_first},
                                    {"only_in_with", alignment.n_only_second},
                                    {"tokens", alignment.n_tokens},
                                    {"share", alignment.share()},
                                    {"by_token_ids", alignment.has_ids}}));
  json.set("agreement",
           Json::object({{"layers", Json(std::move(layers))}, {"floor", std::move(floor)}}));
  json.set("disagreement", Json::object({{"lost_by_rank", Json::array(agreement.lost_by_rank)}}));
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

std::vector<std::string> agreement_row(std::size_t layer, const LayerAgreement& own,
                                       const Agreement& agreement) {
  std::vector<std::string> cells = {std::to_string(layer), fixed(own.overlap.estimate, 3),
                                    interval_text(own.overlap.ci95, 3)};
  for (const ChanceCorrected& one : own.chance) cells.push_back(fixed(one.chance, 3));
  for (const std::size_t level : {2, 3}) {
    const ClusteredEstimate& kappa = own.chance[level].kappa;
    cells.push_back(fixed(kappa.estimate, 3));
    cells.push_back(interval_text(kappa.ci95, 3));
  }
  cells.push_back(fixed(own.identical, 3));
  if (!agreement.floor.empty()) {
    cells.push_back(fixed(agreement.floor[layer].overlap.estimate, 3));
  }
  return cells;
}

void describe_agreement(const Agreement& agreement, report::Document& document) {
  document.paragraph(aligned_text(agreement.alignment));
  if (agreement.layers.empty()) return;
  std::vector<std::string> headings = {"layer",        "agreement",   "95% interval", "uniform",
                                       "popular",      "same prompt", "same type",    "κ prompt",
                                       "95% interval", "κ type",      "95% interval", "identical"};
  if (!agreement.floor.empty()) headings.emplace_back("floor");
  report::Table table(headings);
  for (std::size_t i = 0; i < agreement.layers.size(); ++i) {
    table.add_row(agreement_row(i, agreement.layers[i], agreement));
  }
  document.table(table, "How often both choose the same experts for a token");
  document.note(
      "agreement: share of the experts in common; uniform to same type: what chance would give, "
      "with more and more held fixed; κ = (agreement − chance) / (1 − chance), of the token "
      "against "
      "others of its prompt, and of its type in other prompts; intervals over prompts or groups");
  const std::vector<double>& lost = agreement.lost_by_rank;
  if (!lost.empty()) {
    std::string text;
    for (std::size_t rank = 0; rank < lost.size(); ++rank) {
      text += fmt::format("{}{}: {}%", rank == 0 ? "" : ", ", rank + 1, fixed(100 * lost[rank], 1));
    }
    document.paragraph("places lost, by rank in the first: " + text);
  }
}

std::string agreement_tsv(const Agreement& agreement) {
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
  for (std::size_t i = 0; i < agreement.layers.size(); ++i) {
    const LayerAgreement& own = agreement.layers[i];
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
    add(agreement.floor.empty() ? NAN : agreement.floor[i].overlap.estimate);
    tsv.add_row(cells);
  }
  return tsv.text();
}

std::vector<report::Figure> agreement_figures(const Agreement& agreement) {
  std::vector<report::Figure> figures;
  if (agreement.layers.empty()) return figures;
  report::ScatterPlot plot;
  plot.groups = {"agreement", "same type", "same prompt", "popular", "uniform"};
  for (std::size_t i = 0; i < agreement.layers.size(); ++i) {
    const LayerAgreement& own = agreement.layers[i];
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
  const std::vector<double>& lost = agreement.lost_by_rank;
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

void check_layers(const ComparedPair& pair) {
  const Side& first = pair.first;
  const Side& other = pair.other;
  const int shift =
      stats::winning_shift(stats::layer_shifts(first.tokens, other.tokens, pair.alignment));
  if (shift == 0) return;
  throw Error(ErrorKind::data,
              {"the layers of the traces are counted differently", printable(other.name, 60),
               "layers that agree best with those of the same number",
               fmt::format("layer ℓ of {} agrees best with layer ℓ {} {}",
                           printable(first.name, 60), shift > 0 ? "+" : "−", std::abs(shift))});
}

std::vector<LayerAgreement> floor_of(const ComparedPair& pair, stats::AgreementOptions options) {
  if (pair.floor == nullptr) return {};
  const ComparedPair same{pair.input, pair.first, *pair.floor, nullptr, {}};
  if (!same.same_experts()) {
    throw Error(ErrorKind::data,
                {"--floor is another routing by the same model", printable(pair.floor->name, 60),
                 shape_text(pair.first), shape_text(*pair.floor)});
  }
  options.work = {};
  return stats::agreement(pair.first.tokens, pair.floor->tokens,
                          checked_alignment(pair.first, *pair.floor), options);
}

void add_agreement_notices(const ComparedPair& pair, const Agreement& agreement,
                           const stats::AgreementOptions& options,
                           std::vector<std::string>& notices) {
  const Alignment& alignment = pair.alignment;
  if (agreement.layers.empty()) {
    notices.push_back(
        fmt::format("agreement needs the same layers and experts: {} has {}, {} has {}",
                    printable(pair.first.name, 60), shape_text(pair.first),
                    printable(pair.other.name, 60), shape_text(pair.other)));
  } else {
    const int first_k = pair.first.tokens.shape.top_k;
    const int other_k = pair.other.tokens.shape.top_k;
    if (first_k != other_k) {
      notices.push_back(
          fmt::format("{} and {} experts a token: agreement is the share of the smaller set",
                      first_k, other_k));
    }
    if (!options.ordered) {
      notices.emplace_back("the order of experts was not recorded: nothing by rank");
    }
  }
  if (alignment.n_units < options.min_units) {
    notices.push_back(fmt::format("intervals need {} prompts or groups: there are {}",
                                  options.min_units, alignment.n_units));
  }
  if (!alignment.has_ids) {
    notices.emplace_back(
        "token ids are not recorded: tokens are aligned by position alone, and nothing is said of "
        "their types");
  } else if (!agreement.layers.empty() && std::isnan(agreement.layers[0].chance[3].chance)) {
    notices.push_back(fmt::format(
        "too few tokens have a type that other prompts know ({}%): nothing beyond types",
        fixed(100 * agreement.layers[0].chance[3].coverage, 0)));
  }
}

}  // namespace

std::vector<LayerAgreement> add_agreement(const ComparedPair& pair, Section& section) {
  Agreement agreement{pair.alignment, {}, {}, {}};
  stats::AgreementOptions options;
  options.n_threads = pair.input.settings.n_threads;
  options.ordered = pair.ordered();
  if (pair.same_experts()) {
    check_layers(pair);
    WorkProgress progress(pair.input, "comparing", pair.first.tokens.shape.n_layers, "layers");
    options.work = progress.work();
    agreement.layers =
        stats::agreement(pair.first.tokens, pair.other.tokens, pair.alignment, options);
    agreement.lost_by_rank = lost_by_rank(agreement.layers);
    agreement.floor = floor_of(pair, options);
    section.files.push_back(text_file("compare.tsv", agreement_tsv(agreement)));
  }
  add_agreement_notices(pair, agreement, options, section.notices);
  add_agreement_json(agreement, section.json);
  describe_agreement(agreement, section.document);
  std::vector<report::Figure> figures = agreement_figures(agreement);
  std::move(figures.begin(), figures.end(), std::back_inserter(section.figures));
  return agreement.layers;
}

}  // namespace moexray::app
