#include "html_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "html_report_parts.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_details;
using report::html_paragraph;
using report::one_line;

// The section that computed a result; null if none did.
template <typename Result>
const Section* section_with(const std::vector<Section>& sections,
                            std::shared_ptr<const Result> Results::* result) {
  const auto found = std::find_if(sections.begin(), sections.end(), [&](const Section& section) {
    return section.results.*result != nullptr;
  });
  return found == sections.end() ? nullptr : &*found;
}

// The figures of all sections but that of the experts, which has its own place.
std::string figures_html(const std::vector<Section>& sections, const Site& site) {
  std::vector<const report::Figure*> figures;
  for (const Section& section : sections) {
    if (section.results.experts != nullptr) continue;
    for (const report::Figure& figure : section.figures) figures.push_back(&figure);
  }
  if (figures.empty()) return {};
  std::stable_sort(figures.begin(), figures.end(),
                   [](const auto* a, const auto* b) { return a->name < b->name; });
  std::string html = html_paragraph(
      "The table below a figure holds its values; where there is a pointer, it shows them too when "
      "it rests on a mark or a cell. Each figure lies beside this page as a file of its own.");
  for (const report::Figure* figure : figures) html += html_figure(*figure, site.files);
  return html;
}

// Intervals, tests and nulls; and what routing knows beyond the words, where that was asked.
std::string inference_html(const std::vector<Section>& sections) {
  std::string html;
  const auto add = [&](const Section* section, std::string_view title) {
    if (section == nullptr) return;
    html += fmt::format("<h3>{}</h3>\n", title) + section->document.html();
  };
  add(section_with(sections, &Results::inference), "Of the similarities");
  add(section_with(sections, &Results::confounds), "Does routing know more than the words?");
  add(section_with(sections, &Results::information), "Bits about the category");
  return html;
}

std::string uses_html(std::string_view title, const std::vector<stats::ExpertUse>& uses) {
  if (uses.empty()) return {};
  // A model can leave most of its experts unused; the data files hold them all.
  constexpr std::size_t max_uses = 2000;
  report::HtmlTable table(
      title,
      {{"layer", true}, {"expert", true}, {"count", true}, {"share", true}, {"× uniform", true}},
      report::HtmlTable::FirstColumn::is_data);
  for (std::size_t i = 0; i < std::min(uses.size(), max_uses); ++i) {
    const stats::ExpertUse& use = uses[i];
    table.add_row({std::to_string(use.layer), std::to_string(use.expert),
                   report::shortest(use.count), fixed(use.share, 4),
                   fixed(use.share_over_uniform, 4)});
  }
  return html_details(fmt::format("{}: {}{}", title, uses.size(),
                                  uses.size() > max_uses ? ", the first of them" : ""),
                      table.html());
}

std::string experts_html(const std::vector<Section>& sections, const Results& results,
                         const Site& site) {
  const Section* section = section_with(sections, &Results::experts);
  if (section == nullptr) return {};
  std::string html = html_paragraph(
      "An expert that these prompts do not use may still be used for others.");
  for (const report::Figure& figure : section->figures) html += html_figure(figure, site.files);
  return html + section->document.html() +
         uses_html("Overloaded experts", results.experts->overloaded) +
         uses_html("Experts that are never used", results.experts->unused) +
         uses_html("Experts that are hardly used", results.experts->underused);
}

std::string lead_html(const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  const RoutingShape& shape = input.traces.shape;
  std::string text =
      fmt::format("{} prompts, {} MoE layers × {} experts, top-{}; counted: {} tokens{}{}.",
                  input.signatures.size(), shape.n_layers, shape.n_experts, shape.top_k,
                  selection.tokens == stats::TokenSelection::generation ? "generated"
                                                                        : name_of(selection.tokens),
                  selection.exclude_template ? " without those of the chat template" : "",
                  selection.weighted ? ", weighted by the router" : "");
  return html_paragraph(text);
}

}  // namespace

std::string html_report(const AnalysisInput& input, const std::vector<Section>& sections,
                        const Site& site) {
  Results results;
  for (const Section& section : sections) results.merge(section.results);
  const std::string& model = input.traces.model_name;
  report::HtmlPage page("Routing signatures" + (model.empty() ? "" : " of " + one_line(model, 80)));
  page.lead(lead_html(input));
  page.section("headline", "Headline numbers", headline_html(input, sections, results));
  // Its first figure is the first of the report: which experts the categories use.
  page.section("experts-usage", "Experts", experts_html(sections, results, site));
  page.section("figures", "Figures", figures_html(sections, site));
  page.section("inference", "Intervals, tests, nulls and confounds", inference_html(sections));
  page.section("classification", "Classification", classification_html(input, results, site));
  page.section("prompts", "Prompts", prompts_html(input, results, site));
  page.section("limits", "What the figures do not show", limits_html(input));
  page.section("definitions", "Definitions", definitions_html(input));
  page.section("provenance", "Provenance", provenance_html(input));
  return page.html();
}

}  // namespace moexray::app
