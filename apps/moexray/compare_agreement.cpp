#include "compare_agreement.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "interval_text.h"
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
  const ComparedPair& pair;
  std::vector<LayerAgreement> layers;
  std::vector<LayerAgreement> floor;  // none: no --floor
  // Of all layers together.
  std::vector<double> lost_by_rank = {};    // none: no order of experts
  std::vector<double> gained_by_rank = {};  // none: no router logits
  std::vector<double> near_ties = {};       // by near_tie_margins; likewise
};

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
                       {"weighted", own.weighted},
                       {"identical", own.identical},
                       {"chance", std::move(chance)},
                       {"kappa", std::move(kappa)},
                       {"coverage", own.chance.back().coverage}});
}

// Shares of all layers' places: each layer weighs as much as it lost or gained.
std::vector<double> over_layers(const std::vector<LayerAgreement>& layers,
                                std::vector<double> LayerAgreement::* shares,
                                double LayerAgreement::* weight) {
  std::vector<double> sums((layers.front().*shares).size());
  double n = 0;
  for (const LayerAgreement& layer : layers) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += layer.*weight * (layer.*shares)[i];
    n += layer.*weight;
  }
  for (double& share : sums) share = n > 0 ? share / n : 0;
  return sums;
}

std::vector<double> near_ties_of(const std::vector<LayerAgreement>& layers) {
  if (std::isnan(layers.front().near_ties[0])) return {};
  std::vector<double> shares(stats::near_tie_margins.size());
  for (const LayerAgreement& layer : layers) {
    for (std::size_t i = 0; i < shares.size(); ++i) {
      shares[i] += layer.near_ties[i] / static_cast<double>(layers.size());
    }
  }
  return shares;
}

Json near_ties_json(const std::vector<double>& near_ties) {
  if (near_ties.empty()) return {};
  Json::Array json;
  for (std::size_t i = 0; i < near_ties.size(); ++i) {
    json.push_back(Json::object({{"delta", stats::near_tie_margins[i]}, {"share", near_ties[i]}}));
  }
  return json;
}

void add_agreement_json(const Agreement& agreement, Json& json) {
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
  json.set("agreement",
           Json::object({{"layers", Json(std::move(layers))}, {"floor", std::move(floor)}}));
  const auto shares_json = [](const std::vector<double>& shares) {
    return shares.empty() ? Json() : Json::array(shares);
  };
  json.set("disagreement", Json::object({{"lost_by_rank", shares_json(agreement.lost_by_rank)},
                                         {"gained_by_rank", shares_json(agreement.gained_by_rank)},
                                         {"near_ties", near_ties_json(agreement.near_ties)}}));
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

report::Table agreement_table(const Agreement& agreement) {
  std::vector<std::string> headings = {"layer",        "agreement",   "95% interval", "uniform",
                                       "popular",      "same prompt", "same type",    "κ prompt",
                                       "95% interval", "κ type",      "95% interval", "identical"};
  if (!agreement.floor.empty()) headings.emplace_back("floor");
  report::Table table(headings);
  for (std::size_t i = 0; i < agreement.layers.size(); ++i) {
    table.add_row(agreement_row(i, agreement.layers[i], agreement));
  }
  return table;
}

// "1: 0.3%, 2: 1.1%", ranks counted from `first`; the last one is what lies beyond, or a rank.
std::string ranks_text(const std::vector<double>& shares, std::size_t first, bool has_beyond) {
  std::string text;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const std::string rank =
        has_beyond && i + 1 == shares.size() ? "beyond" : std::to_string(first + i);
    text += fmt::format("{}{}: {}%", i == 0 ? "" : ", ", rank, fixed(100 * shares[i], 1));
  }
  return text;
}

void describe_ranks(const Agreement& agreement, report::Document& document) {
  if (agreement.lost_by_rank.empty()) return;
  document.paragraph("places lost, by rank in the first: " +
                     ranks_text(agreement.lost_by_rank, 1, false));
  const ComparedPair& pair = agreement.pair;
  const bool is_narrowed = pair.first_tokens.shape.top_k < pair.first.tokens.shape.top_k;
  if (is_narrowed) return;
  if (agreement.gained_by_rank.empty()) {
    document.note(
        "which ranks the experts gained had, and near ties, need router logits in the first trace "
        "(trace --router-logits)");
    return;
  }
  document.note("places gained, by rank in the first: " +
                ranks_text(agreement.gained_by_rank, agreement.lost_by_rank.size() + 1, true));
  std::string ties;
  for (std::size_t i = 0; i < agreement.near_ties.size(); ++i) {
    ties +=
        fmt::format("{}{}% by less than {}", i == 0 ? "" : ", ",
                    fixed(100 * agreement.near_ties[i], 1), shortest(stats::near_tie_margins[i]));
  }
  document.note("tokens whose last expert leads the next in probability: " + ties);
}

void describe_agreement(const Agreement& agreement, report::Document& document) {
  if (agreement.pair.is_one_of_several()) return;
  document.table(agreement_table(agreement), "How often both choose the same experts for a token");
  document.note(
      "agreement: share of the experts in common; uniform to same type: what chance would give, "
      "with more and more held fixed; κ = (agreement − chance) / (1 − chance), of the token "
      "against others of its prompt, and of its type in other prompts; intervals over prompts or "
      "groups");
  describe_ranks(agreement, document);
}

std::string agreement_tsv(const Agreement& agreement) {
  std::vector<std::string> headings = {"layer",   "overlap", "ci95_low", "ci95_high",
                                       "jaccard", "top1",    "weighted", "identical"};
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
                               own.jaccard, own.top1, own.weighted, own.identical}) {
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

report::Figure agreement_figure(const std::vector<LayerAgreement>& layers) {
  report::ScatterPlot plot;
  plot.groups = {"agreement", "same type", "same prompt", "popular", "uniform"};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto add = [&](double value, int group) {
      if (std::isnan(value)) return;
      plot.points.push_back({static_cast<double>(i), value, group, fmt::format("layer {}", i)});
    };
    for (int level = 0; level < 4; ++level) {
      add(layers[i].chance[static_cast<std::size_t>(level)].chance, 4 - level);
    }
    add(layers[i].overlap.estimate, 0);
  }
  plot.x_title = "layer";
  plot.y_title = "share of experts in common";
  plot.x_key = "layer";
  plot.y_key = "overlap";
  return {"compare_agreement", "Agreement by layer",
          "How many of a token's experts both routings choose, and what chance would give with the "
          "experts' popularity, the prompt, or the token's type held fixed.",
          std::move(plot)};
}

report::BarChart ranks_chart(const std::vector<double>& shares, std::size_t first,
                             bool has_beyond) {
  report::BarChart bars;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const bool is_beyond = has_beyond && i + 1 == shares.size();
    bars.labels.push_back(is_beyond ? "beyond" : std::to_string(first + i));
    bars.values.push_back(shares[i]);
  }
  bars.label_key = "rank";
  bars.value_key = "share";
  return bars;
}

std::vector<report::Figure> agreement_figures(const Agreement& agreement) {
  std::vector<report::Figure> figures = {agreement_figure(agreement.layers)};
  const std::vector<double>& lost = agreement.lost_by_rank;
  if (!lost.empty()) {
    report::BarChart bars = ranks_chart(lost, 1, false);
    bars.value_title = "share of the lost places";
    bars.references = {{1.0 / static_cast<double>(lost.size()), "all ranks alike"}};
    figures.push_back({"compare_ranks", "Ranks of the experts lost",
                       "Which ranks the experts had in the first routing that the second does not "
                       "choose: those of the last ranks are near ties.",
                       std::move(bars)});
  }
  if (!lost.empty() && !agreement.gained_by_rank.empty()) {
    report::BarChart bars = ranks_chart(agreement.gained_by_rank, lost.size() + 1, true);
    bars.value_title = "share of the gained places";
    figures.push_back({"compare_gained", "Ranks of the experts gained",
                       "Which ranks the experts had in the first routing, by its logits, that the "
                       "second chooses and the first does not: the first ones are near ties.",
                       std::move(bars)});
  }
  for (report::Figure& figure : figures) figure.name += agreement.pair.suffix;
  return figures;
}

std::vector<LayerAgreement> floor_of(const ComparedPair& pair, stats::AgreementOptions options) {
  if (pair.floor == nullptr) return {};
  options.work = {};
  return stats::agreement(pair.first_tokens, pair.floor->tokens,
                          checked_alignment(pair.first, *pair.floor), options);
}

void add_agreement_notices(const ComparedPair& pair, const Agreement& agreement,
                           const stats::AgreementOptions& options,
                           std::vector<std::string>& notices) {
  const Alignment& alignment = pair.alignment;
  const int first_k = pair.first_tokens.shape.top_k;
  const int other_k = pair.other_tokens.shape.top_k;
  if (first_k != other_k) {
    notices.push_back(fmt::format(
        "{} and {} experts a token, in an order that was not recorded: agreement is the share of "
        "the smaller set",
        first_k, other_k));
  }
  if (!options.ordered) {
    notices.emplace_back("the order of experts was not recorded: nothing by rank");
  }
  if (alignment.n_units < options.min_units) {
    notices.push_back(fmt::format("intervals need {} prompts or groups: there are {}",
                                  options.min_units, alignment.n_units));
  }
  if (!alignment.has_ids) {
    notices.emplace_back(
        "token ids are not recorded: tokens are aligned by position alone, and nothing is said of "
        "their types");
  } else if (std::isnan(agreement.layers[0].chance[3].chance)) {
    notices.push_back(fmt::format(
        "too few tokens have a type that other prompts know ({}%): nothing beyond types",
        fixed(100 * agreement.layers[0].chance[3].coverage, 0)));
  }
}

}  // namespace

std::vector<LayerAgreement> add_agreement(const ComparedPair& pair, Section& section) {
  pair.check_aligned("agreement");
  check_same_experts(pair, "agreement");
  stats::AgreementOptions options;
  options.n_threads = pair.input.settings.n_threads;
  options.ordered = pair.ordered();
  WorkProgress progress(pair.input, "comparing", pair.first_tokens.shape.n_layers, "layers");
  options.work = progress.work();
  Agreement agreement{
      .pair = pair,
      .layers = stats::agreement(pair.first_tokens, pair.other_tokens, pair.alignment, options),
      .floor = floor_of(pair, options)};
  agreement.lost_by_rank =
      over_layers(agreement.layers, &LayerAgreement::lost_by_rank, &LayerAgreement::n_lost);
  agreement.gained_by_rank =
      over_layers(agreement.layers, &LayerAgreement::gained_by_rank, &LayerAgreement::n_gained);
  agreement.near_ties = near_ties_of(agreement.layers);
  add_agreement_notices(pair, agreement, options, section.notices);
  add_agreement_json(agreement, section.json);
  describe_agreement(agreement, section.document);
  section.files.push_back(text_file("compare" + pair.suffix + ".tsv", agreement_tsv(agreement)));
  std::vector<report::Figure> figures = agreement_figures(agreement);
  std::move(figures.begin(), figures.end(), std::back_inserter(section.figures));
  return std::move(agreement.layers);
}

Json clustered_json(const stats::ClusteredEstimate& estimate) {
  return Json::object({{"estimate", estimate.estimate}, {"ci95", interval_json(estimate.ci95)}});
}

}  // namespace moexray::app
