#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "headline_text.h"
#include "html_report_parts.h"
#include "moexray/core/wording.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/html_table.h"
#include "moexray/report/svg.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_details;
using report::html_escaped;
using report::html_paragraph;
using report::HtmlTable;
using report::one_line;

// The table of all prompts grows with them; beyond this it is left to labels.tsv.
constexpr std::size_t max_listed_prompts = 2000;

std::string cell(const std::string& text) { return html_escaped(one_line(text, 256)); }

// The prompt's id, a link to its page where it has one.
std::string id_cell(const AnalysisInput& input, const Site& site, std::size_t row) {
  const std::string id = one_line(input.side().signatures.ids[row], 256);
  const std::string& page = site.prompt_pages.at(row);
  return page.empty() ? html_escaped(id) : report::html_link(page, id);
}

std::string text_cell(const AnalysisInput& input, std::size_t row, std::size_t max_bytes) {
  const std::size_t index = input.side().signatures.prompt_indices[row];
  return html_escaped(one_line(input.side().traces.prompts[index].text, max_bytes));
}

// How to see the pages of the prompts that have none here, with the same tokens counted.
std::string show_command(const AnalysisInput& input) {
  const stats::Selection& selection = input.settings.selection;
  std::string command = "moexray show ID TRACES --html ID.html";
  if (selection.tokens != stats::TokenSelection::all) {
    command += " --tokens " + std::string(name_of(selection.tokens));
  }
  if (selection.exclude_template) command += " --exclude-template";
  return command;
}

std::string pages_html(const AnalysisInput& input, const Site& site) {
  const std::size_t n = input.side().signatures.size();
  if (site.n_prompt_pages == n) {
    return "<p>Each id leads to a page that shows the prompt token by token.</p>\n";
  }
  std::string html = html_paragraph(fmt::format(
      "Pages of all {} prompts, token by token, would be too large; {} have one here: of each "
      "category the prompt that is most like the others and the one that is least like them.",
      n, site.n_prompt_pages));
  return html + "<p>For any other: <code>" + html_escaped(show_command(input)) + "</code></p>\n";
}

std::string per_class_html(const stats::ClassifyResult& found) {
  HtmlTable table("By category", {{"category", false, "name"},
                                  {"precision", true},
                                  {"recall", true},
                                  {"F1", true},
                                  {"prompts", true}});
  for (std::size_t k = 0; k < found.categories.size(); ++k) {
    const stats::ClassMetrics& metrics = found.per_class[k];
    table.add_row({cell(found.categories[k]), fixed(metrics.precision, 3), fixed(metrics.recall, 3),
                   fixed(metrics.f1, 3), std::to_string(metrics.support)});
  }
  return table.html();
}

// In place of a matrix that is too large to read: who was taken for whom, most often first.
std::string confusions_html(const stats::ClassifyResult& found) {
  struct Confusion {
    std::int64_t n;
    std::size_t truth;
    std::size_t predicted;
  };
  std::vector<Confusion> confusions;
  for (std::size_t k = 0; k < found.categories.size(); ++k) {
    const auto row = found.confusion.row(static_cast<Eigen::Index>(k));
    for (std::size_t other = 0; other < found.categories.size(); ++other) {
      const std::int64_t n = row(static_cast<Eigen::Index>(other));
      if (other != k && n > 0) confusions.push_back({n, k, other});
    }
  }
  std::stable_sort(confusions.begin(), confusions.end(),
                   [](const Confusion& a, const Confusion& b) { return a.n > b.n; });
  confusions.resize(std::min(confusions.size(), max_listed_prompts));
  HtmlTable table("Categories taken for others, most often first",
                  {{"true", false, "name"}, {"predicted", false, "name"}, {"prompts", true}});
  for (const Confusion& confusion : confusions) {
    table.add_row({cell(found.categories[confusion.truth]),
                   cell(found.categories[confusion.predicted]), std::to_string(confusion.n)});
  }
  return table.html();
}

std::string confusion_html(const stats::ClassifyResult& found) {
  if (found.categories.size() * found.categories.size() > report::max_svg_cells) {
    return confusions_html(found);
  }
  std::vector<HtmlTable::Column> columns{{"true \\ predicted", false, "name"}};
  for (const std::string& category : found.categories) {
    columns.push_back({one_line(category, 256), true});
  }
  HtmlTable table("Confusion matrix: prompts of a category (row) by what they were taken for",
                  std::move(columns));
  for (std::size_t k = 0; k < found.categories.size(); ++k) {
    std::vector<std::string> cells{cell(found.categories[k])};
    for (const std::int64_t count : found.confusion.row(static_cast<Eigen::Index>(k))) {
      cells.push_back(std::to_string(count));
    }
    table.add_row(cells);
  }
  return table.html();
}

std::string misclassified_html(const AnalysisInput& input, const stats::ClassifyResult& found,
                               const Site& site) {
  HtmlTable table("Prompts that were taken for another category", {{"prompt", false, "id"},
                                                                   {"category", false, "name"},
                                                                   {"predicted", false, "name"},
                                                                   {"fold", true},
                                                                   {"text", false, "text"}});
  std::size_t n_wrong = 0;
  for (std::size_t row = 0; row < found.predicted.size(); ++row) {
    if (found.truth[row] == found.predicted[row] || ++n_wrong > max_listed_prompts) continue;
    table.add_row({id_cell(input, site, row), cell(input.side().signatures.categories[row]),
                   cell(found.categories[static_cast<std::size_t>(found.predicted[row])]),
                   std::to_string(found.folds[row]), text_cell(input, row, 1000)});
  }
  if (n_wrong == 0) return html_paragraph("No prompt was misclassified.");
  std::string html = fmt::format("<h3>Misclassified: {} of {}</h3>\n", n_wrong,
                                 counted(std::ssize(found.predicted), "prompt"));
  if (n_wrong > max_listed_prompts) {
    html += html_paragraph(fmt::format("The first {} of them:", max_listed_prompts));
  }
  return html + table.html();
}

std::string top_experts_html(const stats::ClassifyResult& found) {
  constexpr int n_shown = 5;
  HtmlTable table(
      "Largest weights of a model fitted on all prompts",
      {{"category", false, "name"}, {"layer", true}, {"expert", true}, {"weight", true}});
  int category = -1;
  int n = 0;
  for (const stats::ExpertWeight& expert : found.top_experts) {
    n = expert.category == category ? n + 1 : 1;
    category = expert.category;
    if (n > n_shown) continue;
    table.add_row({cell(found.categories[static_cast<std::size_t>(category)]),
                   std::to_string(expert.layer), std::to_string(expert.expert),
                   fixed(expert.weight, 3)});
  }
  return html_details("Experts that speak most for each category", table.html());
}

}  // namespace

std::string classification_html(const Section& section, const AnalysisInput& input,
                                const Site& site) {
  const stats::ClassifyResult& found = *section.results.classify;
  return html_paragraph(fmt::format(
             "Logistic regression on standardised signatures, every prompt predicted by a model "
             "that did not see it: accuracy {} over {} folds, chance {}, macro F1 {}.",
             with_spread(found.accuracy.mean, found.accuracy.std, 3), found.accuracy.folds.size(),
             fixed(found.chance, 3), fixed(found.macro_f1, 3))) +
         per_class_html(found) + confusion_html(found) + misclassified_html(input, found, site) +
         top_experts_html(found);
}

std::string prompts_html(const AnalysisInput& input, const Results& results, const Site& site) {
  const stats::Signatures& signatures = input.side().signatures;
  const std::size_t n = signatures.size();
  // Of more prompts than fit those are listed that have a page, and as many others as there is
  // room for.
  HtmlTable table("All prompts", {{"prompt", false, "id"},
                                  {"category", false, "name"},
                                  {"tokens", true},
                                  {"predicted", false, "name"},
                                  {"text", false, "text"}});
  const std::size_t n_listed = std::min(n, std::max(max_listed_prompts, site.n_prompt_pages));
  std::size_t n_others = n_listed - site.n_prompt_pages;
  for (std::size_t row = 0; row < n; ++row) {
    if (site.prompt_pages.at(row).empty()) {
      if (n_others == 0) continue;
      --n_others;
    }
    const auto* classify = results.classify.get();
    table.add_row(
        {id_cell(input, site, row), cell(signatures.categories[row]),
         std::to_string(signatures.n_tokens[row]),
         classify == nullptr
             ? ""
             : cell(classify->categories[static_cast<std::size_t>(classify->predicted[row])]),
         text_cell(input, row, 300)});
  }
  const std::string summary =
      n_listed == n ? (n == 1 ? "The prompt" : fmt::format("All {} prompts", n))
                    : fmt::format("{} of {} prompts; labels.tsv lists all", n_listed, n);
  return pages_html(input, site) + html_details(summary, table.html());
}

}  // namespace moexray::app
