#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/npy.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/similarity.h"
#include "sections.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using stats::PairStatistics;
using stats::SimilarityResult;

// The prompt × prompt matrix grows with the square of the prompts: 200 MB here.
constexpr std::size_t max_matrix_prompts = 5000;
// More would be smaller than a printed dot, and the figure's table would exceed 10 MB.
constexpr std::size_t max_figure_prompts = 500;

bool is_zero(double value) { return value == 0; }

Json pairs_json(const PairStatistics& pairs) {
  return Json::object({{"mean", pairs.mean}, {"std", pairs.std}, {"n_pairs", pairs.n_pairs}});
}

Json json_of(const SimilarityResult& result) {
  Json::Array matrix;
  for (Eigen::Index row = 0; row < result.category_matrix.rows(); ++row) {
    matrix.push_back(Json::array(stats::Vector(result.category_matrix.row(row))));
  }
  return Json::object({{"within", pairs_json(result.within)},
                       {"across", pairs_json(result.across)},
                       {"gap", result.gap},
                       {"cohens_d", result.cohens_d},
                       {"uniform", Json::object({{"within", result.uniform.within},
                                                 {"across", result.uniform.across}})},
                       {"categories", Json::array(result.categories)},
                       {"category_matrix", std::move(matrix)},
                       {"notices", Json::array(result.notices)}});
}

report::Document document_of(const SimilarityResult& result) {
  report::Table pairs({"similarity", "mean", "std", "pairs", "uniform routing"});
  const auto add = [&](const char* name, const PairStatistics& side, double uniform) {
    pairs.add_row({name, fixed(side.mean, 4), fixed(side.std, 4), std::to_string(side.n_pairs),
                   fixed(uniform, 4)});
  };
  add("within categories", result.within, result.uniform.within);
  add("across categories", result.across, result.uniform.across);
  std::vector<std::string> headings{"mean similarity"};
  headings.insert(headings.end(), result.categories.begin(), result.categories.end());
  report::Table matrix(headings);
  for (std::size_t i = 0; i < result.categories.size(); ++i) {
    std::vector<std::string> row{result.categories[i]};
    for (Eigen::Index j = 0; j < result.category_matrix.cols(); ++j) {
      row.push_back(fixed(result.category_matrix(static_cast<Eigen::Index>(i), j), 4));
    }
    matrix.add_row(row);
  }
  matrix.square();
  matrix.whole_in("fig1_similarity.tsv, which -o DIR writes,");
  report::Document document;
  document.table(std::move(pairs));
  document.note(fmt::format(
      "gap {}, Cohen's d {}; uniform routing: what prompts of as many tokens would have "
      "if every expert were equally likely",
      fixed(result.gap, 4), fixed(result.cohens_d, 2)));
  document.table(std::move(matrix));
  return document;
}

// All that similarities of counts can be, and where uniform routing lies.
report::ColourScale scale_of(const SimilarityResult& result) {
  return {report::ColourScale::Kind::sequential,
          0,
          1,
          false,
          {result.uniform.all, "uniform routing of as many tokens"}};
}

report::Figure category_figure(const SimilarityResult& result) {
  report::Heatmap chart;
  chart.row_labels = chart.column_labels = result.categories;
  chart.values.assign(result.category_matrix.data(),
                      result.category_matrix.data() + result.category_matrix.size());
  chart.value_title = "mean similarity";
  chart.show_values = true;
  chart.scale = scale_of(result);
  chart.row_key = "category";
  chart.column_key = "other_category";
  chart.value_key = "mean_similarity";
  return {
      "fig1_similarity", "Similarity of routing by category",
      "Mean similarity of the routing signatures over all pairs of prompts of two categories; on "
      "the diagonal over the pairs within one category.",
      std::move(chart)};
}

// Prompt × prompt, ordered by category.
report::Figure prompts_figure(const SimilarityResult& result, const AnalysisInput& input) {
  constexpr std::size_t max_text_bytes = 200;
  const stats::Signatures& signatures = input.side().signatures;
  std::vector<std::size_t> order;
  report::Heatmap chart;
  for (const std::string& category : result.categories) {
    const std::size_t n_before = order.size();
    for (std::size_t i = 0; i < signatures.size(); ++i) {
      if (signatures.categories[i] == category) order.push_back(i);
    }
    chart.group_names.push_back(category);
    chart.group_sizes.push_back(static_cast<int>(order.size() - n_before));
  }
  const stats::Matrix matrix = stats::pair_similarity(stats::unit_blocks(signatures));
  for (const std::size_t i : order) {
    chart.row_labels.push_back(signatures.ids[i]);
    chart.row_texts.push_back(
        printable(input.side().traces.prompts[signatures.prompt_indices[i]].text, max_text_bytes));
    for (const std::size_t j : order) {
      chart.values.push_back(matrix(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)));
    }
  }
  chart.column_labels = chart.row_labels;
  chart.column_texts = chart.row_texts;
  chart.value_title = "similarity";
  chart.scale = scale_of(result);
  chart.row_key = "id";
  chart.column_key = "other_id";
  chart.value_key = "similarity";
  return {"fig1_prompts", "Similarity of routing, prompt by prompt",
          "Each cell is the similarity of the routing signatures of two prompts, ordered by "
          "category. The diagonal, each prompt with itself, is 1.",
          std::move(chart)};
}

// The distributions of the similarities within and across categories.
report::Figure pairs_figure(const SimilarityResult& result, const AnalysisInput& input) {
  constexpr int n_bins = 50;
  const stats::Signatures& signatures = input.side().signatures;
  const std::size_t n = signatures.size();
  std::vector<double> within(n_bins);
  std::vector<double> across(n_bins);
  stats::for_each_similarity_block(
      stats::unit_blocks(signatures), [&](Eigen::Index first, const stats::Matrix& rows) {
        if (*input.stop) throw Error(ErrorKind::interrupted, "interrupted");
        for (Eigen::Index i = 0; i < rows.rows(); ++i) {
          const auto row = static_cast<std::size_t>(first + i);
          for (std::size_t j = row + 1; j < n; ++j) {
            const double s = rows(i, static_cast<Eigen::Index>(j));
            const auto bin = static_cast<std::size_t>(std::clamp(s * n_bins, 0.0, n_bins - 1.0));
            ++(signatures.categories[row] == signatures.categories[j] ? within : across)[bin];
          }
        }
      });
  // The axis begins with the last empty tenth.
  int first = 0;
  while (first + n_bins / 10 < n_bins &&
         std::all_of(within.begin(), within.begin() + first + n_bins / 10, is_zero) &&
         std::all_of(across.begin(), across.begin() + first + n_bins / 10, is_zero)) {
    first += n_bins / 10;
  }
  report::Distribution chart;
  chart.low = static_cast<double>(first) / n_bins;
  const auto add = [&](const char* name, const std::vector<double>& counts,
                       const PairStatistics& pairs) {
    report::Distribution::Series series{fmt::format("{} categories", name), {}};
    for (auto i = static_cast<std::size_t>(first); i < counts.size() && pairs.n_pairs > 0; ++i) {
      series.shares.push_back(counts[i] / static_cast<double>(pairs.n_pairs));
    }
    chart.series.push_back(std::move(series));
  };
  add("within", within, result.within);
  add("across", across, result.across);
  if (std::abs(result.uniform.within - result.uniform.across) < 0.0005) {
    chart.references = {{result.uniform.all, "uniform routing, mean"}};
  } else {
    chart.references = {{result.uniform.within, "uniform routing, mean within"},
                        {result.uniform.across, "uniform routing, mean across"}};
  }
  chart.value_title = "similarity of a pair of prompts";
  chart.share_title = "share of the pairs";
  chart.series_key = "pairs";
  chart.value_key = "similarity";
  return {"fig1_pairs", "Similarity of pairs of prompts",
          "How the similarities of pairs within one category and of pairs of two categories are "
          "distributed. Lines: the mean that uniform routing would give pairs of as many tokens. "
          "Pairs share prompts and are not independent.",
          std::move(chart)};
}

void write_matrix(const AnalysisInput& input, const std::filesystem::path& path) {
  const stats::Signatures& signatures = input.side().signatures;
  const stats::Matrix blocks = stats::unit_blocks(signatures);
  const std::size_t n = signatures.size();
  if (n <= max_matrix_prompts) {
    const stats::Matrix matrix = stats::pair_similarity(blocks);
    report::write_npy(path, {matrix.data(), n * n}, n, n);
    return;
  }
  report::NpyWriter file(path, n, n);
  stats::for_each_similarity_block(blocks, [&](Eigen::Index, const stats::Matrix& rows) {
    if (*input.stop) throw Error(ErrorKind::interrupted, "interrupted");
    file.append({rows.data(), static_cast<std::size_t>(rows.size())});
  });
  file.commit();
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const stats::Signatures& signatures = input.side().signatures;
  const SimilarityResult result = stats::similarity(signatures);
  Section section{
      .json = json_of(result), .document = document_of(result), .notices = result.notices};
  section.figures.push_back(category_figure(result));
  // The pairs are worth their time only where they are drawn.
  if (input.settings.output) {
    if (signatures.size() >= 2 && signatures.size() <= max_matrix_prompts) {
      if (result.within.n_pairs + result.across.n_pairs > 0) {
        section.figures.push_back(pairs_figure(result, input));
      }
    }
    if (signatures.size() <= max_figure_prompts) {
      section.figures.push_back(prompts_figure(result, input));
    } else {
      section.notices.push_back(
          fmt::format("fig1_prompts is not drawn for more than {} prompts", max_figure_prompts));
    }
  }
  if (signatures.size() <= max_matrix_prompts || arguments.on("all-pairs")) {
    section.files.push_back({"similarity.npy", [&input](const std::filesystem::path& path) {
                               write_matrix(input, path);
                             }});
    section.files.push_back(labels_file(input.side()));
  } else if (input.settings.output) {
    const double gigabytes = 8e-9 * std::pow(static_cast<double>(signatures.size()), 2);
    section.notices.push_back(
        fmt::format("similarity.npy is not written for more than {} prompts; --all-pairs writes it "
                    "({:.1f} GB)",
                    max_matrix_prompts, gigabytes));
  }
  section.results.similarity = kept(result);
  return section;
}

std::vector<Flag> flags() {
  return {{.name = "--all-pairs",
           .type = FlagType::on_off,
           .help = "write similarity.npy for more than 5,000 prompts too: n² values of 8 "
                   "bytes"}};
}

}  // namespace

Analysis similarity_analysis() {
  return {.name = "similarity",
          .summary = "Similarity of routing within and across categories, Cohen's d",
          .description =
              "The similarity of two prompts is the cosine of their signatures, layer by layer, "
              "averaged over layers. Prints mean and standard deviation over the pairs within "
              "and across categories, beside what uniform routing would give prompts of as many "
              "tokens, their standardised difference, and the means for every "
              "pair of categories. With -o DIR it writes similarity.npy (prompts × prompts), "
              "labels.tsv, report.json and the figures fig1_similarity (categories × categories), "
              "fig1_pairs (distributions of similarities, for up to 5,000 prompts) "
              "and fig1_prompts (prompts × prompts, for up to 500), each as .tsv, .svg, "
              ".png and .pdf.",
          .flags = flags(),
          .examples = {{"moexray similarity traces", "the table"},
                       {"moexray similarity part-0 part-1 --exclude-template --json result.json",
                        "two parts of a sharded run, without the chat template's tokens"}},
          .in_analyze = InAnalyze{.place = 20, .flags = flags()},
          .run = run};
}

}  // namespace moexray::app
