#include <fmt/core.h>

#include <algorithm>
#include <string_view>

#include "expert_categories_output.h"
#include "html_report_parts.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"
#include "moexray/report/number.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_details;
using report::html_paragraph;
using report::one_line;

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

// Links to the pages of the experts that are named, by category.
std::string expert_pages_html(const Results& results, const Site& site) {
  if (results.expert_categories == nullptr || site.expert_pages.empty()) return {};
  const stats::ExpertCategoriesResult& found = *results.expert_categories;
  std::string items;
  for (std::size_t c = 0; c < found.significant.size(); ++c) {
    std::string links;
    for (const std::size_t index : named_cells(found, c)) {
      const stats::ExpertCell& cell = found.cells[index];
      const auto page = site.expert_pages.find({cell.layer, cell.expert});
      if (page == site.expert_pages.end()) continue;
      links += (links.empty() ? "" : ", ") +
               report::html_link(page->second, fmt::format("{}/{}", cell.layer, cell.expert));
    }
    if (links.empty()) continue;
    items += "<li>" + report::html_escaped(one_line(found.categories[c], 256)) + ": " + links +
             "</li>\n";
  }
  return "<p>Pages of single experts (layer/expert): their tokens, in context.</p>\n<ul>\n" +
         items + "</ul>\n";
}

}  // namespace

std::string experts_html(const Section& section, const AnalysisInput&, const Site& site) {
  const Results& results = section.results;
  std::string html =
      html_paragraph("An expert that these prompts do not use may still be used for others.");
  for (const report::Figure& figure : section.figures) html += html_figure(figure, site.files);
  return html + section.document.html() + expert_pages_html(results, site) +
         uses_html("Overloaded experts", results.experts->overloaded) +
         uses_html("Experts that are never used", results.experts->unused) +
         uses_html("Experts that are hardly used", results.experts->underused);
}

}  // namespace moexray::app
