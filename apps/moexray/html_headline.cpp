#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "headline_text.h"
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
using stats::IntervalEstimate;

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
  // Those of single analyses, in the order of their rows.
  void add(const std::vector<Section>& sections, bool is_first) {
    std::vector<const Section*> ordered;
    for (const Section& section : sections) ordered.push_back(&section);
    std::stable_sort(ordered.begin(), ordered.end(),
                     [](const auto* a, const auto* b) { return a->row < b->row; });
    for (const Section* section : ordered) {
      for (const Headline& headline : section->headlines) {
        if (headline.is_first != is_first) continue;
        add(headline.quantity, headline.value, headline.interval, headline.remark);
      }
    }
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
                  ? fmt::format(
                        "; p = {} by {}, on the {}", short_p_text(found.location.gap.p_value),
                        counted(found.location.gap.n_draws, "relabelling"), found.positions.text())
                  : "; not tested: " + found.check.reason;
  } else if (results.baselines != nullptr) {
    remark += fmt::format("; p = {} by {}", short_p_text(results.baselines->label_shuffle.p_value),
                          counted(results.baselines->label_shuffle.n_draws, "relabelling"));
  }
  const auto* bootstrap = results.inference == nullptr ? nullptr : &results.inference->bootstrap;
  table.add("difference of similarities", fixed(similarity.gap, 4),
            bootstrap == nullptr ? "" : ends_text(bootstrap->gap, 4), remark);
  table.add("Cohen’s d", fixed(similarity.cohens_d, 2),
            bootstrap == nullptr ? "" : ends_text(bootstrap->cohens_d, 2),
            "the difference over the pooled standard deviation");
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
                ? fmt::format("counted from 0; Cohen’s d {}; p = {} among all layers, {}", d,
                              short_p_text(p), results.inference->positions.text())
                : fmt::format(
                      "the largest Cohen’s d, {} at layer {}, does not stand out (p = {} among all "
                      "layers, {})",
                      d, peak, short_p_text(p), results.inference->positions.text()));
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
              interval == nullptr ? "" : ends_text(*interval, 4), remark);
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
  std::string interval = ends_text(bootstrap.auc, 3);
  if (!interval.empty() && !bootstrap.auc_calibrated) interval += " (not calibrated)";
  table.add("AUC", fixed(bootstrap.auc.estimate, 3), interval,
            "how often a pair within is more similar than a pair across");
  if (found.check.comparable()) {
    table.add("PERMANOVA", "R² " + fixed(found.location.r_squared, 3), "",
              fmt::format("p = {}; spread (PERMDISP) p = {}; on the {}",
                          short_p_text(found.location.permanova.p_value),
                          short_p_text(found.dispersion.f.p_value), found.positions.text()));
  }
  if (std::isfinite(found.noise_corrected.gap)) {
    table.add("difference, noise-corrected", fixed(found.noise_corrected.gap, 4), "",
              "assumes independent tokens");
  }
}

// What sections, the reader and the selection had to say, each once.
std::string notices_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  std::vector<std::string> notices = input.side().traces.notices;
  for (const stats::LeftOut& prompt : input.side().signatures.left_out) {
    notices.push_back("prompt \"" + prompt.id + "\" left out: " + prompt.reason);
  }
  for (const Section& section : sections) {
    if (!section.left_out.empty()) continue;  // what it says stands above
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
    if (section.left_out.empty()) continue;
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
  first.add(sections, true);
  add_layer(results, first);
  NumberTable rest("The numbers behind them");
  add_similarities(results, rest);
  add_inference(results, rest);
  rest.add(sections, false);
  return left_out_html(sections) + first.html() + html_details("All other numbers", rest.html()) +
         notices_html(input, sections);
}

}  // namespace moexray::app
