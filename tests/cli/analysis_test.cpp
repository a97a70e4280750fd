#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "moexray/core/version.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

TEST(SimilarityCommand, AgreesWithPlainLoopsForEverySelection) {
  std::ifstream file(std::string(MOEXRAY_TEST_DATA) + "/trace-small.expected.json");
  const json cases = json::parse(file);
  ASSERT_EQ(cases.size(), 12U);
  for (const json& expected : cases) {
    SCOPED_TRACE(expected.dump());
    std::vector<std::string> words{"similarity", small_trace(), "--tokens", expected.at("tokens")};
    if (expected.at("exclude_template")) words.push_back("--exclude-template");
    if (expected.at("weighted")) words.push_back("--weighted");
    const json found = run_for_json(words);
    // The routing record holds weights in single precision.
    const double tolerance = expected.at("weighted") ? 1e-8 : 1e-12;
    for (const char* side : {"within", "across"}) {
      EXPECT_EQ(found.at(side).at("n_pairs"), expected.at(side).at("n_pairs"));
      EXPECT_NEAR(found.at(side).at("mean"), expected.at(side).at("mean").get<double>(), tolerance);
      EXPECT_NEAR(found.at(side).at("std"), expected.at(side).at("std").get<double>(), tolerance);
    }
    EXPECT_NEAR(found.at("cohens_d"), expected.at("cohens_d").get<double>(), 10 * tolerance);
    const json selection = {{"tokens", expected.at("tokens")},
                            {"exclude_template", expected.at("exclude_template")},
                            {"weighted", expected.at("weighted")},
                            {"category_key", nullptr}};
    EXPECT_EQ(found.at("selection"), selection);
    const CommandResult loud = run_moexray(words);
    for (const json& id : expected.at("left_out")) {
      EXPECT_NE(
          loud.err.find("1 prompt left out: " + id.get<std::string>() + " (no generated tokens"),
          std::string::npos)
          << loud.err;
    }
  }
}

TEST(SimilarityCommand, PrintsItsTable) {
  const CommandResult result = run_moexray({"similarity", small_trace()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(
      result.out,
      "small: 12 prompts, 2 layers × 8 experts, top-2; all tokens\n"
      "\n"
      "similarity           mean     std  pairs  uniform routing\n"
      "within categories  0.7214  0.0923     18           0.7161\n"
      "across categories  0.6815  0.0903     48           0.7160\n"
      "gap 0.0399, Cohen's d 0.44; uniform routing: what prompts of as many tokens would have if "
      "every expert were equally likely\n"
      "\n"
      "mean similarity    code    math   story\n"
      "code             0.7703  0.6717  0.6692\n"
      "math             0.6717  0.6511  0.7035\n"
      "story            0.6692  0.7035  0.7428\n");
}

TEST(SimilarityCommand, WritesExactJson) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 0}}, {"q", "a", {0, 0, 0}}, {"r", "b", {1, 1}}});
  const CommandResult result = run_moexray({"similarity", trace, "--json", "-"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err,
            "category \"b\" has one prompt: no pairs within\n"
            "Cohen's d is undefined: too few pairs or no spread among them\n");
  EXPECT_EQ(result.out, R"({
  "moexray": {
    "version": ")" + std::string(version()) +
                            R"(",
    "report_format": 1,
    "command": "similarity",
    "seed": 0
  },
  "trace": {
    "model": null,
    "n_prompts": 3,
    "n_layers": 1,
    "n_experts": 2,
    "top_k": 1
  },
  "selection": {
    "tokens": "all",
    "exclude_template": false,
    "weighted": false,
    "category_key": null
  },
  "within": {
    "mean": 1,
    "std": null,
    "n_pairs": 1
  },
  "across": {
    "mean": 0,
    "std": 0,
    "n_pairs": 2
  },
  "gap": 1,
  "cohens_d": null,
  "uniform": {
    "within": 0.7595873626027367,
    "across": 0.7414834961161832
  },
  "categories": ["a", "b"],
  "category_matrix": [
    [1, 0],
    [0, null]
  ],
  "notices": ["category \"b\" has one prompt: no pairs within", "Cohen's d is undefined: too few pairs or no spread among them"]
}
)");
}

TEST(SimilarityCommand, SaysThatThereIsOneCategory) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0, 1}}, {"q", "a", {0}}, {"r", "a", {1}}});
  const CommandResult result = run_moexray({"similarity", place.path() / "t"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("only one category (\"a\")"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("across categories     n/a     n/a      0"), std::string::npos)
      << result.out;
}

TEST(SimilarityCommand, TakesCategoriesFromMeta) {
  const json found = run_for_json({"similarity", small_trace(), "--category-key", "meta.source"});
  EXPECT_EQ(found.at("categories"), json({"even", "odd"}));
  EXPECT_EQ(found.at("selection").at("category_key"), "meta.source");
  EXPECT_EQ(found.at("within").at("n_pairs"), 30);
  expect_failure({"similarity", small_trace(), "--category-key", "source"}, 2, "expected meta.KEY");
  expect_failure({"similarity", small_trace(), "--category-key", "meta.nothing"}, 1, "");
}

TEST(SimilarityCommand, NeedsCategories) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0}}, {"q", "", {0}}});
  expect_failure({"similarity", place.path() / "t"}, 1, "1 without: \"q\"");
}

TEST(SignaturesCommand, WritesSharesAndLabels) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 4,
                   {{"p", "a", {0, 1, 1, 3}}, {"q\\x", "", {2}}, {"r", "b", {0, 0, 3, 3}}});
  const auto out = place.path() / "out";
  const CommandResult result = run_moexray({"signatures", place.path() / "t", "-o", out});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out,
            "3 prompts, 1 layer × 4 experts, top-1; all tokens\n"
            "\n"
            "Signatures: 3 prompts × 4 values\n"
            "\n"
            "category  prompts  tokens\n"
            "(none)          1       1\n"
            "a               1       4\n"
            "b               1       4\n");
  EXPECT_EQ(result.err, "wrote " + out.string() +
                            ": signatures.npy, labels.tsv, counts.npy, manifest.json, "
                            "prompts.jsonl, report.json\n");
  const NpyMatrix matrix = read_npy(out / "signatures.npy");
  EXPECT_EQ(matrix.n_rows, 3U);
  EXPECT_EQ(matrix.n_cols, 4U);
  EXPECT_EQ(matrix.values, (std::vector<double>{.25, .5, 0, .25, 0, 0, 1, 0, .5, 0, 0, .5}));
  EXPECT_EQ(file_content(out / "labels.tsv"),
            "row\tid\tcategory\tn_tokens\n0\tp\ta\t4\n1\tq\\x\t\t1\n2\tr\tb\t4\n");
}

TEST(SignaturesCommand, ShardsGiveTheSameAsTheWhole) {
  const TemporaryDirectory place;
  write_small_shard(place.path() / "s0", 0, 5);
  write_small_shard(place.path() / "s1", 5, 12);
  const auto run = [&](const std::vector<std::string>& traces, const std::string& name) {
    std::vector<std::string> words{"analyze", "-o", place.path() / name, "--folds", "3"};
    words.insert(words.end(), traces.begin(), traces.end());
    const CommandResult result = run_moexray(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string whole = run({small_trace()}, "whole");
  EXPECT_EQ(whole, run({place.path() / "s0", place.path() / "s1"}, "parts"));
  for (const char* name : {"signatures.npy", "similarity.npy", "labels.tsv", "fig1_similarity.tsv",
                           "baselines.tsv", "layers.tsv", "fig4_pca.tsv", "fig5_tsne.tsv",
                           "classify.tsv", "top_experts.tsv", "expert_usage.tsv", "report.json"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(file_content(place.path() / "whole" / name),
              file_content(place.path() / "parts" / name));
  }
  // In the other order rows change places, numbers do not.
  const json a = run_for_json({"similarity", small_trace()});
  const json b = run_for_json({"similarity", place.path() / "s1", place.path() / "s0"});
  EXPECT_NEAR(a.at("cohens_d"), b.at("cohens_d").get<double>(), 1e-12);
  expect_failure({"signatures", small_trace(), place.path() / "s0"}, 1, "code-1");
}

TEST(SignaturesCommand, ListsPromptsAsJson) {
  const json found = run_for_json({"signatures", small_trace(), "--tokens", "generation"});
  EXPECT_EQ(found.at("n_prompts"), 11);
  EXPECT_EQ(found.at("n_features"), 16);
  EXPECT_EQ(found.at("prompts").at(0),
            json({{"id", "code-1"}, {"category", "code"}, {"n_tokens", 2}}));
  EXPECT_EQ(found.at("left_out"),
            json::array({{{"id", "story-4"}, {"reason", "no generated tokens"}}}));
  EXPECT_EQ(found.at("trace"), json({{"model", "small"},
                                     {"n_prompts", 12},
                                     {"n_layers", 2},
                                     {"n_experts", 8},
                                     {"top_k", 2}}));
}

TEST(AnalysisCommands, RefuseBrokenTraces) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  for (const char* command : {"signatures", "similarity", "baselines", "layers", "project",
                              "classify", "experts", "stats", "analyze"}) {
    SCOPED_TRACE(command);
    const CommandResult missing =
        run_moexray({command}, {.input = {}, .working_directory = place.path()});
    EXPECT_EQ(missing.exit_code, 1);
    EXPECT_NE(missing.err.find("traces: no such directory"), std::string::npos) << missing.err;
  }
  write_tiny_trace(trace, 2, {{"p", "a", {0, 5}}});
  expect_failure({"signatures", trace}, 1, "e.jsonl:2");
  write_tiny_trace(trace, 2, {{"p", "a", {0}}, {"q", "a", {}}});
  expect_failure({"signatures", trace}, 1, "q");
  write_tiny_trace(trace, 2, {{"p", "a", {0}}, {"p", "a", {0}}});
  expect_failure({"signatures", trace}, 1, "p");
  write_tiny_trace(trace, 2, {{"p", "a", {0}}});
  expect_failure({"signatures", trace, "--weighted"}, 1, "no router weights recorded");
  expect_failure({"signatures", trace, "--tokens", "generation"}, 1, "no prompt has a token left");
  expect_failure({"signatures", trace, small_trace()}, 1, "");
  expect_failure({"signatures", trace, "--tokens", "some"}, 2, "--tokens");
}

}  // namespace
}  // namespace moexray::test
