#include "moexray/stats/common_positions.h"

#include <gtest/gtest.h>

#include <utility>

#include "support/expect_error.h"

namespace moexray::stats {
namespace {

struct Prompt {
  std::string category;
  int n_template = 0;
  int n_prompt = 0;
  int n_generated = 0;
};

struct Case {
  Signatures signatures;
  RoutedTokens tokens;
  CategoryIndex categories;
};

// One layer of four experts, top-1. Template tokens go to expert 3, the t-th other token of the
// prompt to t mod 3, generated ones to 2.
Case routed(const std::vector<Prompt>& prompts, Selection selection = {}) {
  constexpr RoutingShape shape{1, 4, 1};
  std::vector<PromptLabel> labels;
  for (const Prompt& prompt : prompts) {
    labels.push_back({"p" + std::to_string(labels.size()), prompt.category});
  }
  SignatureAccumulator signatures(shape, labels, selection);
  TokenAccumulator tokens(shape, labels.size(), selection);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::int64_t pos = 0;
    const auto add = [&](TokenType type, bool is_template, ExpertId expert) {
      const std::vector<ExpertId> experts{expert};
      const RoutingRecord record{0, pos++, type, is_template, 5, experts, {}};
      signatures.add(i, record);
      tokens.add(i, record);
    };
    // The template stands before and behind the prompt.
    for (int t = 0; t < prompts[i].n_template; ++t) add(TokenType::prompt, true, 3);
    for (int t = 0; t < prompts[i].n_prompt; ++t) add(TokenType::prompt, false, t % 3);
    add(TokenType::prompt, true, 3);
    for (int t = 0; t < prompts[i].n_generated; ++t) add(TokenType::generation, false, 2);
  }
  Case result{std::move(signatures).finish(), {}, {}};
  result.tokens = std::move(tokens).finish(result.signatures);
  result.categories = index_categories(result.signatures);
  return result;
}

std::vector<Prompt> prompts_of(const std::string& category, int n, int n_tokens) {
  return std::vector<Prompt>(static_cast<std::size_t>(n), Prompt{category, 2, n_tokens, 0});
}

std::vector<Prompt> operator+(std::vector<Prompt> a, const std::vector<Prompt>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

ComparabilityCheck checked(const Case& c, const CommonPositions& positions,
                           std::span<const std::string> groups = {}) {
  return check_comparability(c.tokens, positions, c.categories,
                             make_units(c.signatures.ids, c.categories, groups));
}

TEST(CommonPositions, AreTheTokensThatNineOfTenPromptsHave) {
  // 9 of 10 have 20, 8 have 30.
  const Case c = routed(prompts_of("a", 8, 30) + prompts_of("b", 1, 20) + prompts_of("b", 1, 5));
  const CommonPositions positions = common_positions(c.tokens, TokenType::prompt);
  EXPECT_EQ(positions.n_tokens, 20);
  EXPECT_EQ(positions.rows, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(positions.n_short, 1U);
  EXPECT_EQ(positions.text(), "first 20 prompt tokens");
  EXPECT_EQ(common_positions(c.tokens, TokenType::prompt, {.share = 0.8}).n_tokens, 30);
  EXPECT_EQ(common_positions(c.tokens, TokenType::prompt, {.share = 1}).n_tokens, 5);
  const CommonPositions chosen = common_positions(c.tokens, TokenType::prompt, {.n_tokens = 25});
  EXPECT_EQ(chosen.rows.size(), 8U);
}

TEST(CommonPositions, SkipTheTemplateWhateverIsSelected) {
  for (const Selection& selection : {Selection{}, Selection{.exclude_template = true}}) {
    const Case c = routed(prompts_of("a", 3, 9), selection);
    EXPECT_EQ(comparable_tokens(c.tokens, TokenType::prompt), (std::vector<std::int64_t>{9, 9, 9}));
    CommonPositions positions = common_positions(c.tokens, TokenType::prompt, {.n_tokens = 4});
    CountMatrix expected(3, 4);
    expected << 2, 1, 1, 0, 2, 1, 1, 0, 2, 1, 1, 0;
    EXPECT_EQ(common_counts(c.tokens, positions), expected);
    const Signatures signatures = common_signatures(c.tokens, c.signatures, positions);
    EXPECT_EQ(signatures.values(1, 0), 0.5);
    EXPECT_EQ(signatures.n_tokens[2], 4);
    EXPECT_EQ(signatures.ids[2], "p2");
    positions.rows.clear();
    test::expect_error(ErrorKind::runtime, "common positions",
                       [&] { common_signatures(c.tokens, c.signatures, positions); });
  }
}

TEST(CommonPositions, OfGeneratedTokens) {
  EXPECT_EQ(compared_part({}, TokenSelection::all), TokenType::prompt);
  EXPECT_EQ(compared_part({}, TokenSelection::prompt), TokenType::prompt);
  EXPECT_EQ(compared_part({}, TokenSelection::generation), TokenType::generation);
  const Case c = routed({{"a", 1, 3, 12}, {"a", 1, 30, 10}});
  const CommonPositions positions = common_positions(c.tokens, TokenType::generation);
  EXPECT_EQ(positions.n_tokens, 10);
  EXPECT_EQ(positions.text(), "first 10 generated tokens");
  EXPECT_EQ(common_counts(c.tokens, positions).row(0).sum(), 10);
}

TEST(Comparability, NeedsTokensInCommon) {
  const Case enough = routed(prompts_of("a", 20, 8) + prompts_of("b", 20, 60));
  EXPECT_EQ(checked(enough, common_positions(enough.tokens, TokenType::prompt)).outcome,
            Comparability::comparable);
  const Case few = routed(prompts_of("a", 20, 7) + prompts_of("b", 20, 60));
  const ComparabilityCheck check = checked(few, common_positions(few.tokens, TokenType::prompt));
  EXPECT_EQ(check.outcome, Comparability::lengths);
  EXPECT_EQ(check.reason,
            "40 of 40 prompts have 7 prompt tokens without template in common, fewer than 8");
  EXPECT_EQ(check.n_possible, 0);
}

TEST(Comparability, NeedsUnitsOfEveryCategory) {
  // 95% have 60 tokens, and none of them is of "b".
  const Case lost = routed(prompts_of("a", 95, 60) + prompts_of("b", 5, 12));
  ComparabilityCheck check = checked(lost, common_positions(lost.tokens, TokenType::prompt));
  EXPECT_EQ(check.outcome, Comparability::lengths);
  EXPECT_EQ(check.reason,
            "category \"b\" keeps 0 of 5 prompts at the first 60 prompt tokens, fewer than 5");
  EXPECT_EQ(check.n_possible, 12);
  check = checked(lost, common_positions(lost.tokens, TokenType::prompt, {.n_tokens = 12}));
  EXPECT_EQ(check.outcome, Comparability::comparable);

  const Case few = routed(prompts_of("a", 20, 60) + prompts_of("b", 4, 60));
  check = checked(few, common_positions(few.tokens, TokenType::prompt));
  EXPECT_EQ(check.outcome, Comparability::too_few_units);
  EXPECT_EQ(check.reason, "category \"b\" has 4 prompts, fewer than 5");

  const Case one = routed(prompts_of("a", 20, 60));
  EXPECT_EQ(checked(one, common_positions(one.tokens, TokenType::prompt)).outcome,
            Comparability::one_category);
}

TEST(Comparability, CountsGroupsNotPrompts) {
  const Case c = routed(prompts_of("a", 12, 20) + prompts_of("b", 12, 20));
  std::vector<std::string> groups;
  for (int i = 0; i < 24; ++i) groups.push_back("g" + std::to_string(i / 4));
  const ComparabilityCheck check =
      checked(c, common_positions(c.tokens, TokenType::prompt), groups);
  EXPECT_EQ(check.outcome, Comparability::too_few_units);
  EXPECT_EQ(check.reason, "category \"a\" has 3 units, fewer than 5");
}

}  // namespace
}  // namespace moexray::stats
