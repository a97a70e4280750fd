#include "summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "category_sizes.h"
#include "interval_text.h"
#include "moexray/core/escape.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/report/text_layout.h"
#include "verdict.h"

namespace moexray::app {
namespace {

using report::Document;
using report::fixed;
using report::Table;

// What the tables are made of, and the room that they have.
struct SummaryPage {
  const AnalysisInput& input;
  const std::vector<Section>& sections;
  const Results& results;
  std::size_t width;
  std::size_t max_rows;  // of a table; longer ones show their ends

  // Tables are kept to a line a row: of long names both ends are shown.
  std::string name(const std::string& text) const {
    constexpr std::size_t max_bytes = 4000;
    return report::shortened(printable(text, max_bytes), std::max<std::size_t>(width / 3, 8));
  }

  // "9/11 3.1, 3/4 2.2": those that a test says so of, the clearest first.
  std::string experts_of(const std::string& category) const {
    constexpr std::size_t n_shown = 2;
    const stats::ExpertCategoriesResult& all = *results.expert_categories;
    const auto found = std::lower_bound(all.categories.begin(), all.categories.end(), category);
    if (found == all.categories.end() || *found != category) return {};
    const auto c = static_cast<std::size_t>(found - all.categories.begin());
    if (c >= all.significant.size()) return {};
    std::string text;
    for (const std::size_t index : all.significant[c].more) {
      if (static_cast<std::size_t>(std::count(text.begin(), text.end(), '/')) == n_shown) break;
      const stats::ExpertCell& cell = all.cells[index];
      text += fmt::format("{}{}/{} {}", text.empty() ? "" : ", ", cell.layer, cell.expert,
                          fixed(cell.ratio, 1));
    }
    return text;
  }
};

std::string or_blank(double value, int n_decimals) {
  return std::isnan(value) ? std::string() : fixed(value, n_decimals);
}

std::string interval_or_blank(const std::array<double, 2>& ci95, int n_decimals) {
  return std::isnan(ci95[0]) ? std::string() : interval_text(ci95, n_decimals);
}

std::string interval_or_blank(const stats::IntervalEstimate& estimate, int n_decimals) {
  if (!estimate.has_interval()) return {};
  return interval_or_blank(std::array{estimate.low, estimate.high}, n_decimals);
}

// Calls add(i) for the first and the last of n rows and gap() between, once, if there are more than
// max_rows.
template <typename Add, typename Gap>
void add_ends(std::size_t n, std::size_t max_rows, Add add, Gap gap) {
  const std::size_t n_first = n <= max_rows ? n : max_rows / 2;
  for (std::size_t i = 0; i < n_first; ++i) add(i);
  if (n <= max_rows) return;
  gap();
  const std::size_t n_last = max_rows - n_first - 1;
  for (std::size_t i = n - n_last; i < n; ++i) add(i);
}

// The number that a result has for a category; blank if it has none.
std::string of_category(const std::vector<std::string>& names, const std::string& name,
                        auto&& number, int n_decimals) {
  const auto found = std::lower_bound(names.begin(), names.end(), name);
  if (found == names.end() || *found != name) return {};
  return or_blank(number(found - names.begin()), n_decimals);
}

Document categories_part(const SummaryPage& page) {
  const auto sizes = category_sizes(page.input.side().signatures);
  const std::vector<std::pair<std::string, CategorySize>> rows(sizes.begin(), sizes.end());
  const auto* similarity = page.results.similarity.get();
  const auto* classify = page.results.classify.get();
  using Align = Table::Align;
  const bool has_experts = page.results.expert_categories != nullptr &&
                           page.results.expert_categories->n_significant > 0;
  std::vector<std::string> headings{"category", "prompts", "tokens", "similarity", "F1"};
  std::vector<Align> alignment{Align::left, Align::right};
  if (has_experts) {
    headings.emplace_back("experts used more (× others)");
    alignment = {Align::left, Align::right, Align::right, Align::right, Align::right, Align::left};
  }
  Table table(headings, alignment);
  const auto add = [&](std::size_t i) {
    const auto& [category, size] = rows[i];
    std::string within;
    std::string f1;
    if (similarity != nullptr) {
      within = of_category(
          similarity->categories, category,
          [&](std::ptrdiff_t c) { return similarity->category_matrix(c, c); }, 3);
    }
    if (classify != nullptr) {
      f1 = of_category(
          classify->categories, category,
          [&](std::ptrdiff_t c) { return classify->per_class[static_cast<std::size_t>(c)].f1; }, 3);
    }
    std::vector<std::string> cells{category.empty() ? "(none)" : page.name(category),
                                   std::to_string(size.n_prompts), size.tokens_text(), within, f1};
    if (has_experts) cells.push_back(page.experts_of(category));
    table.add_row(cells);
  };
  add_ends(rows.size(), page.max_rows, add, [&] {
    std::vector<std::string> cells(headings.size());
    cells[0] = "…";
    table.add_row(cells);
  });
  Document document;
  document.table(std::move(table));
  if (rows.size() > page.max_rows) {
    document.note(fmt::format("{} categories: fig1_similarity.tsv, classify.tsv", rows.size()));
  }
  return document;
}

Document numbers_part(const SummaryPage& page) {
  const auto* similarity = page.results.similarity.get();
  Document document;
  if (similarity == nullptr) return document;
  Table table({"similarity", "estimate", "95% interval", "uniform", "popular", "p"});
  const stats::InferenceResult none;
  const bool has_stats = page.results.inference != nullptr;
  const stats::InferenceResult& stats = has_stats ? *page.results.inference : none;
  const auto interval = [&](const stats::IntervalEstimate& estimate, int n_decimals) {
    return has_stats ? interval_or_blank(estimate, n_decimals) : std::string();
  };
  const stats::ExpectedSimilarity& uniform = similarity->uniform;
  const stats::ExpectedSimilarity& popular = stats.popularity.simulated;
  const stats::PermutationTest& gap = stats.location.gap;
  table.add_row({"within categories", fixed(similarity->within.mean, 4),
                 interval(stats.bootstrap.within, 4), or_blank(uniform.within, 4),
                 or_blank(popular.within, 4), ""});
  table.add_row({"across categories", fixed(similarity->across.mean, 4),
                 interval(stats.bootstrap.across, 4), or_blank(uniform.across, 4),
                 or_blank(popular.across, 4), ""});
  table.add_row({"gap", fixed(similarity->gap, 4), interval(stats.bootstrap.gap, 4),
                 or_blank(uniform.within - uniform.across, 4),
                 or_blank(popular.within - popular.across, 4),
                 std::isnan(gap.p_value) ? "" : p_text(gap.p_value, gap.n_draws)});
  table.add_row({"Cohen's d", fixed(similarity->cohens_d, 2), interval(stats.bootstrap.cohens_d, 2),
                 "", "", ""});
  document.table(std::move(table));
  std::string note =
      "uniform, popular: what uniform routing and one pool of popular experts would give";
  if (has_stats) {
    note += stats.check.comparable() ? "; p: on the " + stats.positions.text()
                                     : "; no p: " + stats.check.reason;
  }
  document.note(note);
  return document;
}

Document accuracies_part(const SummaryPage& page) {
  const auto* classify = page.results.classify.get();
  const auto* confounds = page.results.confounds.get();
  Document document;
  if (classify == nullptr && confounds == nullptr) return document;
  Table table({"category told from", "accuracy", "95% interval"});
  std::string note;
  if (classify != nullptr) {
    const stats::Accuracy& accuracy = classify->accuracy;
    const bool nested = !std::isnan(accuracy.ci95[0]);
    table.add_row({"signature", fixed(accuracy.mean, 3),
                   interval_or_blank(nested ? accuracy.ci95 : accuracy.wilson95, 3)});
    note = fmt::format("chance {}", fixed(classify->chance, 3));
    if (!nested) note += "; the signature's interval is binomial";
  }
  if (confounds != nullptr) {
    // What stands behind the verdict; all of them are in the file.
    for (const char* name :
         {"lengths", "token_unigrams", "expected_from_types", "signature_minus_expected"}) {
      for (const stats::FeatureAccuracy& feature : confounds->features) {
        if (feature.name != name || !feature.left_out.empty()) continue;
        table.add_row({feature.title, fixed(feature.mean, 3), interval_or_blank(feature.ci95, 3)});
      }
    }
    const stats::ConfoundsVerdict& verdict = confounds->ladder.verdict;
    if (!std::isnan(verdict.p_value)) {
      note +=
          fmt::format("{}beyond tokens and positions: {}, {} under permuted labels, p = {}",
                      note.empty() ? "" : "; ", fixed(verdict.accuracy, 3),
                      fixed(verdict.chance, 3), p_text(verdict.p_value, verdict.n_permutations));
    }
  }
  document.table(std::move(table));
  if (!note.empty()) document.note(note);
  return document;
}

// Layers side by side, in two bands at most; more are elided.
Document layers_part(const SummaryPage& page) {
  Document document;
  const auto* layers = page.results.layers.get();
  if (layers == nullptr || layers->layers.size() < 2) return document;
  const auto* stats = page.results.inference.get();
  const std::size_t n = layers->layers.size();
  constexpr std::size_t label_width = 11;
  constexpr std::size_t cell_width = 7;
  const std::size_t fit = page.width > label_width ? (page.width - label_width) / cell_width : 0;
  const std::size_t n_bands = n > fit && n <= 2 * fit ? 2 : 1;
  for (std::size_t band = 0; band < n_bands; ++band) {
    std::vector<std::string> head{"layer"};
    std::vector<std::string> d{"Cohen's d"};
    std::vector<std::string> p{"adjusted p"};
    for (std::size_t i = band * n / n_bands; i < (band + 1) * n / n_bands; ++i) {
      head.push_back(std::to_string(i));
      d.push_back(fixed(layers->layers[i].cohens_d, 2));
      if (stats == nullptr || i >= stats->layers.size()) continue;
      p.push_back(fixed(stats->layers[i].p_adjusted, 3));
    }
    Table table(head);
    table.add_row(d);
    if (p.size() == head.size()) table.add_row(p);
    table.whole_in("stats_layers.tsv");
    document.table(std::move(table));
  }
  return document;
}

// What single analyses have to say.
std::string own_parts(const SummaryPage& page) {
  std::string text;
  for (const Section& section : page.sections) text += section.summary.text(page.width);
  return text;
}

Document files_part(const SummaryPage& page) {
  Document document;
  if (!page.input.settings.output) return document;
  // Without the directory's name: the same input gives the same text wherever its files go.
  document.paragraph("All tables: --verbose. To read, with figures: report.html, among the files.");
  return document;
}

std::size_t n_lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// Joined by blank lines; empty parts take none.
std::string lines_of(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : "\n") + part;
  }
  return text;
}

}  // namespace

std::string summary_text(const AnalysisInput& input, const std::vector<Section>& sections,
                         std::size_t width) {
  const Results results = results_of(sections);
  std::string verdict;
  if (results.verdict != nullptr) verdict = verdict_document(*results.verdict).text(width);
  Document head;
  head.paragraph(trace_line(input));
  std::vector<std::string> parts;
  // First fewer rows, then the parts that a reader misses least, the last of these lines first.
  for (const std::size_t max_rows : {8, 6, 4}) {
    const SummaryPage page{input, sections, results, width, max_rows};
    parts = {head.text(width),
             categories_part(page).text(width),
             numbers_part(page).text(width),
             accuracies_part(page).text(width),
             layers_part(page).text(width),
             own_parts(page),
             files_part(page).text(width),
             verdict};
    if (n_lines(lines_of(parts)) <= max_summary_lines) return lines_of(parts);
  }
  for (const std::size_t dropped : {5, 4, 3, 2, 1}) {
    parts[dropped].clear();
    if (n_lines(lines_of(parts)) <= max_summary_lines) break;
  }
  return lines_of(parts);
}

}  // namespace moexray::app
