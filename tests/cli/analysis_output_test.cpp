#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST(AnalyzeCommand, WritesEverythingTheSameEveryTime) {
  const TemporaryDirectory place;
  const CommandOptions options{.input = {}, .working_directory = place.path()};
  const std::vector<std::string> words{"analyze", small_trace(), "--folds", "4", "--seed", "3"};
  const CommandResult first = run_moexray(words, options);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto files = directory_contents(place.path() / "analysis");
  std::vector<std::string> names;
  std::set<std::string> figures;
  int n_prompt_pages = 0;
  for (const auto& [name, bytes] : files) {
    if (name.starts_with("prompts/")) {
      ++n_prompt_pages;
      continue;
    }
    const std::string stem = name.substr(0, name.rfind('.'));
    if (files.contains(stem + ".svg")) {
      figures.insert(stem);
    } else {
      names.push_back(name);
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "baselines.tsv", "classify.tsv", "confounds.tsv", "confounds_ladder.tsv",
                       "expert_categories.tsv", "expert_usage.tsv", "information.tsv", "labels.tsv",
                       "layers.tsv", "load.tsv", "outputs.json", "report.html", "report.json",
                       "signatures.npy", "similarity.npy", "stats_layers.tsv", "top_experts.tsv"}));
  EXPECT_EQ(n_prompt_pages, 12);
  EXPECT_EQ(figures,
            (std::set<std::string>{"experts", "fig1_pairs", "fig1_prompts", "fig1_similarity",
                                   "fig2_baselines", "fig3_layers", "fig4_pca", "fig5_tsne",
                                   "fig6_confusion", "fig7_confounds", "load_by_layer"}));
  std::vector<std::string> again = words;
  again.insert(again.end(), {"--force", "--threads", "1"});
  const CommandResult second = run_moexray(again, options);
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(first.out, second.out);
  EXPECT_EQ(files, directory_contents(place.path() / "analysis"));
  EXPECT_EQ(std::distance(fs::directory_iterator(place.path()), {}), 1) << "left-over files";
}

TEST(AnalyzeCommand, ReportHoldsASectionPerCommand) {
  const TemporaryDirectory place;
  const auto out = place.path() / "out";
  const json found = run_for_json({"analyze", small_trace(), "-o", out, "--folds", "4"});
  EXPECT_EQ(json::parse(file_content(out / "report.json")), found);
  std::vector<std::string> keys;
  for (const auto& [key, value] : found.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"baselines", "classify", "confounds", "experts",
                                            "information", "layers", "load", "moexray", "project",
                                            "selection", "shadow", "signatures", "similarity",
                                            "stats", "trace", "verdict"}));
  for (const std::string command :
       {"signatures", "similarity", "baselines", "layers", "classify", "experts", "load"}) {
    std::vector<std::string> words{command, small_trace()};
    if (command == "classify") {
      words.insert(words.end(), {"--folds", "4", "--nested-repetitions", "25"});
    }
    if (command == "layers") words.insert(words.end(), {"--permutations", "999"});
    const json alone = run_for_json(words);
    for (const auto& [key, value] : found.at(command).items()) EXPECT_EQ(alone.at(key), value);
  }
}

TEST(AnalyzeCommand, SimilarityMatrixBelongsToTheStatistics) {
  const TemporaryDirectory place;
  const auto out = place.path() / "out";
  const json found = run_for_json({"similarity", small_trace(), "-o", out});
  const NpyMatrix matrix = read_npy(out / "similarity.npy");
  ASSERT_EQ(matrix.n_rows, 12U);
  ASSERT_EQ(matrix.n_cols, 12U);
  double within = 0;
  double across = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(matrix.values[i * 12 + i], 1);
    for (std::size_t j = 0; j < i; ++j) {
      // The categories of the small trace take turns.
      (i % 3 == j % 3 ? within : across) += matrix.values[i * 12 + j];
      EXPECT_EQ(matrix.values[i * 12 + j], matrix.values[j * 12 + i]);
    }
  }
  EXPECT_NEAR(within / 18, found.at("within").at("mean"), 1e-14);
  EXPECT_NEAR(across / 48, found.at("across").at("mean"), 1e-14);
}

TEST(AnalyzeCommand, LeavesOutWhatTheDataDoNotAllow) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  const auto out = place.path() / "out";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 1}}, {"q", "a", {0}}});
  CommandResult result = run_moexray({"analyze", trace, "-o", out});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  // Said once, not by every part.
  EXPECT_TRUE(
      result.err.starts_with("only one category (\"a\"): what compares categories is "
                             "undefined; classify, confounds, information left out\n"))
      << result.err;
  EXPECT_EQ(count_of(result.err, "one category"), 1U) << result.err;
  json report = json::parse(file_content(out / "report.json"));
  EXPECT_TRUE(report.at("classify").is_null());
  EXPECT_EQ(report.at("similarity").at("within").at("n_pairs"), 1);

  write_tiny_trace(trace, 2, {{"p", "", {0, 1}}, {"q", "a", {0}}});
  result = run_moexray({"analyze", trace, "-o", out, "--force"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  report = json::parse(file_content(out / "report.json"));
  EXPECT_TRUE(report.at("similarity").is_null());
  EXPECT_TRUE(report.at("baselines").is_null());
  EXPECT_TRUE(report.at("layers").is_null());
  EXPECT_EQ(report.at("experts").at("layers").size(), 1U);
  EXPECT_EQ(report.at("signatures").at("n_prompts"), 2);
}

TEST(AnalysisOutput, IsNotOverwritten) {
  const TemporaryDirectory place;
  const auto copy = place.path() / "copy";
  write_small_shard(copy, 0, 12);
  expect_failure({"analyze", copy, "-o", copy, "--force"}, 1, "would replace the input");
  EXPECT_TRUE(fs::exists(copy / "manifest.json"));

  const auto file = place.path() / "r.json";
  std::ofstream(file) << "notes";
  expect_failure({"similarity", small_trace(), "--json", file}, 1, "output exists");
  expect_failure({"similarity", small_trace(), "--json", file, "--force"}, 1, "not replaced");
  fs::remove(file);
  EXPECT_EQ(run_moexray({"similarity", small_trace(), "--json", file}).exit_code, 0);
  expect_failure({"similarity", small_trace(), "--json", file}, 1, "--force to replace it");
  EXPECT_EQ(run_moexray({"similarity", small_trace(), "--json", file, "--force"}).exit_code, 0);
  json written = json::parse(file_content(file));
  EXPECT_EQ(written.erase("checksum"), 1U);
  EXPECT_EQ(written, run_for_json({"similarity", small_trace()}));
}

}  // namespace
}  // namespace moexray::test
