#include <gtest/gtest.h>

#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// n prompts of each category; of every four tokens of a category n_own go to expert 0, the others
// to 1 and 2 in turn.
std::vector<TinyPrompt> prompts_of(const std::string& category, int n, int n_tokens, int n_own) {
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < n; ++i) {
    TinyPrompt prompt{category + std::to_string(i), category, {}};
    for (int t = 0; t < n_tokens; ++t) {
      // Prompts are not all alike.
      prompt.experts.push_back((t + i) % 4 < n_own || t == i % 5 ? 0 : 1 + (t + i) % 2);
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

fs::path write_pair(const TemporaryDirectory& place, const std::vector<TinyPrompt>& first,
                    const std::vector<TinyPrompt>& second) {
  std::vector<TinyPrompt> all = first;
  all.insert(all.end(), second.begin(), second.end());
  write_tiny_trace(place.path() / "t", 4, all);
  return place.path() / "t";
}

TEST(ExpertsByCategory, FindsAnExpertThatACategoryUsesMore) {
  const TemporaryDirectory place;
  const fs::path trace = write_pair(place, prompts_of("a", 8, 16, 3), prompts_of("b", 8, 24, 0));
  const auto out = place.path() / "out";
  const json found = run_for_json({"experts", trace, "-o", out});
  EXPECT_EQ(found.at("outcome"), "experts differ");
  EXPECT_TRUE(found.at("reason").is_null());
  EXPECT_EQ(found.at("common_positions"),
            json({{"m", 16}, {"part", "prompt"}, {"n_prompts", 16}, {"n_shorter", 0}}));
  ASSERT_EQ(found.at("cells").size(), 8U);
  const json& cell = found.at("cells").at(0);
  EXPECT_EQ(cell.at("category"), "a");
  EXPECT_EQ(cell.at("expert"), 0);
  EXPECT_GT(cell.at("rate").at("estimate"), 0.7);
  EXPECT_TRUE(cell.at("significant"));
  EXPECT_LT(cell.at("p_adjusted"), 0.01);
  EXPECT_NEAR(cell.at("ratio").get<double>(),
              cell.at("rate").at("estimate").get<double>() / cell.at("rate_others").get<double>(),
              1e-12);
  // Nobody uses expert 3.
  EXPECT_EQ(found.at("cells").at(7).at("rate").at("estimate"), 0);
  EXPECT_TRUE(found.at("cells").at(7).at("ratio").is_null());
  EXPECT_EQ(found.at("cells").at(7).at("p_adjusted"), 1);
  const std::string tsv = file_content(out / "expert_categories.tsv");
  EXPECT_TRUE(
      tsv.starts_with("layer\texpert\tcategory\trate\tci_low\tci_high\trate_others\t"
                      "log2_ratio\tt\tp_value\tp_adjusted\tq_value\tsignificant\n0\t0\ta\t"))
      << tsv;
  EXPECT_TRUE(fs::exists(out / "experts_by_category.tsv"));

  const CommandResult result = run_moexray({"experts", trace, "--quiet"});
  EXPECT_NE(result.out.find("experts × categories differ (max-T, adjusted p ≤ 0.05)"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("a                  0/0  0."), std::string::npos) << result.out;
}

TEST(ExpertsByCategory, ResultsDoNotDependOnThreadsOrOrder) {
  const TemporaryDirectory place;
  const fs::path trace = write_pair(place, prompts_of("a", 8, 16, 2), prompts_of("b", 8, 24, 1));
  const TemporaryDirectory other;
  const fs::path turned = write_pair(other, prompts_of("b", 8, 24, 1), prompts_of("a", 8, 16, 2));
  const json found = run_for_json({"experts", trace, "--threads", "1"});
  EXPECT_EQ(found.at("cells"), run_for_json({"experts", trace, "--threads", "3"}).at("cells"));
  EXPECT_EQ(found.at("cells"), run_for_json({"experts", turned}).at("cells"));
}

TEST(ExpertsByCategory, NoExpertDiffers) {
  const TemporaryDirectory place;
  const fs::path trace = write_pair(place, prompts_of("a", 8, 16, 1), prompts_of("b", 8, 24, 1));
  const json found = run_for_json({"experts", trace});
  EXPECT_EQ(found.at("outcome"), "no expert differs");
  EXPECT_EQ(found.at("n_significant"), 0);
  const CommandResult result = run_moexray({"experts", trace, "--quiet"});
  EXPECT_NE(result.out.find("no expert differs between categories: smallest adjusted p "),
            std::string::npos)
      << result.out;
  EXPECT_EQ(result.out.find("95% interval"), std::string::npos) << result.out;
}

TEST(ExpertsByCategory, CannotTellWhereLengthsDiffer) {
  const TemporaryDirectory place;
  // 57 of 63 prompts have 20 tokens, and none of these is of "b".
  const fs::path trace = write_pair(place, prompts_of("a", 57, 20, 3), prompts_of("b", 6, 9, 0));
  const json found = run_for_json({"experts", trace});
  EXPECT_EQ(found.at("outcome"), "cannot tell");
  EXPECT_EQ(found.at("reason"), "lengths");
  EXPECT_TRUE(found.at("cells").at(0).at("p_value").is_null());
  EXPECT_GT(found.at("cells").at(0).at("rate").at("estimate"), 0.5);
  const CommandResult result = run_moexray({"experts", trace, "--quiet"});
  EXPECT_NE(result.out.find("cannot tell which experts categories use: lengths: category \"b\" "
                            "keeps 0 of 6 prompts at the first 20 prompt tokens, fewer than 5\n"
                            "--common-tokens 9 would compare"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("expert usage:"), std::string::npos);
  const json chosen = run_for_json({"experts", trace, "--common-tokens", "9"});
  EXPECT_EQ(chosen.at("outcome"), "experts differ");
  expect_failure({"experts", trace, "--common-tokens", "7"}, 2, "--common-tokens");
}

TEST(ExpertsByCategory, WhatCannotBeComparedIsSaidAndTheRestComputed) {
  const TemporaryDirectory place;
  const auto outcome = [&](const std::vector<TinyPrompt>& prompts) {
    const TemporaryDirectory own;
    write_tiny_trace(own.path() / "t", 4, prompts);
    const json found = run_for_json({"experts", own.path() / "t", "-o", own.path() / "out"});
    EXPECT_EQ(found.at("outcome"), "cannot tell");
    EXPECT_EQ(found.at("layers").size(), 1U);
    EXPECT_FALSE(fs::exists(own.path() / "out" / "experts_by_category.tsv"));
    return found.at("reason").get<std::string>();
  };
  EXPECT_EQ(outcome(prompts_of("", 6, 16, 1)), "no categories");
  EXPECT_EQ(outcome(prompts_of("a", 6, 16, 1)), "one category");
  std::vector<TinyPrompt> few = prompts_of("a", 6, 16, 1);
  few.push_back({"b0", "b", std::vector<int>(16, 1)});
  EXPECT_EQ(outcome(few), "too few units");
  few.front().category = "";
  EXPECT_EQ(outcome(few), "no categories");
}

// Adds ids, vocabulary entries and weights to a tiny trace: a token's id is its expert, or 9 at
// every fifth place.
void add_tokens(const fs::path& trace) {
  std::ifstream prompts(trace / "prompts.jsonl");
  std::vector<json> lines;
  for (std::string line; std::getline(prompts, line);) lines.push_back(json::parse(line));
  std::map<std::string, std::vector<std::string>> tokens;
  std::ifstream events(trace / "e.jsonl");
  std::string changed;
  for (std::string line; std::getline(events, line);) {
    json event = json::parse(line);
    const int id = event.at("pos").get<int>() % 5 == 4 ? 9 : event.at("expert").get<int>();
    event["token_id"] = id;
    event["weight"] = 0.5 + 0.01 * event.at("pos").get<int>();
    tokens[event.at("prompt_id")].push_back(id == 9 ? "<&\x1b>" : "t" + std::to_string(id));
    changed += event.dump() + "\n";
  }
  std::string text;
  for (json& line : lines) {
    line["tokens"] = tokens.at(line.at("id"));
    text += line.dump() + "\n";
  }
  std::ofstream(trace / "prompts.jsonl") << text;
  std::ofstream(trace / "e.jsonl") << changed;
}

TEST(ExpertCommand, SaysWhatAnExpertIsUsedFor) {
  const TemporaryDirectory place;
  const fs::path trace = write_pair(place, prompts_of("a", 8, 16, 3), prompts_of("b", 8, 24, 0));
  add_tokens(trace);
  const json found = run_for_json({"expert", "0/0", trace});
  EXPECT_EQ(found.at("missing"), json::array());
  EXPECT_EQ(found.at("rate").at("tokens"), 8 * 16 + 8 * 24);
  const json experts = run_for_json({"experts", trace});
  ASSERT_EQ(found.at("categories").size(), 2U);
  EXPECT_EQ(found.at("categories").at(0).at("rate"), experts.at("cells").at(0).at("rate"));
  EXPECT_EQ(found.at("categories").at(0).at("p_adjusted"),
            experts.at("cells").at(0).at("p_adjusted"));
  // Tokens of id 0 go to no other expert.
  const json& token = found.at("tokens").at(0);
  EXPECT_EQ(token.at("token"), "t0");
  EXPECT_EQ(token.at("count"), token.at("n_all"));
  EXPECT_NEAR(
      token.at("lift").get<double>(),
      found.at("rate").at("tokens").get<double>() / found.at("rate").at("count").get<double>(),
      1e-12);
  EXPECT_GT(found.at("contexts").size(), 4U);
  EXPECT_GT(found.at("weights").at("mean"), 0.5);
  EXPECT_EQ(found.at("ranks"), json::array({found.at("rate").at("count").get<int>()}));

  const CommandResult text = run_moexray({"expert", "0/0", trace, "--quiet"});
  EXPECT_NE(text.out.find("⟦t0⟧"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find('\x1b'), std::string::npos);
  const CommandResult page = run_moexray({"expert", "0/0", trace, "--quiet", "--html", "-"});
  EXPECT_NE(page.out.find("<mark>t0</mark>"), std::string::npos) << page.out;
  EXPECT_NE(page.out.find("&lt;&amp;\\x1b&gt;"), std::string::npos) << page.out;
  EXPECT_EQ(page.out.find("<&"), std::string::npos);
}

TEST(ExpertCommand, NamesWhatTheTraceLacks) {
  const TemporaryDirectory place;
  const fs::path trace = write_pair(place, prompts_of("a", 8, 16, 3), prompts_of("b", 8, 24, 0));
  const CommandResult result = run_moexray({"expert", "0/0", trace});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("the trace records neither token_id in its events nor token_ids or "
                            "tokens in prompts.jsonl"),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("no router weights"), std::string::npos);
  EXPECT_NE(result.out.find("a         75.8%"), std::string::npos) << result.out;
  const json found = run_for_json({"expert", "0/0", trace});
  EXPECT_EQ(found.at("missing").size(), 2U);
  EXPECT_TRUE(found.at("weights").is_null());
  EXPECT_EQ(found.at("tokens"), json::array());
  const json unused = run_for_json({"expert", "0/3", trace});
  EXPECT_EQ(unused.at("rate").at("count"), 0);
}

TEST(ExpertCommand, RefusesWhatIsNoExpert) {
  for (const char* text : {"9", "a/b", "1/", "/1", "1/2/3", "1/ 2", "99999999999/0", "0x1/1"}) {
    expect_failure({"expert", text, small_trace()}, 2, "two numbers from 0, as in 9/11");
  }
  expect_failure({"expert", "-1/2", small_trace()}, 2, "-1/2");
  expect_failure({"expert", "1/-2", small_trace()}, 2, "two numbers from 0");
  expect_failure({"expert", "2/0", small_trace()}, 2, "a layer of 0 to 1 and an expert of 0 to 7");
  expect_failure({"expert", "0/8", small_trace()}, 2, "found 0/8");
}

}  // namespace
}  // namespace moexray::test
