#include "html_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "html_report_parts.h"
#include "moexray/report/document.h"
#include "moexray/report/html_page.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "report_results.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::html_details;
using report::html_escaped;
using report::html_paragraph;
using report::Json;
using report::one_line;
using Align = report::Table::Align;

// The table of all prompts grows with them; beyond this it is left to labels.tsv.
constexpr std::size_t max_listed_prompts = 2000;

// Why a section, or a part of it, is missing.
std::string left_out_html(const Section& section) {
  std::string html;
  for (const std::string& notice : section.notices) {
    if (section.json.is_null() || notice.find(" left out: ") != std::string::npos) {
      html += "<p class=\"note\">" + html_escaped(notice) + "</p>\n";
    }
  }
  return html;
}

// The figures of all sections but that of the experts, which has its own place.
std::string figures_html(const std::vector<Section>& sections) {
  std::vector<const report::Figure*> figures;
  std::string left_out;
  for (const Section& section : sections) {
    if (section.name == "experts") continue;
    for (const report::Figure& figure : section.figures) figures.push_back(&figure);
    const bool has_own_place =
        section.name == "classify" || section.name == "confounds" || section.name == "information";
    if (!has_own_place) left_out += left_out_html(section);
  }
  std::stable_sort(figures.begin(), figures.end(),
                   [](const auto* a, const auto* b) { return a->name < b->name; });
  std::string html = html_paragraph(
      "Rest the pointer on a mark or a cell to see the prompt and its value, or open the table "
      "below a figure. "
      "Each figure lies beside this page as SVG, PNG and PDF with its data.");
  for (const report::Figure* figure : figures) html += html_figure(*figure);
  return html + left_out;
}

report::Table objects_table(const Json& rows, const std::vector<std::string>& keys,
                            const std::vector<std::string>& headings, int n_decimals) {
  std::vector<Align> alignment{Align::left};
  report::Table table(headings, std::move(alignment));
  for (const Json& row : rows.elements()) {
    std::vector<std::string> cells;
    for (const std::string& key : keys) {
      const Json* value = row.find(key);
      if (value == nullptr || !value->text().empty()) {
        cells.emplace_back(value == nullptr ? std::string_view() : value->text());
      } else {
        cells.push_back(fixed(value->number(), value->is_integer() ? 0 : n_decimals));
      }
    }
    table.add_row(cells);
  }
  return table;
}

// A table of prompts with room for their texts, which report::Table cuts.
class PromptTable {
 public:
  PromptTable(const std::vector<std::string>& headings, std::size_t max_text_bytes)
      : max_text_bytes_(max_text_bytes) {
    html_ = "<div class=\"scroll\"><table>\n<thead><tr>";
    for (const std::string& heading : headings) html_ += "<th>" + html_escaped(heading) + "</th>";
    html_ += "</tr></thead>\n<tbody>\n";
  }

  void add_row(const std::string& id, const std::vector<std::string>& cells,
               const std::string& text) {
    html_ += "<tr><td class=\"id\">" + html_escaped(one_line(id, 256)) + "</td>";
    for (const std::string& cell : cells)
      html_ += "<td>" + html_escaped(one_line(cell, 256)) + "</td>";
    html_ += "<td class=\"text\">" + html_escaped(one_line(text, max_text_bytes_)) + "</td></tr>\n";
  }

  std::string html() const { return html_ + "</tbody>\n</table></div>\n"; }

 private:
  std::size_t max_text_bytes_;
  std::string html_;
};

const TracePrompt& prompt_of(const AnalysisInput& input, std::size_t row) {
  return input.traces.prompts[input.signatures.prompt_indices[row]];
}

std::string text_of(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value == nullptr ? std::string() : std::string(value->text());
}

std::string misclassified_html(const AnalysisInput& input, std::span<const Json> predictions) {
  PromptTable table({"prompt", "category", "predicted", "fold", "text"}, 2000);
  std::size_t n_wrong = 0;
  // Predictions stand in the order of the signatures.
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    const Json& prediction = predictions[i];
    if (text_of(prediction, "category") == text_of(prediction, "predicted")) continue;
    ++n_wrong;
    const Json* fold = prediction.find("fold");
    table.add_row(text_of(prediction, "id"),
                  {text_of(prediction, "category"), text_of(prediction, "predicted"),
                   whole(fold == nullptr ? NAN : fold->number())},
                  prompt_of(input, i).text);
  }
  if (n_wrong == 0) return html_paragraph("No prompt was misclassified.");
  return fmt::format("<h3>Misclassified: {} of {} prompts</h3>\n", n_wrong, predictions.size()) +
         table.html() +
         "<p class=\"soft\"><code>moexray show ID</code> shows the routing of a prompt token by "
         "token.</p>\n";
}

std::string top_experts_html(const Json& experts) {
  constexpr int n_shown = 5;
  report::Table table({"category", "layer", "expert", "weight"});
  std::string category;
  int n = 0;
  for (const Json& expert : experts.elements()) {
    const std::string name = text_of(expert, "category");
    n = name == category ? n + 1 : 1;
    category = name;
    if (n > n_shown) continue;
    table.add_row({name, whole(expert.find("layer")->number()),
                   whole(expert.find("expert")->number()),
                   fixed(expert.find("weight")->number(), 3)});
  }
  return html_details("Experts that speak most for each category", table.html());
}

std::string classification_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  const ReportResults results(sections);
  const Section* section = results.section_of("classify");
  if (section == nullptr || section->json.is_null()) {
    return section == nullptr ? std::string() : left_out_html(*section);
  }
  std::string html = html_paragraph(fmt::format(
      "Logistic regression on standardised signatures, every prompt predicted by a model that did "
      "not see it: accuracy {} over {} folds, chance {}, macro F1 {}.",
      with_spread(results.number("classify", {"accuracy", "mean"}),
                  results.number("classify", {"accuracy", "std"}), 3),
      results.at("classify", {"accuracy", "folds"}).elements().size(),
      fixed(results.number("classify", {"chance"}), 3),
      fixed(results.number("classify", {"macro_f1"}), 3)));
  html += objects_table(results.at("classify", {"per_class"}),
                        {"category", "precision", "recall", "f1", "support"},
                        {"category", "precision", "recall", "F1", "prompts"}, 3)
              .html();
  const auto categories = results.at("classify", {"categories"}).elements();
  const auto confusion = results.at("classify", {"confusion"}).elements();
  std::vector<std::string> headings{"true \\ predicted"};
  for (const Json& category : categories) headings.emplace_back(category.text());
  report::Table matrix(std::move(headings));
  for (std::size_t k = 0; k < confusion.size(); ++k) {
    std::vector<std::string> cells{std::string(categories[k].text())};
    for (const Json& count : confusion[k].elements()) cells.push_back(whole(count.number()));
    matrix.add_row(cells);
  }
  html += matrix.html();
  html += misclassified_html(input, results.at("classify", {"predictions"}).elements());
  return html + top_experts_html(results.at("classify", {"top_experts"}));
}

// Intervals, tests and nulls; with `analyze --full` also what routing knows beyond the words.
std::string inference_html(const std::vector<Section>& sections) {
  const ReportResults results(sections);
  std::string html;
  for (const auto& [name, title] : {std::pair{"stats", "Of the similarities"},
                                    {"confounds", "Does routing know more than the words?"},
                                    {"information", "Bits about the category"}}) {
    const Section* section = results.section_of(name);
    if (section == nullptr) continue;
    html += fmt::format("<h3>{}</h3>\n", title);
    html += section->json.is_null() ? left_out_html(*section) : section->document.html();
  }
  return html;
}

std::string experts_html(const std::vector<Section>& sections) {
  const ReportResults results(sections);
  const Section* section = results.section_of("experts");
  if (section == nullptr) return {};
  if (section->json.is_null()) return left_out_html(*section);
  std::string html =
      html_paragraph("An expert that these prompts do not use may still be used for others.");
  for (const report::Figure& figure : section->figures) html += html_figure(figure);
  html += section->document.html();
  for (const auto& [key, title] : {std::pair{"overloaded", "Overloaded experts"},
                                   {"unused", "Experts that are never used"},
                                   {"underused", "Experts that are hardly used"}}) {
    const Json& uses = results.at("experts", {key});
    if (uses.elements().empty()) continue;
    const report::Table table =
        objects_table(uses, {"layer", "expert", "count", "share", "share_over_uniform"},
                      {"layer", "expert", "count", "share", "× uniform"}, 4);
    html += html_details(fmt::format("{}: {}", title, uses.elements().size()), table.html());
  }
  return html;
}

std::string prompts_html(const AnalysisInput& input, const std::vector<Section>& sections) {
  const stats::Signatures& signatures = input.signatures;
  if (signatures.size() > max_listed_prompts) {
    return html_paragraph(fmt::format(
        "{} prompts are too many for this page: labels.tsv lists them.", signatures.size()));
  }
  const auto predictions = ReportResults(sections).at("classify", {"predictions"}).elements();
  PromptTable table({"prompt", "category", "tokens", "predicted", "text"}, 300);
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    table.add_row(signatures.ids[i],
                  {signatures.categories[i], std::to_string(signatures.n_tokens[i]),
                   i < predictions.size() ? text_of(predictions[i], "predicted") : ""},
                  prompt_of(input, i).text);
  }
  return html_details(fmt::format("All {} prompts", signatures.size()), table.html());
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

std::string html_report(const AnalysisInput& input, const std::vector<Section>& sections) {
  const std::string& model = input.traces.model_name;
  report::HtmlPage page("Routing signatures" + (model.empty() ? "" : " of " + one_line(model, 80)));
  page.lead(lead_html(input));
  page.section("headline", "Headline numbers", headline_html(input, sections));
  page.section("figures", "Figures", figures_html(sections));
  page.section("inference", "Intervals, tests, nulls and confounds", inference_html(sections));
  page.section("classification", "Classification", classification_html(input, sections));
  page.section("experts-usage", "Expert usage", experts_html(sections));
  page.section("prompts", "Prompts", prompts_html(input, sections));
  page.section("limits", "What the figures do not show", limits_html(input));
  page.section("definitions", "Definitions", definitions_html(input));
  page.section("provenance", "Provenance", provenance_html(input));
  return page.html();
}

}  // namespace moexray::app
