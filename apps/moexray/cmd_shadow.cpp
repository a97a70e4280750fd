#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "analysis.h"
#include "compared_text.h"
#include "headline_text.h"
#include "interval_text.h"
#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/report/table.h"
#include "moexray/stats/random_routers.h"
#include "moexray/trace/shadows.h"
#include "nested_flags.h"
#include "shadow_tokens.h"
#include "text_or_null.h"
#include "work_progress.h"

namespace moexray::app {
namespace {

using report::fixed;
using report::Json;
using report::shortest;
using stats::RandomRoutersResult;
using stats::RouterContrast;
using stats::RouterFamily;
using stats::RouterOutcome;
using stats::RouterScores;

constexpr const char* how_to_trace = "no shadow routers were traced (trace --shadow random)";

// A column of the tables and a key of the JSON.
struct ScoreColumn {
  const char* key;
  const char* title;
  double RouterScores::* member;
  int n_decimals;
};
constexpr std::array score_columns = {
    ScoreColumn{"r_squared", "R²", &RouterScores::r_squared, 3},
    ScoreColumn{"bits", "bits", &RouterScores::bits, 3},
    ScoreColumn{"cohens_d", "d", &RouterScores::cohens_d, 3},
    ScoreColumn{"gap", "gap", &RouterScores::gap, 4},
    ScoreColumn{"accuracy", "accuracy", &RouterScores::accuracy, 3},
    ScoreColumn{"load_cv", "load CV", &RouterScores::load_cv, 3},
};

Json scores_json(const RouterScores& scores) {
  Json json = Json::object({});
  for (const ScoreColumn& column : score_columns) json.set(column.key, scores.*column.member);
  return json;
}

Json contrast_json(const RouterContrast& contrast) {
  return Json::object({{"difference", contrast.difference},
                       {"ci95", interval_json(contrast.ci95)},
                       {"router_error", contrast.router_error},
                       {"prompt_error", contrast.prompt_error}});
}

const char* name_of(RouterOutcome outcome) {
  switch (outcome) {
    case RouterOutcome::better:
      return "better";
    case RouterOutcome::no_better:
      return "no better";
    case RouterOutcome::worse:
      return "worse";
    case RouterOutcome::cannot_tell:
      break;
  }
  return "cannot tell";
}

Json json_of(const RandomRoutersResult& result, const stats::ComparedPrompts& compared) {
  Json trained = scores_json(result.trained);
  trained.set("selected_cohens_d", result.trained_d);
  Json::Array families;
  for (const RouterFamily& family : result.families) {
    families.push_back(Json::object({{"kind", family.kind},
                                     {"form", family.form},
                                     {"n_routers", family.members.size()},
                                     {"mean", scores_json(family.mean)},
                                     {"sd", scores_json(family.sd)},
                                     {"r_squared", contrast_json(family.r_squared)},
                                     {"bits", contrast_json(family.bits)},
                                     {"cohens_d", contrast_json(family.cohens_d)}}));
  }
  Json::Array routers;
  for (std::size_t i = 0; i < result.watched.size(); ++i) {
    Json router =
        Json::object({{"router", result.watched[i].router}, {"form", result.watched[i].form}});
    const Json scores = scores_json(result.scores[i]);
    for (const auto& [key, value] : scores.members()) router.set(key, value);
    router.set("selected_cohens_d", result.selected_d[i]);
    routers.push_back(std::move(router));
  }
  Json json = Json::object({{"outcome", name_of(result.outcome)},
                            {"reason", text_or_null(result.reason)},
                            {"trained", std::move(trained)},
                            {"families", std::move(families)},
                            {"routers", std::move(routers)},
                            {"notices", Json::array(result.notices)}});
  add_compared(compared, json);
  return json;
}

std::string family_name(const RouterFamily& family) {
  return family.kind == "random" ? "random, " + family.form : family.kind + ", " + family.form;
}

report::Table scores_table(const RandomRoutersResult& result) {
  std::vector<std::string> headings = {"router", "number"};
  for (const ScoreColumn& column : score_columns) headings.emplace_back(column.title);
  report::Table table(headings);
  std::vector<std::string> trained = {"trained", "1"};
  for (const ScoreColumn& column : score_columns) {
    trained.push_back(fixed(result.trained.*column.member, column.n_decimals));
  }
  table.add_row(trained);
  for (const RouterFamily& family : result.families) {
    std::vector<std::string> cells = {family_name(family), std::to_string(family.members.size())};
    for (const ScoreColumn& column : score_columns) {
      cells.push_back(
          with_spread(family.mean.*column.member, family.sd.*column.member, column.n_decimals));
    }
    table.add_row(cells);
  }
  return table;
}

report::Table contrasts_table(const RandomRoutersResult& result) {
  report::Table table({"trained − random", "R²", "95% interval", "bits", "95% interval"});
  for (const RouterFamily& family : result.families) {
    table.add_row({family_name(family), fixed(family.r_squared.difference, 3),
                   interval_text(family.r_squared.ci95, 3), fixed(family.bits.difference, 3),
                   interval_text(family.bits.ci95, 3)});
  }
  return table;
}

std::string outcome_text(const RandomRoutersResult& result) {
  if (result.outcome == RouterOutcome::cannot_tell) {
    return "cannot tell whether the trained router separates better than random projections of the "
           "same hidden states: " +
           result.reason;
  }
  const RouterFamily& family = result.families[static_cast<std::size_t>(result.verdict_family)];
  return fmt::format(
      "The trained router separates {} than random projections of the same hidden states of equal "
      "load: share of the variance between categories {} against {}, difference {}, 95% interval "
      "{}",
      name_of(result.outcome), fixed(family.r_squared.own, 3),
      with_spread(family.r_squared.mean, family.r_squared.sd, 3),
      fixed(family.r_squared.difference, 3), interval_text(family.r_squared.ci95, 3));
}

report::Document document_of(const RandomRoutersResult& result,
                             const stats::ComparedPrompts& compared) {
  report::Document document;
  document.paragraph(outcome_text(result));
  if (result.families.empty()) return document;
  document.table(scores_table(result), "How well routers separate the categories");
  document.note(fmt::format(
      "{}; load of all selected tokens; ± the standard deviation over routers. d over all selected "
      "tokens: trained {}{}",
      tested_text(compared), fixed(result.trained_d, 2), [&] {
        std::string text;
        for (const RouterFamily& family : result.families) {
          double sum = 0;
          for (const std::size_t i : family.members) sum += result.selected_d[i];
          text += fmt::format(", {} {}", family_name(family),
                              fixed(sum / static_cast<double>(family.members.size()), 2));
        }
        return text;
      }()));
  document.table(contrasts_table(result), "The trained router against others");
  document.note(
      "interval: ± the larger of what another random router stays within and 1.96 standard errors "
      "between prompts; the verdict is that of R² against load-matched random routers");
  return document;
}

std::string tsv_of(const RandomRoutersResult& result) {
  std::vector<std::string> headings = {"router", "form"};
  for (const ScoreColumn& column : score_columns) headings.emplace_back(column.key);
  headings.emplace_back("selected_cohens_d");
  report::Tsv tsv(headings);
  const auto add = [&](const std::string& router, const std::string& form,
                       const RouterScores& scores, double selected_d) {
    std::vector<std::string> cells = {router, form};
    for (const ScoreColumn& column : score_columns) {
      cells.push_back(shortest(scores.*column.member));
    }
    cells.push_back(shortest(selected_d));
    tsv.add_row(cells);
  };
  add("trained", "", result.trained, result.trained_d);
  for (std::size_t i = 0; i < result.watched.size(); ++i) {
    add(result.watched[i].router, result.watched[i].form, result.scores[i], result.selected_d[i]);
  }
  return tsv.text();
}

report::Figure figure_of(const RandomRoutersResult& result, const ScoreColumn& y,
                         const std::string& y_title) {
  report::ScatterPlot plot;
  plot.groups.emplace_back("trained");
  const auto add = [&](const RouterScores& scores, int group, const std::string& label) {
    plot.points.push_back({scores.r_squared, scores.*y.member, group, label});
  };
  for (const RouterFamily& family : result.families) {
    plot.groups.push_back(family_name(family));
    for (const std::size_t i : family.members) {
      add(result.scores[i], static_cast<int>(plot.groups.size()) - 1, result.watched[i].router);
    }
  }
  add(result.trained, 0, "trained");  // last, so that it lies above the others
  plot.x_title = "share of the variance between categories, R²";
  plot.y_title = y_title;
  plot.x_key = "r_squared";
  plot.y_key = y.key;
  return {std::string("shadow_") + y.key, "The trained router and others that hear the same",
          "Each point is a router on the same hidden states: how much of the variance of routing "
          "lies between categories, and " +
              y_title + ". Random routers have random weights of the trained ones' norms.",
          std::move(plot)};
}

std::vector<report::Figure> figures_of(const RandomRoutersResult& result) {
  std::vector<report::Figure> figures;
  if (result.families.empty()) return figures;
  if (!std::isnan(result.trained.bits)) {
    figures.push_back(figure_of(result, score_columns[1], "held-out bits about the category"));
  }
  figures.push_back(figure_of(result, score_columns[2], "Cohen's d of the similarities"));
  return figures;
}

std::vector<Headline> headlines_of(const RandomRoutersResult& result) {
  if (result.verdict_family < 0) return {};
  const RouterContrast& contrast =
      result.families[static_cast<std::size_t>(result.verdict_family)].r_squared;
  return {
      {.quantity = "trained − random router, R²",
       .value = fixed(contrast.difference, 3),
       .interval = ends_text(contrast.ci95, 3),
       .remark = fmt::format("share of the variance between categories: {} against {}",
                             fixed(contrast.own, 3), with_spread(contrast.mean, contrast.sd, 3))}};
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const Side& side = input.side();
  if (!has_shadows(side.traces)) throw Error(ErrorKind::data, how_to_trace);
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data,
                "shadows are recorded without router weights: not with --weighted");
  }
  const ShadowReader reader(side.traces);
  std::vector<stats::WatchedRouter> watched;
  for (const ManifestShadow& shadow : reader.shadows()) {
    watched.push_back({shadow.router, shadow.form});
  }
  WorkProgress progress(input, "shadow routers", std::ssize(watched), "routers");
  stats::RandomRoutersOptions options;
  options.scores.seed = input.settings.seed;
  if (arguments.has("folds")) {
    options.scores.n_folds = static_cast<int>(arguments.integer("folds"));
  }
  options.n_threads = input.settings.n_threads;
  options.work = progress.work();
  RandomRoutersResult result = stats::random_routers(
      side.signatures, side.compared, std::move(watched),
      [&](std::size_t shadow) { return routed_by(side, reader, shadow); }, options);
  Section section{.json = json_of(result, side.compared),
                  .document = document_of(result, side.compared),
                  .notices = result.notices};
  section.files.push_back(text_file("shadow.tsv", tsv_of(result)));
  section.figures = figures_of(result);
  section.headlines = headlines_of(result);
  section.page_part =
      PagePart{.chapter = Chapter::inference, .title = "Does a random router do as well?"};
  section.results.random_routers = kept(std::move(result));
  return section;
}

// A trace without shadows is nothing to complain of there: the verdict says how to have them.
Section run_in_analyze(const AnalysisInput& input, const Arguments& arguments) {
  if (has_shadows(input.side().traces)) {
    constexpr std::size_t most_prompts = 2'000;
    if (input.side().signatures.size() > most_prompts && !arguments.on("full")) {
      throw Error(ErrorKind::data,
                  "more than 2000 prompts take minutes; moexray shadow (or --full) "
                  "takes the time");
    }
    return run(input, arguments);
  }
  return {};
}

}  // namespace

Analysis shadow_analysis() {
  return {.name = "shadow",
          .summary = "Does a random router separate the categories as well as the trained one?",
          .description =
              "Compares the trained router with routers that watched the same hidden states beside "
              "it (trace --shadow random): the share of the variance of routing that lies between "
              "categories, without the bias of few prompts; held-out bits about the category; gap, "
              "Cohen's d, accuracy, all on the tokens that tests of labels compare; and how "
              "unevenly experts are loaded. Random routers with the trained one's load decide "
              "whether the trained router separates better, no better or worse than a random "
              "projection of the same hidden states. With -o DIR it writes shadow.tsv, the figures "
              "shadow_bits and shadow_cohens_d, and report.json.",
          .flags = {nested_folds_flag(), common_tokens_flag(), group_by_flag()},
          .examples = {{"moexray shadow traces",
                        "what the routers of trace --shadow random show beside the trained one"},
                       {"moexray shadow traces -o results", "with its table and figures"}},
          .needs = {.tokens = true},
          .in_analyze = InAnalyze{.place = 95, .run = run_in_analyze, .left_out_by_quick = true},
          .run = run};
}

}  // namespace moexray::app
