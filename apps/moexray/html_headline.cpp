#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "html_report_parts.h"
#include "moexray/core/wording.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_details;
using report::html_escaped;
using report::shortest;
using stats::IntervalEstimate;

// Two digits are what permutations support at best.
std::string p_text(double p) { return std::isfinite(p) ? fmt::format("{:.2g}", p) : "n/a"; }

std::string interval_of(const IntervalEstimate& estimate, int n_decimals) {
  if (!estimate.has_interval()) return {};
  return fixed(estimate.low, n_decimals) + " to " + fixed(estimate.high, n_decimals);
}

std::string interval_of(const std::array<double, 2>& ends, int n_decimals) {
  if (std::isnan(ends[0])) return {};
  return fixed(ends[0], n_decimals) + " to " + fixed(ends[1], n_decimals);
}

// Rows of quantity, value, 95% interval and a remark.
class NumberTable {
 public:
  explicit NumberTable(std::string_view caption)
      : table_(caption, {{"quantity", false, "name"},
                         {"value", false, "short"},
                         {"95% interval", false, "short"},
                         {"of what", false, "text"}}) {}

  void add(std::string_view quantity, std::string_view value, std::string_view interval,
           std::string_view remark) {
    table_.add_row({html_escaped(quantity), html_escaped(value), html_escaped(interval),
                    html_escaped(remark)});
  }
  std::string html() const { return table_.html(); }

 private:
  report::HtmlTable table_;
};

// The difference and its test lead: what a similarity is worth shows beside the other one only.
void add_difference(const Results& results, NumberTable& table) {
  if (results.similarity == nullptr) return;
  const stats::SimilarityResult& similarity = *results.similarity;
  std::string remark = "similarity within less similarity across categories";
  if (results.inference != nullptr) {
    const stats::InferenceResult& found = *results.inference;
    remark += found.check.comparable()
                  ? fmt::format("; p = {} by {}, on the {}", p_text(found.location.gap.p_value),
                                counted(found.location.gap.n_draws, "relabelling"),
                                found.positions.text())
                  : "; not tested: " + found.check.reason;
  } else if (results.baselines != nullptr) {
    remark += fmt::format("; p = {} by {}", p_text(results.baselines->label_shuffle.p_value),
                          counted(results.baselines->label_shuffle.n_draws, "relabelling"));
  }
  const auto* bootstrap = results.inference == nullptr ? nullptr : &results.inference->bootstrap;
  table.add("difference of similarities", fixed(similarity.gap, 4),
            bootstrap == nullptr ? "" : interval_of(bootstrap->gap, 4), remark);
  table.add("Cohen’s d", fixed(similarity.cohens_d, 2),
            bootstrap == nullptr ? "" : interval_of(bootstrap->cohens_d, 2),
            "the difference over the pooled standard deviation");
}

void add_accuracy(const Results& results, NumberTable& table) {
  if (results.classify == nullptr) return;
  const stats::ClassifyResult& found = *results.classify;
  table.add(
      "classification accuracy", with_spread(found.accuracy.mean, found.accuracy.std, 3),
      interval_of(found.accuracy.ci95, 3),
      fmt::format("chance {}; {} folds, ± over folds; Wilson 95% {}–{}", fixed(found.chance, 3),
                  found.accuracy.folds.size(), fixed(found.accuracy.wilson95[0], 3),
                  fixed(found.accuracy.wilson95[1], 3)));
}

void add_confounds(const Results& results, NumberTable& table) {
  if (results.confounds == nullptr) return;
  const stats::ConfoundsVerdict& verdict = results.confounds->verdict;
  table.add("beyond the token types, routing", stats::name_of(verdict.outcome), "",
            std::isfinite(verdict.p_value)
                ? "p = " + p_text(verdict.p_value) + ", signature minus expected"
                : verdict.reason);
}

// A layer stands out only if its test, adjusted for all of them, says so.
void add_layer(const Results& results, NumberTable& table) {
  if (results.layers == nullptr || results.layers->peak_layer < 0) return;
  const auto peak = static_cast<std::size_t>(results.layers->peak_layer);
  const std::string d = fixed(results.layers->layers[peak].cohens_d, 2);
  if (results.inference == nullptr || peak >= results.inference->layers.size() ||
      std::isnan(results.inference->layers[peak].p_adjusted)) {
    table.add("layer of the largest separation", std::to_string(peak), "",
              "counted from 0; Cohen’s d " + d + "; not tested");
    return;
  }
  const double p = results.inference->layers[peak].p_adjusted;
  const bool stands_out = p <= 0.05;
  table.add("layer of the largest separation", stands_out ? std::to_string(peak) : "none", "",
            stands_out
                ? "counted from 0; Cohen’s d " + d + ", p = " + p_text(p) + " among all layers"
                : fmt::format("the largest Cohen’s d, {} at layer {}, is within what chance gives "
                              "(p = {} among all layers)",
                              d, peak, p_text(p)));
}

void add_similarities(const Results& results, NumberTable& table) {
  if (results.similarity == nullptr) return;
  const auto* inference = results.inference.get();
  const auto add = [&](std::string_view side, const stats::PairStatistics& pairs, double uniform,
                       double popular, const IntervalEstimate* interval) {
    std::string remark = fmt::format("{}, ± over pairs; uniform routing {}",
                                     counted(pairs.n_pairs, "pair"), fixed(uniform, 4));
    if (inference != nullptr) remark += ", popular experts " + fixed(popular, 4);
    table.add(fmt::format("similarity {} categories", side), with_spread(pairs.mean, pairs.std, 4),
              interval == nullptr ? "" : interval_of(*interval, 4), remark);
  };
  const stats::SimilarityResult& found = *results.similarity;
  const auto popular =
      inference == nullptr ? stats::ExpectedSimilarity{} : inference->popularity.simulated;
  add("within", found.within, found.uniform.within, popular.within,
      inference == nullptr ? nullptr : &inference->bootstrap.within);
  add("across", found.across, found.uniform.across, popular.across,
      inference == nullptr ? nullptr : &inference->bootstrap.across);
}

void add_inference(const Results& results, NumberTable& table) {
  if (results.inference == nullptr) return;
  const stats::InferenceResult& found = *results.inference;
  const stats::BootstrapResult& bootstrap = found.bootstrap;
  std::string interval = interval_of(bootstrap.auc, 3);
  if (!interval.empty() && !bootstrap.auc_calibrated) interval += " (not calibrated)";
  table.add("AUC", fixed(bootstrap.auc.estimate, 3), interval,
            "how often a pair within is more similar than a pair across");
  if (found.check.comparable()) {
    table.add("PERMANOVA", "R² " + fixed(found.location.r_squared, 3), "",
              fmt::format("p = {}; spread (PERMDISP) p = {}; on the {}",
                          p_text(found.location.permanova.p_value),
                          p_text(found.dispersion.f.p_value), found.positions.text()));
  }
  if (std::isfinite(found.noise_corrected.gap)) {
    table.add("difference, noise-corrected", fixed(found.noise_corrected.gap, 4), "",
              "assumes independent tokens");
  }
}

void add_baselines(const Results& results, NumberTable& table) {
  if (results.baselines == nullptr) return;
  const stats::BaselinesResult& found = *results.baselines;
  table.add("load-balance baseline",
            with_spread(found.load_balance.all.mean, found.load_balance.all.std, 4), "",
            "uniform routing, same numbers of tokens; closed form " +
                fixed(found.load_balance.expected, 4));
  table.add("permutation baseline", fixed(found.permutation.expected, 4), "",
            "experts permuted in every prompt and layer; exact expectation");
  std::string ordering;
  for (const auto& group : found.ordering_groups) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      ordering += (i > 0 ? " = " : ordering.empty() ? "" : " < ") + group[i];
    }
  }
  std::replace(ordering.begin(), ordering.end(), '_', ' ');
  if (!ordering.empty()) table.add("ordering", ordering, "", "mean similarities");
  if (std::isnan(found.label_shuffle.p_value)) return;
  table.add("label shuffle", "p = " + p_text(found.label_shuffle.p_value), "",
            fmt::format("of the difference on common positions, {} of the categories",
                        counted(found.label_shuffle.n_draws, "shuffle")));
}

void add_projections(const Results& results, NumberTable& table) {
  if (results.pca != nullptr && results.pca->explained_variance_ratio.size() >= 2) {
    table.add("variance along two principal components",
              fixed(100 * results.pca->explained_variance_ratio.head(2).sum(), 1) + " %", "",
              "of the centred signatures");
  }
  if (results.tsne != nullptr) {
    table.add("trustworthiness of t-SNE", fixed(results.tsne->trustworthiness, 3), "",
              fmt::format("perplexity {:.4g}, KL divergence {}", results.tsne->perplexity,
                          fixed(results.tsne->kl_divergence, 3)));
  }
}

void add_others(const Results& results, NumberTable& table) {
  if (results.classify != nullptr) {
    table.add("macro F1", fixed(results.classify->macro_f1, 3), "", "pooled held-out predictions");
  }
  if (results.information != nullptr) {
    const stats::InformationBound& bound = results.information->bound;
    table.add("information about the category", "at least " + fixed(bound.bits, 3),
              interval_of(bound.ci95, 3), "bits a prompt, of " + fixed(bound.entropy, 3));
  }
  if (results.experts != nullptr) {
    table.add("experts that are never used", std::to_string(results.experts->unused.size()), "",
              "in all layers together");
    table.add("overloaded experts", std::to_string(results.experts->overloaded.size()), "",
              "above " + shortest(results.experts->overloaded_above) + " × an even share");
  }
}

// What sections, the reader and the selection had to say, each once.
std::string notices_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  std::vector<std::string> notices = input.traces.notices;
  for (const stats::LeftOut& prompt : input.signatures.left_out) {
    notices.push_back("prompt \"" + prompt.id + "\" left out: " + prompt.reason);
  }
  for (const Section& section : sections) {
    if (section.json.is_null()) continue;  // what it says stands above
    notices.insert(notices.end(), section.notices.begin(), section.notices.end());
  }
  std::set<std::string> seen;
  std::string items;
  for (const std::string& notice : notices) {
    if (seen.insert(notice).second) items += "<li>" + html_escaped(notice) + "</li>\n";
  }
  return items.empty() ? "" : "<h3>Notices</h3>\n<ul>\n" + items + "</ul>\n";
}

// Why a section is missing.
std::string left_out_html(const std::vector<Section>& sections) {
  std::string html;
  for (const Section& section : sections) {
    if (!section.json.is_null()) continue;
    for (const std::string& notice : section.notices) {
      html += "<p class=\"note\">" + html_escaped(notice) + "</p>\n";
    }
  }
  return html;
}

}  // namespace

std::string headline_html(const AnalysisInput& input, const std::vector<Section>& sections,
                          const Results& results) {
  NumberTable first("The numbers to look at first");
  add_difference(results, first);
  add_accuracy(results, first);
  add_confounds(results, first);
  add_layer(results, first);
  NumberTable rest("The numbers behind them");
  add_similarities(results, rest);
  add_inference(results, rest);
  add_baselines(results, rest);
  add_projections(results, rest);
  add_others(results, rest);
  return left_out_html(sections) + first.html() + html_details("All other numbers", rest.html()) +
         notices_html(input, sections);
}

}  // namespace moexray::app
