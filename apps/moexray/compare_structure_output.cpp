#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "compare_structure.h"
#include "compared_text.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::CkaResult;
using stats::IntervalEstimate;
using stats::MatchedLayer;
using stats::MatchingResult;
using stats::PairedNumber;
using stats::PairedStructure;
using stats::RsaResult;

std::array<double, 2> ends_of(const IntervalEstimate& estimate) {
  if (!estimate.has_interval()) return {NAN, NAN};
  return {estimate.low, estimate.high};
}

Json estimate_json(const IntervalEstimate& estimate) {
  return Json::object({{"estimate", estimate.estimate},
                       {"ci95", interval_json(ends_of(estimate))},
                       {"reason", text_or_null(estimate.reason)}});
}

Json clustered_json(const stats::ClusteredEstimate& estimate) {
  return Json::object({{"estimate", estimate.estimate}, {"ci95", interval_json(estimate.ci95)}});
}

Json positions_json(const stats::TestedPair& tested) {
  Json json = common_positions_json(tested.first_positions);
  json.set("m_with", tested.second_positions.n_tokens);
  json.set("n_compared", tested.prompts.size());
  return json;
}

Json structure_json(const ComparedStructure& compared) {
  if (!compared.structure) return {};
  Json json = Json::object({});
  for (const PairedNumber& number : compared.structure->numbers) {
    json.set(number.name, Json::object({{"a", number.estimate.first},
                                        {"b", number.estimate.second},
                                        {"difference", estimate_json(number.estimate.difference)},
                                        {"p_value", number.test.p_two_sided}}));
  }
  json.set("chance", compared.structure->chance);
  json.set("common_positions", positions_json(compared.tested));
  return json;
}

const char* name_of(stats::TransferFeatures features) {
  return features == stats::TransferFeatures::signatures ? "signatures" : "similarities";
}

Json transfer_json(const ComparedStructure& compared) {
  if (!compared.structure || compared.structure->transfer.empty()) return {};
  constexpr std::array sides = {"a", "b"};
  Json::Array cells;
  for (const stats::TransferCell& cell : compared.structure->transfer) {
    cells.push_back(Json::object({{"train", sides[static_cast<std::size_t>(cell.train)]},
                                  {"test", sides[static_cast<std::size_t>(cell.test)]},
                                  {"features", name_of(compared.structure->features)},
                                  {"accuracy", cell.accuracy},
                                  {"ci95", interval_json(cell.ci95)}}));
  }
  return Json(std::move(cells));
}

const char* tested_name(bool tests_halves) { return tests_halves ? "cross_half" : "same_tokens"; }

Json rsa_json(const ComparedStructure& compared) {
  const RsaResult& rsa = compared.rsa;
  Json random;
  if (compared.random_router) {
    random = Json::object({{"form", compared.random_router->form},
                           {"n_routers", compared.random_router->n_routers},
                           {"mean", compared.random_router->mean},
                           {"sd", compared.random_router->sd}});
  }
  const bool is_tested = rsa.not_tested.empty();
  return Json::object({{"same_tokens", estimate_json(rsa.same_tokens)},
                       {"cross_half", estimate_json(rsa.cross_half)},
                       {"reliability", Json(Json::Array{estimate_json(rsa.reliability[0]),
                                                        estimate_json(rsa.reliability[1])})},
                       {"corrected", estimate_json(rsa.corrected)},
                       {"block", rsa.block > 0 ? Json(rsa.block) : Json()},
                       {"n_without_halves", rsa.n_without_halves},
                       {"tested", is_tested ? Json(tested_name(rsa.tests_halves)) : Json()},
                       {"p_value", rsa.mantel.p_value},
                       {"p_value_within_categories", rsa.mantel_within.p_value},
                       {"draws", rsa.mantel.n_draws},
                       {"common_positions", is_tested ? positions_json(compared.tested) : Json()},
                       {"not_tested", text_or_null(rsa.not_tested)},
                       {"random_router", std::move(random)}});
}

Json rows_json(const stats::Matrix& matrix) {
  if (matrix.rows() == 0) return {};
  Json::Array rows;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    rows.push_back(Json::array(std::vector<double>(matrix.row(i).begin(), matrix.row(i).end())));
  }
  return Json(std::move(rows));
}

Json cka_json(const CkaResult& cka) {
  const bool is_tested = cka.not_tested.empty();
  return Json::object({{"value", rows_json(cka.value)},
                       {"cross_half", rows_json(cka.cross_half)},
                       {"p_adjusted", is_tested ? rows_json(cka.p_adjusted) : Json()},
                       {"tested", is_tested ? Json(tested_name(cka.tests_halves)) : Json()},
                       {"within_categories", cka.within_categories},
                       {"draws", cka.n_draws},
                       {"not_tested", text_or_null(cka.not_tested)}});
}

Json matched_layer_json(const MatchedLayer& layer, std::size_t n_experts) {
  Json::Array others(n_experts);
  for (const stats::MatchedExpert& one : layer.pairs) {
    others[static_cast<std::size_t>(one.expert)] = one.other;
  }
  return Json::object(
      {{"layer", layer.layer},
       {"other_layer", layer.other_layer},
       {"heldout_overlap", clustered_json(layer.heldout_overlap)},
       {"chance",
        Json::object({{"popularity", layer.popularity}, {"same_prompt", layer.same_prompt}})},
       {"kappa", Json::object({{"popularity", clustered_json(layer.kappa)},
                               {"same_prompt", layer.kappa_prompt}})},
       {"stability", layer.stability},
       {"identity", layer.identity},
       {"n_unused", Json::array(std::array{layer.n_unused_first, layer.n_unused_second})},
       {"others", Json(std::move(others))}});
}

Json matching_json(const ComparedStructure& compared) {
  const MatchingResult& matching = compared.matching;
  if (matching.layers.empty()) return {};
  const auto n_experts = static_cast<std::size_t>(compared.pair.first.shape.n_experts);
  Json::Array layers;
  for (const MatchedLayer& layer : matching.layers) {
    layers.push_back(matched_layer_json(layer, n_experts));
  }
  return Json::object({{"layers", Json(std::move(layers))},
                       {"heldout_overlap", matching.heldout_overlap},
                       {"kappa", matching.kappa},
                       {"identity", matching.identity},
                       {"same_experts", matching.same_experts()},
                       {"p_value", matching.test.p_value},
                       {"draws", matching.test.n_draws},
                       {"not_tested", text_or_null(matching.not_tested)}});
}

const char* title_of(const std::string& number) {
  if (number == "gap") return "gap";
  if (number == "cohens_d") return "Cohen's d";
  if (number == "auc") return "AUC";
  return number == "r_squared" ? "R²" : "accuracy";
}

void add_structure_tables(const ComparedStructure& compared, report::Document& document) {
  if (!compared.structure) return;
  const PairedStructure& structure = *compared.structure;
  report::Table table({"categories", "first", "second", "difference", "95% interval", "p"});
  for (const PairedNumber& number : structure.numbers) {
    const IntervalEstimate& difference = number.estimate.difference;
    table.add_row({title_of(number.name), fixed(number.estimate.first, 3),
                   fixed(number.estimate.second, 3), fixed(difference.estimate, 3),
                   interval_text(ends_of(difference), 3),
                   std::isnan(number.test.p_two_sided)
                       ? "n/a"
                       : p_text(number.test.p_two_sided, number.test.n_draws)});
  }
  document.table(table, "How well both separate the categories");
  const bool is_exchanged = !std::isnan(structure.numbers.front().test.p_two_sided);
  document.note("on the " + compared.tested.text() + "; intervals from the same resamples of both" +
                (is_exchanged ? ", p by exchanging the rows of both" : ""));
  if (structure.transfer.empty()) return;
  report::Table transfer({"classifier trained on", "told the first", "95% interval",
                          "told the second", "95% interval"});
  for (const std::size_t row : {0, 2}) {
    const stats::TransferCell& one = structure.transfer[row];
    const stats::TransferCell& two = structure.transfer[row + 1];
    transfer.add_row({row == 0 ? "the first" : "the second", fixed(one.accuracy, 3),
                      interval_text(one.ci95, 3), fixed(two.accuracy, 3),
                      interval_text(two.ci95, 3)});
  }
  document.table(transfer, "Does a classifier of one know the categories in the other?");
  document.note(fmt::format("accuracy on prompts it did not see, chance {}; by {}",
                            fixed(structure.chance, 3),
                            structure.features == stats::TransferFeatures::signatures
                                ? "signatures"
                                : "similarities to the training prompts, each in its own routing"));
}

std::string with_interval(const IntervalEstimate& estimate) {
  std::string text = fixed(estimate.estimate, 2);
  if (estimate.has_interval()) text += " (" + interval_text(ends_of(estimate), 2) + ")";
  return text;
}

std::string geometry_text(const ComparedStructure& compared) {
  const RsaResult& rsa = compared.rsa;
  std::string text = fmt::format("geometry: r {} {}", with_interval(rsa.same_tokens),
                                 rsa.block > 0 ? "of the same tokens" : "of all tokens");
  if (!std::isnan(rsa.cross_half.estimate)) {
    text += fmt::format(", {} of other tokens of the same prompts, reliabilities {} and {}",
                        with_interval(rsa.cross_half), fixed(rsa.reliability[0].estimate, 2),
                        fixed(rsa.reliability[1].estimate, 2));
  }
  if (!std::isnan(rsa.corrected.estimate)) {
    text += ", corrected " + with_interval(rsa.corrected);
  }
  if (compared.random_router) {
    const RandomRouterLevel& random = *compared.random_router;
    text += fmt::format(
        "; {} random routers ({}) with the first, same tokens {}", random.n_routers, random.form,
        std::isnan(random.sd) ? fixed(random.mean, 2)
                              : fixed(random.mean, 2) + " ± " + fixed(random.sd, 2));
  }
  if (std::isnan(rsa.mantel.p_value)) return text;
  text += fmt::format("; p = {}", p_text(rsa.mantel.p_value, rsa.mantel.n_draws));
  if (!std::isnan(rsa.mantel_within.p_value)) {
    text += fmt::format(", within categories {}",
                        p_text(rsa.mantel_within.p_value, rsa.mantel_within.n_draws));
  }
  return text;
}

// Of other tokens where there are halves.
const stats::Matrix& shown_cka(const CkaResult& cka) {
  return cka.cross_half.rows() > 0 ? cka.cross_half : cka.value;
}

std::string cka_text(const CkaResult& cka) {
  const stats::Matrix& shown = shown_cka(cka);
  double best = -INFINITY;
  Eigen::Index a = 0;
  Eigen::Index b = 0;
  int n_significant = 0;
  for (Eigen::Index i = 0; i < shown.rows(); ++i) {
    for (Eigen::Index j = 0; j < shown.cols(); ++j) {
      n_significant += cka.p_adjusted(i, j) <= 0.05 ? 1 : 0;
      if (!(shown(i, j) > best)) continue;
      best = shown(i, j);
      a = i;
      b = j;
    }
  }
  if (std::isinf(best)) return {};
  std::string text =
      fmt::format("CKA without bias{}: largest {}, of layers {} and {}",
                  cka.cross_half.rows() > 0 ? ", of other tokens" : "", fixed(best, 2), a, b);
  if (cka.not_tested.empty()) {
    text += fmt::format("; {} of {} pairs of layers go together{} (max-T p ≤ 0.05)", n_significant,
                        shown.size(), cka.within_categories ? " within categories" : "");
  }
  return text;
}

void add_matching_table(const ComparedStructure& compared, report::Document& document) {
  const MatchingResult& matching = compared.matching;
  if (matching.layers.empty()) return;
  report::Table table({"layer", "matched", "overlap", "95% interval", "popular", "same prompt", "κ",
                       "95% interval", "stable", "own number"});
  for (const MatchedLayer& layer : matching.layers) {
    table.add_row(
        {std::to_string(layer.layer), std::to_string(layer.other_layer),
         fixed(layer.heldout_overlap.estimate, 3), interval_text(layer.heldout_overlap.ci95, 3),
         fixed(layer.popularity, 3), fixed(layer.same_prompt, 3), fixed(layer.kappa.estimate, 3),
         interval_text(layer.kappa.ci95, 3), fixed(layer.stability, 2), fixed(layer.identity, 2)});
  }
  document.table(table, "Experts matched by what they are chosen with");
  std::string note =
      "matched on one half of the prompts, overlap of the other half; κ beyond popularity; stable: "
      "share of experts that both halves match alike; own number: share matched to it";
  if (!std::isnan(matching.test.p_value)) {
    note += fmt::format("; p = {} with the second's prompts exchanged within categories",
                        p_text(matching.test.p_value, matching.test.n_draws));
  }
  document.note(std::move(note));
}

std::string cka_tsv(const CkaResult& cka) {
  report::Tsv tsv({"layer", "other_layer", "value", "cross_half", "p_adjusted"});
  for (Eigen::Index a = 0; a < cka.value.rows(); ++a) {
    for (Eigen::Index b = 0; b < cka.value.cols(); ++b) {
      tsv.add_row({std::to_string(a), std::to_string(b), shortest(cka.value(a, b)),
                   shortest(cka.cross_half.rows() > 0 ? cka.cross_half(a, b) : NAN),
                   shortest(cka.p_adjusted(a, b))});
    }
  }
  return tsv.text();
}

std::string matching_tsv(const MatchingResult& matching) {
  report::Tsv tsv({"layer", "expert", "other_layer", "other_expert", "rate", "excess",
                   "runner_up_gap", "stable"});
  for (const MatchedLayer& layer : matching.layers) {
    for (const stats::MatchedExpert& one : layer.pairs) {
      tsv.add_row({std::to_string(layer.layer), std::to_string(one.expert),
                   std::to_string(layer.other_layer), std::to_string(one.other), shortest(one.rate),
                   shortest(one.excess), shortest(one.runner_up_gap), one.stable ? "1" : "0"});
    }
  }
  return tsv.text();
}

report::Figure cka_figure(const CkaResult& cka, const std::string& suffix) {
  const stats::Matrix& shown = shown_cka(cka);
  report::Heatmap map;
  for (Eigen::Index a = 0; a < shown.rows(); ++a) map.row_labels.push_back(std::to_string(a));
  for (Eigen::Index b = 0; b < shown.cols(); ++b) map.column_labels.push_back(std::to_string(b));
  map.values.assign(shown.data(), shown.data() + shown.size());
  map.row_title = "layer of the first";
  map.column_title = "layer of the second";
  map.value_title = "CKA without bias";
  map.scale.low = 0;
  map.scale.high = 1;
  map.row_key = "layer";
  map.column_key = "other_layer";
  map.value_key = "cka";
  const bool halves = cka.cross_half.rows() > 0;
  return {"compare_cka" + suffix, "Which layers place prompts alike?",
          std::string("How alike two layers place the prompts, by centred kernel alignment without "
                      "bias") +
              (halves ? " of two halves of every prompt's tokens, none of which is on both sides; "
                        "few tokens make it smaller."
                      : "; tokens that both read count on both sides."),
          std::move(map)};
}

}  // namespace

void add_structure(const ComparedStructure& compared, const std::string& suffix, Section& section) {
  section.json.set("structure", structure_json(compared));
  section.json.set("transfer", transfer_json(compared));
  section.json.set("rsa", rsa_json(compared));
  section.json.set("cka", cka_json(compared.cka));
  section.json.set("matching", matching_json(compared));
  add_structure_tables(compared, section.document);
  section.document.paragraph(geometry_text(compared));
  const std::string layers = cka_text(compared.cka);
  if (!layers.empty()) section.document.note(layers);
  add_matching_table(compared, section.document);
  section.files.push_back(text_file("compare_cka" + suffix + ".tsv", cka_tsv(compared.cka)));
  if (!compared.matching.layers.empty()) {
    section.files.push_back(
        text_file("compare_matching" + suffix + ".tsv", matching_tsv(compared.matching)));
  }
  section.figures.push_back(cka_figure(compared.cka, suffix));
  section.notices.insert(section.notices.end(), compared.notices.begin(), compared.notices.end());
}

}  // namespace moexray::app
