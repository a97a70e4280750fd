#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "analysis.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/pca.h"
#include "moexray/stats/tsne.h"
#include "notices.h"
#include "progress.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::Matrix;
using stats::PcaResult;
using stats::TsneResult;

std::string category_name(const std::string& category) {
  return category.empty() ? "(none)" : category;
}

// The categories of the points, in alphabetical order.
std::vector<std::string> category_names(const stats::Signatures& signatures) {
  std::vector<std::string> names;
  for (const std::string& category : signatures.categories) {
    names.push_back(category_name(category));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Json points_json(const Matrix& points, const stats::Signatures& signatures) {
  Json::Array result;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    const std::string& category = signatures.categories[i];
    result.push_back(Json::object({{"id", signatures.ids[i]},
                                   {"category", text_or_null(category)},
                                   {"x", points(row, 0)},
                                   {"y", points(row, 1)}}));
  }
  return result;
}

report::ScatterPlot scatter_plot(const Matrix& points, const AnalysisInput& input) {
  constexpr std::size_t max_text_bytes = 200;
  const stats::Signatures& signatures = input.side().signatures;
  report::ScatterPlot plot;
  plot.groups = category_names(signatures);
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto row = static_cast<Eigen::Index>(i);
    const auto group = std::lower_bound(plot.groups.begin(), plot.groups.end(),
                                        category_name(signatures.categories[i]));
    plot.points.push_back({points(row, 0), points(row, 1),
                           static_cast<int>(group - plot.groups.begin()), signatures.ids[i],
                           printable(input.side().traces.prompts[signatures.prompt_indices[i]].text,
                                     max_text_bytes)});
  }
  return plot;
}

// Where the categories lie: the mean of their points.
report::Table centres_table(const Matrix& points, const stats::Signatures& signatures,
                            const std::vector<std::string>& headings, int n_decimals) {
  const std::vector<std::string> names = category_names(signatures);
  const auto n_categories = static_cast<Eigen::Index>(names.size());
  Matrix sums = Matrix::Zero(n_categories, 2);
  std::vector<std::int64_t> n_prompts(names.size());
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const auto found =
        std::lower_bound(names.begin(), names.end(), category_name(signatures.categories[i]));
    sums.row(found - names.begin()) += points.row(static_cast<Eigen::Index>(i));
    ++n_prompts[static_cast<std::size_t>(found - names.begin())];
  }
  report::Table table(headings);
  for (std::size_t c = 0; c < names.size(); ++c) {
    const auto centre = sums.row(static_cast<Eigen::Index>(c)) / static_cast<double>(n_prompts[c]);
    table.add_row({names[c], std::to_string(n_prompts[c]), fixed(centre(0), n_decimals),
                   fixed(centre(1), n_decimals)});
  }
  return table;
}

std::string percent(double ratio) {
  const std::string number = fixed(100 * ratio, 1);
  return number == "n/a" ? number : number + "%";
}

// Adds all of a projection but its JSON, which is returned.
Json add_pca(Section& section, const AnalysisInput& input, const PcaResult& result,
             bool standardize) {
  const stats::Signatures& signatures = input.side().signatures;
  const std::string first = percent(result.explained_variance_ratio(0));
  const std::string second = percent(result.explained_variance_ratio(1));
  section.notices.insert(section.notices.end(), result.notices.begin(), result.notices.end());
  section.document.paragraph(fmt::format(
      "PCA: the first two components explain {} and {} of the variance", first, second));
  section.document.table(
      centres_table(result.scores, signatures, {"centre", "prompts", "PC1", "PC2"}, 4));
  report::ScatterPlot plot = scatter_plot(result.scores, input);
  plot.x_title = fmt::format("PC1 ({} of variance)", first);
  plot.y_title = fmt::format("PC2 ({} of variance)", second);
  plot.x_key = "pc1";
  plot.y_key = "pc2";
  section.figures.push_back(
      {"fig4_pca", "Principal components of the routing signatures",
       fmt::format("Each point is a prompt. The axes are the two directions in which the {}"
                   "signatures vary most.",
                   standardize ? "standardised " : ""),
       std::move(plot)});
  if (result.explained_variance_ratio.size() >= 2) {
    section.headlines.push_back(
        {.quantity = "variance along two principal components",
         .value = fixed(100 * result.explained_variance_ratio.head(2).sum(), 1) + " %",
         .remark = "of the centred signatures"});
  }
  return Json::object({{"method", "pca"},
                       {"standardize", standardize},
                       {"explained_variance_ratio", Json::array(result.explained_variance_ratio)},
                       {"points", points_json(result.scores, signatures)},
                       {"notices", Json::array(result.notices)}});
}

Json add_tsne(Section& section, const AnalysisInput& input, const TsneResult& result,
              bool standardize) {
  const stats::Signatures& signatures = input.side().signatures;
  section.notices.insert(section.notices.end(), result.notices.begin(), result.notices.end());
  section.document.paragraph(fmt::format(
      "t-SNE: perplexity {:.4g}, KL divergence {}, trustworthiness {}", result.perplexity,
      fixed(result.kl_divergence, 4), fixed(result.trustworthiness, 4)));
  section.document.table(
      centres_table(result.embedding, signatures, {"centre", "prompts", "x", "y"}, 2));
  report::ScatterPlot plot = scatter_plot(result.embedding, input);
  plot.has_axes = false;
  section.figures.push_back(
      {"fig5_tsne", "t-SNE of the routing signatures",
       "Each point is a prompt; neighbours have similar signatures. The axes, the sizes of groups "
       "and the distances between them mean nothing.",
       std::move(plot),
       fmt::format("Perplexity {:.4g}, trustworthiness {}. Neighbours have similar signatures; "
                   "axes, sizes of groups and distances between them mean nothing.",
                   result.perplexity, fixed(result.trustworthiness, 3))});
  section.headlines.push_back(
      {.quantity = "trustworthiness of t-SNE",
       .value = fixed(result.trustworthiness, 3),
       .remark = fmt::format("perplexity {:.4g}, KL divergence {}", result.perplexity,
                             fixed(result.kl_divergence, 3))});
  return Json::object({{"method", "tsne"},
                       {"standardize", standardize},
                       {"perplexity", result.perplexity},
                       {"kl_divergence", result.kl_divergence},
                       {"trustworthiness", result.trustworthiness},
                       {"n_iterations", result.n_iterations},
                       {"points", points_json(result.embedding, signatures)},
                       {"notices", Json::array(result.notices)}});
}

PcaResult compute_pca(const AnalysisInput& input, const Arguments& arguments) {
  return stats::pca(input.side().signatures.values, {.standardize = arguments.on("standardize")});
}

// @param start as in TsneOptions
TsneResult compute_tsne(const AnalysisInput& input, const Arguments& arguments, Matrix start) {
  stats::TsneOptions options;
  options.perplexity = arguments.number("perplexity");
  options.standardize = arguments.on("standardize");
  options.start = std::move(start);
  options.seed = input.settings.seed;
  options.n_threads = input.settings.n_threads;
  options.stop = input.stop;
  const int n_descents = stats::tsne_descents(input.side().signatures.values.rows());
  Progress progress(*input.console, "t-SNE", n_descents * options.max_iterations, "iterations");
  options.progress = [&progress](int n_done) { progress.update(n_done); };
  return stats::tsne(input.side().signatures.values, options);
}

void check(const Arguments& arguments) {
  if (arguments.given("perplexity") && arguments.text("method") != "tsne") {
    throw Error(ErrorKind::usage, "--perplexity is for --method tsne");
  }
}

// One projection, by --method.
Section run(const AnalysisInput& input, const Arguments& arguments) {
  const bool standardize = arguments.on("standardize");
  Section section;
  if (arguments.text("method") == "tsne") {
    section.json = add_tsne(section, input, compute_tsne(input, arguments, {}), standardize);
  } else {
    section.json = add_pca(section, input, compute_pca(input, arguments), standardize);
  }
  return section;
}

// Both: {"pca": …, "tsne": …}, t-SNE left out (null) where there are too few prompts or too many.
Section run_both(const AnalysisInput& input, const Arguments& arguments) {
  const bool standardize = arguments.on("standardize");
  Section section;
  const PcaResult pca = compute_pca(input, arguments);
  Json pca_json = add_pca(section, input, pca, standardize);
  Json tsne_json;
  try {
    const TsneResult tsne = compute_tsne(input, arguments, pca.scores);
    tsne_json = add_tsne(section, input, tsne, standardize);
  } catch (const Error& error) {
    // Too few prompts, or too many; the PCA still stands.
    if (error.kind() != ErrorKind::data) throw;
    section.notices.push_back(std::string(reason_of(error.what())) + ": t-SNE left out");
    section.document.paragraph(std::string("t-SNE left out: ") + error.what());
  }
  section.json = Json::object({{"pca", std::move(pca_json)}, {"tsne", std::move(tsne_json)}});
  return section;
}

std::vector<Flag> shared_flags() {
  return {{.name = "--standardize",
           .type = FlagType::on_off,
           .help = "projections: scale every feature to standard deviation 1"},
          {.name = "--perplexity",
           .type = FlagType::number,
           .value_name = "P",
           .default_value = "30",
           .help = "t-SNE: how many neighbours a prompt has, roughly",
           .min = 1,
           .max = 1000}};
}

}  // namespace

Analysis project_analysis() {
  std::vector<Flag> flags = shared_flags();
  flags.insert(flags.begin(), {.name = "--method",
                               .type = FlagType::choice,
                               .value_name = "METHOD",
                               .default_value = "pca",
                               .help = "principal components, or t-SNE",
                               .choices = {"pca", "tsne"}});
  return {.name = "project",
          .summary = "Signatures as points of the plane: PCA or t-SNE",
          .description =
              "PCA draws the signatures, centred and unscaled, along the two directions in which "
              "they vary most. t-SNE keeps neighbours together: perplexity 30, lowered where "
              "prompts are few; 1,000 iterations from the PCA; no more than 20,000 prompts. It "
              "reports its KL divergence and trustworthiness. Prints where the categories lie. "
              "With -o DIR it writes the figure fig4_pca or fig5_tsne with its points, and "
              "report.json.",
          .flags = std::move(flags),
          .examples = {{"moexray project traces", "principal components"},
                       {"moexray project traces --method tsne --perplexity 10 -o tsne",
                        "t-SNE with small neighbourhoods; the points as a file"}},
          .in_analyze = InAnalyze{.place = 60,
                                  .remark = "(both methods)",
                                  .flags = shared_flags(),
                                  .run = run_both,
                                  .is_required = always},
          .check = check,
          .run = run};
}

}  // namespace moexray::app
