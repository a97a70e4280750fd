#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "html_report_parts.h"
#include "moexray/core/wording.h"
#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "report_results.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_escaped;
using report::Json;
using report::shortest;

std::string joined(const Json& names, std::string_view separator) {
  std::string text;
  for (const Json& name : names.elements()) {
    text += (text.empty() ? "" : std::string(separator)) + std::string(name.text());
  }
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

// "0.81 to 0.87", "not calibrated" said; empty without an interval.
std::string interval_of(const Json& ci95, int n_decimals, std::string_view method = {}) {
  const auto ends = ci95.elements();
  if (ends.size() != 2) return {};
  return fixed(ends[0].number(), n_decimals) + " to " + fixed(ends[1].number(), n_decimals) +
         (method.find("not calibrated") != std::string_view::npos ? " (not calibrated)" : "");
}

std::string interval_of(const ReportResults& results, std::string_view name, int n_decimals) {
  return interval_of(results.at("stats", {"bootstrap", name, "ci95"}), n_decimals,
                     results.at("stats", {"bootstrap", name, "method"}).text());
}

// Two digits are what permutations support at best.
std::string p_text(double p) { return std::isfinite(p) ? fmt::format("{:.2g}", p) : "n/a"; }

void add_similarity_rows(const ReportResults& results, report::Table& table) {
  if (!results.has("similarity")) return;
  for (const std::string_view side : {"within", "across"}) {
    const auto n_pairs = static_cast<std::int64_t>(results.number("similarity", {side, "n_pairs"}));
    std::string remark = counted(n_pairs, "pair") + ", ± over pairs; uniform routing " +
                         fixed(results.number("similarity", {"uniform", side}), 4);
    if (results.has("stats")) {
      remark +=
          ", popular experts " + fixed(results.number("stats", {"nulls", "popularity", side}), 4);
    }
    table.add_row({fmt::format("similarity {} categories", side),
                   with_spread(results.number("similarity", {side, "mean"}),
                               results.number("similarity", {side, "std"}), 4),
                   interval_of(results, side, 4), std::move(remark)});
  }
  std::string gap_remark = "within − across";
  if (results.has("stats")) {
    gap_remark +=
        "; p = " + p_text(results.number("stats", {"permutation", "p_value"})) + " by relabelling";
  }
  table.add_row({"gap", fixed(results.number("similarity", {"gap"}), 4),
                 interval_of(results, "gap", 4), std::move(gap_remark)});
  table.add_row({"Cohen's d", fixed(results.number("similarity", {"cohens_d"}), 2),
                 interval_of(results, "cohens_d", 2), "gap over the pooled standard deviation"});
}

void add_stats_rows(const ReportResults& results, report::Table& table) {
  if (!results.has("stats")) return;
  table.add_row({"AUC", fixed(results.number("stats", {"bootstrap", "auc", "estimate"}), 3),
                 interval_of(results, "auc", 3),
                 "how often a pair within is more similar than a pair across"});
  table.add_row({"PERMANOVA", "R² " + fixed(results.number("stats", {"permanova", "r2"}), 3), "",
                 fmt::format("p = {}; spread (PERMDISP) p = {}",
                             p_text(results.number("stats", {"permanova", "p_value"})),
                             p_text(results.number("stats", {"permdisp", "p_value"})))});
  const double corrected = results.number("stats", {"noise_corrected", "gap"});
  if (std::isfinite(corrected)) {
    table.add_row({"gap, noise-corrected", fixed(corrected, 4), "", "assumes independent tokens"});
  }
}

void add_baseline_rows(const ReportResults& results, report::Table& table) {
  if (!results.has("baselines")) return;
  table.add_row({"load-balance baseline",
                 with_spread(results.number("baselines", {"load_balance", "mean"}),
                             results.number("baselines", {"load_balance", "std"}), 4),
                 "",
                 "uniform routing, same numbers of tokens; closed form " +
                     fixed(results.number("baselines", {"load_balance", "expected"}), 4)});
  table.add_row({"permutation baseline",
                 fixed(results.number("baselines", {"permutation", "expected"}), 4), "",
                 "experts permuted in every prompt and layer; exact expectation"});
  std::string ordering;
  for (const Json& group : results.at("baselines", {"ordering_groups"}).elements()) {
    ordering += (ordering.empty() ? "" : " < ") + joined(group, " = ");
  }
  if (!ordering.empty()) table.add_row({"ordering", ordering, "", "mean similarities"});
  table.add_row({"label shuffle",
                 "p = " + p_text(results.number("baselines", {"label_shuffle", "p_value"})), "",
                 "of the gap, " +
                     counted(static_cast<std::int64_t>(
                                 results.number("baselines", {"label_shuffle", "draws"})),
                             "shuffle") +
                     " of the categories"});
}

void add_layer_rows(const ReportResults& results, report::Table& table) {
  const double peak = results.number("layers", {"peak_layer"});
  if (!std::isfinite(peak)) return;
  const auto index = static_cast<std::size_t>(peak);
  const auto at_peak = [&](std::string_view section, std::string_view key) {
    const auto layers = results.at(section, {"layers"}).elements();
    const Json* value = index < layers.size() ? layers[index].find(key) : nullptr;
    return value == nullptr ? NAN : value->number();
  };
  std::string remark = "counted from 0; Cohen's d " + fixed(at_peak("layers", "cohens_d"), 2);
  const double p = at_peak("stats", "p_adjusted");
  if (std::isfinite(p)) remark += ", p = " + p_text(p) + " among all layers";
  table.add_row({"layer of the largest separation", whole(peak), "", std::move(remark)});
}

void add_projection_rows(const ReportResults& results, report::Table& table) {
  const auto ratios = results.at("project", {"pca", "explained_variance_ratio"}).elements();
  if (ratios.size() >= 2) {
    table.add_row({"variance along two principal components",
                   fixed(100 * (ratios[0].number() + ratios[1].number()), 1) + " %", "",
                   "of the centred signatures"});
  }
  const double trust = results.number("project", {"tsne", "trustworthiness"});
  if (std::isfinite(trust)) {
    table.add_row({"trustworthiness of t-SNE", fixed(trust, 3), "",
                   fmt::format("perplexity {:.4g}, KL divergence {}",
                               results.number("project", {"tsne", "perplexity"}),
                               fixed(results.number("project", {"tsne", "kl_divergence"}), 3))});
  }
}

void add_classifier_rows(const ReportResults& results, report::Table& table) {
  if (!results.has("classify")) return;
  const Json& wilson = results.at("classify", {"accuracy", "wilson95"});
  std::string remark = fmt::format("{} folds, ± over folds; chance {}",
                                   results.at("classify", {"accuracy", "folds"}).elements().size(),
                                   fixed(results.number("classify", {"chance"}), 3));
  if (wilson.elements().size() == 2) {
    remark += fmt::format("; Wilson 95% {}–{}", fixed(wilson.elements()[0].number(), 3),
                          fixed(wilson.elements()[1].number(), 3));
  }
  table.add_row({"classification accuracy",
                 with_spread(results.number("classify", {"accuracy", "mean"}),
                             results.number("classify", {"accuracy", "std"}), 3),
                 interval_of(results.at("classify", {"accuracy", "ci95"}), 3), std::move(remark)});
  table.add_row({"macro F1", fixed(results.number("classify", {"macro_f1"}), 3), "",
                 "pooled held-out predictions"});
}

void add_inference_rows(const ReportResults& results, report::Table& table) {
  if (results.has("confounds")) {
    const double p = results.number("confounds", {"verdict", "p_value"});
    table.add_row({"beyond the token types, routing",
                   std::string(results.at("confounds", {"verdict", "outcome"}).text()), "",
                   std::isfinite(p)
                       ? "p = " + p_text(p) + ", signature minus expected"
                       : std::string(results.at("confounds", {"verdict", "reason"}).text())});
  }
  if (results.has("information")) {
    table.add_row(
        {"information about the category",
         "at least " + fixed(results.number("information", {"bound", "bits"}), 3),
         interval_of(results.at("information", {"bound", "ci95"}), 3),
         "bits a prompt, of " + fixed(results.number("information", {"bound", "entropy"}), 3)});
  }
}

void add_expert_rows(const ReportResults& results, report::Table& table) {
  if (!results.has("experts")) return;
  const auto n = [&](std::string_view key) {
    return std::to_string(results.at("experts", {key}).elements().size());
  };
  table.add_row({"experts that are never used", n("unused"), "", "in all layers together"});
  table.add_row({"overloaded experts", n("overloaded"), "",
                 "above " +
                     shortest(results.number("experts", {"thresholds", "overloaded_above"})) +
                     " × an even share"});
}

// What sections, the reader and the selection had to say, each once.
std::string notices_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  std::vector<std::string> notices = input.traces.notices;
  for (const stats::LeftOut& prompt : input.signatures.left_out) {
    notices.push_back("prompt \"" + prompt.id + "\" left out: " + prompt.reason);
  }
  for (const Section& section : sections) {
    notices.insert(notices.end(), section.notices.begin(), section.notices.end());
  }
  std::set<std::string> seen;
  std::string items;
  for (const std::string& notice : notices) {
    if (seen.insert(notice).second) items += "<li>" + html_escaped(notice) + "</li>\n";
  }
  return items.empty() ? "" : "<h3>Notices</h3>\n<ul>\n" + items + "</ul>\n";
}

}  // namespace

std::string headline_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  const ReportResults results(sections);
  using Align = report::Table::Align;
  report::Table table({"quantity", "value", "95% interval", "of what"},
                      {Align::left, Align::left, Align::left, Align::left});
  add_similarity_rows(results, table);
  add_stats_rows(results, table);
  add_baseline_rows(results, table);
  add_layer_rows(results, table);
  add_projection_rows(results, table);
  add_classifier_rows(results, table);
  add_inference_rows(results, table);
  add_expert_rows(results, table);
  return table.html() + notices_html(input, sections);
}

}  // namespace moexray::app
