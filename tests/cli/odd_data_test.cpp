#include <gtest/gtest.h>

#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

// Small and odd data: what can be said is said, what cannot is null with its reason.

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class OddData : public testing::Test {
 protected:
  fs::path trace(const std::vector<TinyPrompt>& prompts, const std::string& name = "t") {
    write_tiny_trace(place_.path() / name, 4, prompts);
    return place_.path() / name;
  }
  // report.json of `moexray analyze`, which must succeed.
  json report(std::vector<std::string> words) {
    words.insert(words.begin(), "analyze");
    words.insert(words.end(), {"-o", place_.path() / "out", "--force"});
    const CommandResult result = run_moexray(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    notices_ = result.err;
    return json::parse(file_content(place_.path() / "out" / "report.json"));
  }
  void expect_notice(std::string_view part) const {
    EXPECT_NE(notices_.find(part), std::string::npos) << notices_;
  }

  TemporaryDirectory place_;
  std::string notices_;
};

TEST_F(OddData, OneCategoryHasNoOtherSide) {
  const json r = report({trace({{"p", "a", {0, 1}}, {"q", "a", {1, 2}}, {"r", "a", {2, 2}}})});
  EXPECT_TRUE(r.at("similarity").at("within").at("mean").is_number());
  EXPECT_TRUE(r.at("similarity").at("across").at("mean").is_null());
  EXPECT_TRUE(r.at("similarity").at("cohens_d").is_null());
  EXPECT_TRUE(r.at("classify").is_null());
  expect_notice("only one category");
  expect_notice("classify, confounds, information left out");
}

TEST_F(OddData, ACategoryWithOnePromptHasNoPairs) {
  std::vector<TinyPrompt> prompts = ordinary;
  prompts.push_back({"c1", "c", {3, 3}});
  const json r = report({trace(prompts)});
  EXPECT_TRUE(r.at("similarity").at("category_matrix").at(2).at(2).is_null());
  EXPECT_TRUE(r.at("similarity").at("category_matrix").at(2).at(0).is_number());
  EXPECT_EQ(r.at("similarity").at("within").at("n_pairs"), 6);
  expect_notice("\"c\"");
}

TEST_F(OddData, CategoriesThatLookAlikeAreNamedAndTold) {
  const auto directory = trace({{"a1", "code", {0, 3}},
                                {"a2", "code", {0, 3}},
                                {"b1", "Code", {1, 3}},
                                {"b2", "Code", {1, 3}},
                                {"c1", "code ", {2, 3}},
                                {"c2", "code ", {2, 3}}});
  const CommandResult result = run_moexray({"similarity", directory});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(holds(result.err, "count as different: \"code\", \"Code\" and \"code \""))
      << result.err;
  EXPECT_TRUE(holds(result.out, "\n\"code \" ")) << result.out;
}

TEST_F(OddData, FewerMembersThanFoldsLeavesTheClassifierOut) {
  const fs::path t = trace(ordinary);
  const json r = report({t});
  EXPECT_TRUE(r.at("classify").is_null());
  expect_notice("--folds 3 would do");
  EXPECT_EQ(report({t, "--folds", "3"}).at("classify").at("n_prompts"), 6);
}

TEST_F(OddData, AConstantExpertGetsNoWeight) {
  const json r = report({trace(ordinary), "--folds", "3"});
  for (const json& weight : r.at("classify").at("top_experts")) EXPECT_NE(weight.at("expert"), 3);
  EXPECT_TRUE(r.at("classify").at("accuracy").at("mean").is_number());
}

TEST_F(OddData, PromptsWithoutGeneratedTokensAreNamed) {
  const fs::path t = trace(ordinary);
  // Two prompts get a generated token each; the other four have none.
  std::ofstream events(t / "e.jsonl", std::ios::app);
  for (const char* id : {"a1", "b2"}) {
    events << R"({"prompt_id":")" << id << R"(","layer":0,"pos":2,"type":"generation","expert":1})"
           << '\n';
  }
  events.close();
  const json r = report({t, "--tokens", "generation"});
  EXPECT_EQ(r.at("signatures").at("n_prompts"), 2);
  EXPECT_EQ(r.at("signatures").at("left_out").size(), 4U);
  expect_notice("4 prompts left out: a2, a3, b1, b3 (no generated tokens)");
  EXPECT_TRUE(r.at("similarity").at("within").at("mean").is_null());
}

TEST_F(OddData, IdsMayNotRepeat) {
  const std::vector<TinyPrompt> twice{{"p", "a", {0}}, {"p", "a", {1}}};
  expect_failure({"similarity", trace(twice)}, 1, "prompts.jsonl:2: id \"p\" is already used in");
  // The same id in two directories that are given together.
  const fs::path one = trace({{"p", "a", {0}}, {"q", "b", {1}}}, "one");
  const fs::path two = trace({{"r", "a", {0}}, {"q", "b", {1}}}, "two");
  expect_failure({"analyze", one, two, "-o", place_.path() / "out"}, 1,
                 "two/prompts.jsonl:2: id \"q\" is already used in " + one.string());
  EXPECT_FALSE(fs::exists(place_.path() / "out"));
}

TEST_F(OddData, DirectoriesOfDifferentModelsDoNotGoTogether) {
  const fs::path one = trace(ordinary, "one");
  write_tiny_trace(place_.path() / "two", 8, {{"p", "a", {7}}});
  expect_failure({"similarity", one, place_.path() / "two"}, 1, "model.n_experts");
}

TEST_F(OddData, WeightsThatAreNoNumbersAreRefused) {
  for (const char* weight : {"NaN", "1e999", "null", "-0.5", "\"nan\""}) {
    const fs::path t = trace(ordinary);
    std::ofstream events(t / "e.jsonl", std::ios::app);
    events << R"({"prompt_id":"a1","layer":0,"pos":2,"type":"prompt","expert":1,"weight":)"
           << weight << "}\n";
    events.close();
    expect_failure({"similarity", t}, 1, "e.jsonl:13");
  }
}

}  // namespace
}  // namespace moexray::test
