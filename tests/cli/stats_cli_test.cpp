#include <gtest/gtest.h>

#include <filesystem>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

std::vector<std::string> few_draws(std::vector<std::string> more = {}) {
  std::vector<std::string> words{
      "stats",        small_trace(), "--resamples",    "199", "--permutations", "199",
      "--null-draws", "10",          "--rarefactions", "5"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(StatsCommand, HasStableKeys) {
  const json found = run_for_json(few_draws());
  const json similarity = run_for_json({"similarity", small_trace()});
  const json layers = run_for_json({"layers", small_trace()});
  const json& bootstrap = found.at("bootstrap");
  for (const char* name : {"within", "across", "gap", "cohens_d", "auc"}) {
    SCOPED_TRACE(name);
    const json& one = bootstrap.at(name);
    EXPECT_EQ(keys_of(one), (std::vector<std::string>{"ci95", "estimate", "method"}));
    ASSERT_EQ(one.at("ci95").size(), 2U);
    EXPECT_LT(one.at("ci95")[0], one.at("estimate"));
    EXPECT_GT(one.at("ci95")[1], one.at("estimate"));
  }
  EXPECT_EQ(bootstrap.at("gap").at("method"), "studentised bootstrap");
  EXPECT_EQ(bootstrap.at("auc").at("method"), "studentised bootstrap on the logit scale");
  EXPECT_EQ(bootstrap.at("resamples"), 199);
  EXPECT_NEAR(bootstrap.at("within").at("estimate"), similarity.at("within").at("mean"), 1e-12);
  EXPECT_NEAR(bootstrap.at("gap").at("estimate"), similarity.at("gap"), 1e-12);
  EXPECT_NEAR(bootstrap.at("cohens_d").at("estimate"), similarity.at("cohens_d"), 1e-10);
  EXPECT_EQ(keys_of(found.at("balanced")), (std::vector<std::string>{"across", "gap", "within"}));
  EXPECT_EQ(keys_of(found.at("permutation")),
            (std::vector<std::string>{"draws", "gap", "p_value"}));
  EXPECT_EQ(keys_of(found.at("permanova")),
            (std::vector<std::string>{"f", "is_location", "p_value", "r2"}));
  EXPECT_EQ(keys_of(found.at("permdisp")), (std::vector<std::string>{"f", "p_value"}));
  ASSERT_EQ(found.at("layers").size(), 2U);
  EXPECT_EQ(keys_of(found.at("layers")[1]),
            (std::vector<std::string>{"layer", "p_adjusted", "tested_d"}));
  EXPECT_EQ(found.at("not_tested"), layers.at("not_tested"));
  EXPECT_TRUE(found.at("permutation").at("p_value").is_null());
  EXPECT_EQ(found.at("nulls").at("uniform").at("within"), similarity.at("uniform").at("within"));
  EXPECT_EQ(keys_of(found.at("nulls").at("popularity")),
            (std::vector<std::string>{"across", "all", "draw_std", "draws", "expected", "within"}));
  // Its prompts have fewer than 16 tokens.
  EXPECT_TRUE(found.at("noise_corrected").at("gap").is_null());
  EXPECT_EQ(keys_of(found.at("noise_corrected")),
            (std::vector<std::string>{"across", "assumes", "categories_without_prompts", "gap",
                                      "n_prompts", "n_shared_prefix", "n_too_few_tokens",
                                      "n_without_norm", "split_half", "uniform_excess", "within"}));
  EXPECT_EQ(found.at("noise_corrected").at("assumes"), "independent tokens");
  EXPECT_EQ(found.at("noise_corrected").at("n_too_few_tokens"), 12);
  EXPECT_EQ(found.at("rarefied").at("n_tokens"), 6);
  EXPECT_EQ(found.at("rarefied").at("draws"), 5);
  EXPECT_EQ(found.at("near_duplicates"), json({{"n_pairs", 0}, {"pairs", json::array()}}));
  EXPECT_EQ(found.at("units").at("n"), 12);
}

TEST(StatsCommand, TestsLabelsOnCommonPositions) {
  const TemporaryDirectory place;
  write_made_trace(place.path() / "t", two_kinds());
  const std::vector<std::string> words{"stats",          place.path() / "t",
                                       "--resamples",    "99",
                                       "--permutations", "199",
                                       "--null-draws",   "4",
                                       "--rarefactions", "4"};
  const json found = run_for_json(words);
  EXPECT_TRUE(found.at("not_tested").is_null());
  EXPECT_EQ(found.at("common_positions").at("m"), 12);
  // Twelve tokens a prompt: what is compared is all there is.
  EXPECT_NEAR(found.at("permutation").at("gap"),
              found.at("bootstrap").at("gap").at("estimate").get<double>(), 1e-12);
  EXPECT_LE(found.at("permutation").at("p_value"), 0.05);
  EXPECT_LE(found.at("permanova").at("p_value"), 0.05);
  const CommandResult result = run_moexray(words);
  for (const char* part :
       {"gap: p = 0.005 (199 relabellings), on the first 12 prompt tokens", "PERMANOVA: pseudo-F ",
        "PERMDISP: F ", "d and p on the first 12 prompt tokens; adjusted p: of all layers",
        "layer  Cohen's d  adjusted p"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\nin\n" << result.out;
  }
}

TEST(StatsCommand, DependsOnTheSeedAlone) {
  const json first = run_for_json(few_draws({"--threads", "1"}));
  EXPECT_EQ(first, run_for_json(few_draws({"--threads", "3"})));
  EXPECT_NE(first.at("bootstrap").at("gap").at("ci95"),
            run_for_json(few_draws({"--seed", "1"})).at("bootstrap").at("gap").at("ci95"));
}

TEST(StatsCommand, PrintsAndWritesItsTables) {
  const TemporaryDirectory place;
  const auto out = place.path() / "out";
  const CommandResult result = run_moexray(few_draws({"-o", out}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"similarity within    0.7214  ", "gap                  0.0399  ", "AUC  ",
        "studentised bootstrap, 199 resamples of 12 prompts",
        "gap, PERMANOVA, PERMDISP and layers: not tested: 12 of 12 prompts have 3 prompt tokens",
        "uniform routing, same numbers of tokens  0.7161  0.7160", "popular experts, same",
        "observed, 6 tokens of every prompt", "near-duplicates: 0"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\nin\n" << result.out;
  }
  EXPECT_NE(result.err.find("below 10, intervals are rough"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("lacks token ids"), std::string::npos) << result.err;
  EXPECT_TRUE(
      file_content(out / "stats_layers.tsv").starts_with("layer\ttested_d\tp_adjusted\n0\t"));
}

TEST(StatsCommand, ACategoryOfShortPromptsIsNamed) {
  const TemporaryDirectory place;
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 8; ++i) {
    const bool is_short = i % 4 == 0;
    std::vector<int> experts;
    for (int t = 0; t < (is_short ? 3 : 16 + i); ++t) experts.push_back((t * t + i) % 3 % 2);
    prompts.push_back({"p" + std::to_string(i), is_short ? "short" : i % 2 ? "a" : "b", experts});
  }
  write_tiny_trace(place.path() / "t", 2, prompts);
  const std::vector<std::string> words{
      "stats", place.path() / "t", "--resamples", "99", "--permutations",
      "99",    "--rarefy-to",      "16"};
  const json found = run_for_json(words);
  for (const char* section : {"noise_corrected", "rarefied"}) {
    SCOPED_TRACE(section);
    EXPECT_EQ(found.at(section).at("categories_without_prompts"), json::array({"short"}));
    EXPECT_EQ(found.at(section).at("n_too_few_tokens"), 2);
    EXPECT_EQ(found.at(section).at("n_prompts"), 6);
  }
  const CommandResult result = run_moexray(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("no prompt of the category \"short\" is left"), std::string::npos)
      << result.err;
  EXPECT_NE(result.out.find("6 prompts, none of \"short\""), std::string::npos) << result.out;
}

TEST(StatsCommand, GroupsAreTheUnits) {
  const json found = run_for_json(few_draws({"--group-by", "meta.source"}));
  EXPECT_EQ(found.at("units").at("n"), 2);
  EXPECT_EQ(found.at("units").at("grouped"), true);
  EXPECT_EQ(found.at("units").at("nested"), false);
  expect_failure(few_draws({"--group-by", "source"}), 2, "meta.KEY");
}

TEST(StatsCommand, UndefinedNumbersAreNull) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0, 1}}, {"q", "a", {0}}, {"r", "a", {1}}});
  const std::vector<std::string> words{"stats", place.path() / "t", "--resamples", "99"};
  const json found = run_for_json(words);
  EXPECT_TRUE(found.at("bootstrap").at("gap").at("estimate").is_null());
  EXPECT_TRUE(found.at("bootstrap").at("gap").at("ci95").is_null());
  EXPECT_EQ(found.at("bootstrap").at("gap").at("reason"), "only one category");
  EXPECT_TRUE(found.at("permutation").at("p_value").is_null());
  EXPECT_TRUE(found.at("permanova").at("f").is_null());
  EXPECT_TRUE(found.at("permdisp").at("p_value").is_null());
  EXPECT_TRUE(found.at("layers")[0].at("p_adjusted").is_null());
  const CommandResult result = run_moexray(words);
  EXPECT_NE(result.err.find("only one category (\"a\")"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("none: only one category"), std::string::npos) << result.out;
}

TEST(StatsCommand, SaysWhatWeightsMean) {
  const CommandResult result = run_moexray(few_draws({"--weighted"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("--weighted: nulls, noise correction"), std::string::npos)
      << result.err;
}

// Two tasks and two topics in five wordings of each task; routing goes by the topic.
std::filesystem::path crossed_trace(const TemporaryDirectory& place) {
  MadeTrace made;
  made.n_prompts = 20;
  made.seed = 2;
  made.kinds = {"dragon", "sorting"};
  for (int i = 0; i < made.n_prompts; ++i) {
    made.categories.emplace_back(i < 10 ? "code" : "story");
    made.metas.push_back({{"topic", made.kinds[static_cast<std::size_t>(i) % 2]},
                          {"wording", "w" + std::to_string(i / 2)}});
  }
  write_made_trace(place.path() / "t", made);
  return place.path() / "t";
}

std::vector<std::string> crossed(const std::filesystem::path& trace,
                                 std::vector<std::string> more = {}) {
  std::vector<std::string> words{"stats",          trace,         "--resamples",  "99",
                                 "--permutations", "199",         "--null-draws", "4",
                                 "--rarefactions", "4",           "--cross",      "meta.topic",
                                 "--group-by",     "meta.wording"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(StatsCommand, CrossesCategoriesWithAnotherKey) {
  const TemporaryDirectory place;
  const auto trace = crossed_trace(place);
  const json found = run_for_json(crossed(trace)).at("crossed");
  EXPECT_EQ(keys_of(found),
            (std::vector<std::string>{"between_units", "category", "cross", "draws", "interaction",
                                      "key", "n_left_out", "n_prompts", "n_units", "not_tested",
                                      "values", "within_units"}));
  EXPECT_EQ(found.at("key"), "meta.topic");
  EXPECT_EQ(found.at("values"), json({"dragon", "sorting"}));
  EXPECT_EQ(found.at("n_units"), 10);
  EXPECT_EQ(found.at("n_prompts"), 20);
  EXPECT_EQ(found.at("n_left_out"), 0);
  EXPECT_EQ(found.at("draws"), 199);
  EXPECT_TRUE(found.at("not_tested").is_null());
  EXPECT_EQ(
      keys_of(found.at("cross")),
      (std::vector<std::string>{"degrees_of_freedom", "f", "p_value", "r2", "sum_of_squares"}));
  EXPECT_EQ(found.at("within_units").at("degrees_of_freedom"), 8);
  EXPECT_LE(found.at("cross").at("p_value"), 0.05);
  EXPECT_GT(found.at("category").at("p_value"), 0.05);
  double r_squared = 0;
  for (const char* part : {"category", "cross", "interaction", "between_units", "within_units"}) {
    r_squared += found.at(part).at("r2").get<double>();
  }
  EXPECT_NEAR(r_squared, 1, 1e-12);
  const CommandResult result = run_moexray(crossed(trace));
  for (const char* part :
       {"category × meta.topic  ", "meta.wording of a category  ", "meta.wording × meta.topic  ",
        "10 units (meta.wording) with 2 prompts each, on the first 12 prompt tokens; 199 "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\nin\n" << result.out;
  }
}

TEST(StatsCommand, SaysWhyNothingIsCrossed) {
  const TemporaryDirectory place;
  const auto trace = crossed_trace(place);
  const auto words = crossed(trace, {"--category-key", "meta.topic"});
  EXPECT_EQ(run_for_json(words).at("crossed").at("not_tested"),
            "the unit \"w0\" has prompts of several categories");
  const CommandResult result = run_moexray(words);
  EXPECT_NE(result.out.find("crossed with meta.topic: not tested: the unit"), std::string::npos)
      << result.out;
  EXPECT_TRUE(run_for_json(few_draws()).at("crossed").is_null());
  // Its prompts are too short for any test of labels.
  const json small = run_for_json(few_draws({"--cross", "meta.n", "--group-by", "meta.source"}));
  EXPECT_EQ(small.at("crossed").at("not_tested"), small.at("not_tested"));
  expect_failure({"stats", trace, "--cross", "meta.topic"}, 2, "--cross needs --group-by");
  expect_failure({"stats", trace, "--cross", "topic"}, 2, "expected meta.KEY");
}

TEST(StatsCommand, RefusesWrongFlags) {
  expect_failure({"stats", small_trace(), "--resamples", "0"}, 2, "--resamples");
  expect_failure({"stats", small_trace(), "--permutations", "0"}, 2, "--permutations");
  expect_failure({"stats", small_trace(), "--rarefy-to", "0"}, 2, "--rarefy-to");
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0}}, {"q", "", {0}}});
  expect_failure({"stats", place.path() / "t"}, 1, "1 without: \"q\"");
}

}  // namespace
}  // namespace moexray::test
