#include "html_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "html_report_parts.h"
#include "moexray/core/wording.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "verdict.h"

namespace moexray::app {
namespace {

using report::html_paragraph;
using report::one_line;

// What all results together say, if that was asked.
std::string verdict_html(const Results& results) {
  return results.verdict == nullptr ? std::string() : verdict_document(*results.verdict).html();
}

// The figures of all sections whose part of the page does not hold them.
std::string figures_html(const std::vector<Section>& sections, const Site& site) {
  std::vector<const report::Figure*> figures;
  for (const Section& section : sections) {
    if (section.page_part && section.page_part->holds_figures) continue;
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

std::string part_html(const Section& section, const AnalysisInput& input, const Site& site) {
  const PagePart& part = *section.page_part;
  return part.html ? part.html(section, input, site) : section.document.html();
}

// The parts of a chapter that several analyses fill.
std::string chapter_html(Chapter chapter, const AnalysisInput& input,
                         const std::vector<Section>& sections, const Site& site) {
  std::string html;
  for (const Section& section : sections) {
    if (!section.page_part || section.page_part->chapter != chapter) continue;
    const std::string& title = section.page_part->title;
    if (!title.empty()) html += "<h3>" + report::html_escaped(title) + "</h3>\n";
    html += part_html(section, input, site);
  }
  return html;
}

std::string lead_html(const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  const Side& side = input.side();
  const RoutingShape& shape = side.traces.shape;
  std::string text = fmt::format(
      "{}, {} × {}, top-{}; counted: {} tokens{}{}.",
      counted(std::ssize(side.signatures.ids), "prompt"), counted(shape.n_layers, "MoE layer"),
      counted(shape.n_experts, "expert"), shape.top_k,
      selection.tokens == stats::TokenSelection::generation ? "generated"
                                                            : name_of(selection.tokens),
      selection.exclude_template ? " without those of the chat template" : "",
      selection.weighted ? ", weighted by the router" : "");
  return html_paragraph(text);
}

}  // namespace

std::string html_report(const AnalysisInput& input, const std::vector<Section>& sections,
                        const Site& site) {
  const Results results = results_of(sections);
  const std::string& model = input.side().traces.model_name;
  report::HtmlPage page("Routing signatures" + (model.empty() ? "" : " of " + one_line(model, 80)));
  const auto chapter = [&](Chapter which) { return chapter_html(which, input, sections, site); };
  page.lead(lead_html(input));
  page.section("verdict", "Verdict", verdict_html(results));
  page.section("headline", "Headline numbers", headline_html(input, sections, results));
  // Its first figure is the first of the report: which experts the categories use.
  page.section("experts-usage", "Experts", chapter(Chapter::experts));
  page.section("figures", "Figures", figures_html(sections, site));
  page.section("inference", "Intervals, tests, nulls and confounds", chapter(Chapter::inference));
  page.section("classification", "Classification", chapter(Chapter::classification));
  for (const Section& section : sections) {
    if (!section.page_part || section.page_part->chapter != Chapter::own) continue;
    page.section(section.name, section.page_part->title, part_html(section, input, site));
  }
  page.section("prompts", "Prompts", prompts_html(input, results, site));
  page.section("limits", "What the figures do not show", limits_html(input));
  page.section("definitions", "Definitions", definitions_html(input));
  page.section("provenance", "Provenance", provenance_html(input));
  return page.html();
}

}  // namespace moexray::app
