#include "moexray/stats/paired_prompts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "structure_cases.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using bench::PairOfRoutings;
using bench::PairWorld;
using test::expect_error;

PairOfRoutings made(bench::PairWorldOptions options = {}, int n_each = 6, std::uint64_t seed = 1) {
  return PairWorld(options, 1).draw(n_each, seed);
}

TEST(PairedPrompts, GoesByIdsAndTokensInCommon) {
  PairOfRoutings routings = made({.min_tokens = 12, .max_tokens = 20});
  // The first prompt of the second is called otherwise, and the second prompt's tokens differ from
  // the fifth on.
  routings.second.ids[0] = "another";
  RoutedTokens& tokens = routings.second_tokens;
  for (std::size_t t = tokens.first[1] + 4; t < tokens.first[2]; ++t) tokens.tokens[t].id = 7;
  const PairedPrompts pair = routings.paired();
  EXPECT_EQ(pair.n_shared, 23U);
  ASSERT_EQ(pair.size(), 23U);
  EXPECT_TRUE(pair.same_tokens);
  EXPECT_EQ(pair.first.ids, pair.second.ids);
  EXPECT_EQ(pair.first.ids.front(), "p1");
  EXPECT_EQ(pair.first_tokens.of_prompt(0).size(), 4U);
  EXPECT_EQ(pair.second_tokens.of_prompt(0).size(), 4U);
  // Signatures are of the tokens that both have.
  Vector counts = Vector::Zero(16);
  for (std::size_t t = tokens.first[1]; t < tokens.first[1] + 4; ++t) {
    for (const std::uint16_t expert : tokens.at(t, 0)) counts(expert) += 1;
  }
  EXPECT_LT((pair.second.values.row(0).head(16).transpose() - counts / 8).norm(), 1e-12);
  EXPECT_EQ(pair.second.n_tokens[0], 4);
}

TEST(PairedPrompts, WithOtherTokensKeepEachItsOwn) {
  PairOfRoutings routings = made();
  for (RoutedToken& token : routings.second_tokens.tokens) token.id = 9;
  const PairedPrompts pair = routings.paired();
  EXPECT_FALSE(pair.same_tokens);
  EXPECT_TRUE(pair.has_tokens());
  EXPECT_EQ(pair.first.values, routings.first.values);
  EXPECT_EQ(pair.second.values, routings.second.values);
}

TEST(PairedPrompts, OfCountsHaveNoTokens) {
  const PairOfRoutings routings = made();
  const PairedPrompts pair =
      paired_prompts(routings.first, {}, routings.second, routings.second_tokens, {}, {});
  EXPECT_FALSE(pair.has_tokens());
  EXPECT_FALSE(pair.same_tokens);
  EXPECT_EQ(pair.size(), 24U);
  EXPECT_TRUE(tested_pair(pair, TokenSelection::all).is_testable());  // 40 tokens each
  PairedPrompts unequal = pair;
  unequal.first.n_tokens[3] = 39;
  EXPECT_NE(tested_pair(unequal, TokenSelection::all).reason.find("counts"), std::string::npos);
}

TEST(PairedPrompts, DrawsWholeGroupsOfManyPromptsWhateverTheirOrder) {
  const PairOfRoutings routings = made();
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < 24; ++i) groups.push_back("g" + std::to_string(i / 3));
  const PairedPrompts pair =
      paired_prompts(routings.first, routings.first_tokens, routings.second, routings.second_tokens,
                     groups, {.max_prompts = 13, .seed = 4});
  EXPECT_EQ(pair.size(), 12U);
  EXPECT_EQ(pair.n_shared, 24U);
  EXPECT_EQ(pair.units.size(), 4U);
  for (const auto& members : pair.units.members) EXPECT_EQ(members.size(), 3U);
  EXPECT_TRUE(std::is_sorted(pair.first.prompt_indices.begin(), pair.first.prompt_indices.end()));
}

TEST(PairedPrompts, WithoutACommonOneIsRefused) {
  PairOfRoutings routings = made();
  for (std::string& id : routings.second.ids) id += "!";
  expect_error(ErrorKind::data, "no prompt in common", [&] { routings.paired(); });
}

TEST(TestedPair, HasTheFirstTokensThatNineInTenHave) {
  const PairOfRoutings routings = made({.min_tokens = 9, .max_tokens = 40}, 10);
  const PairedPrompts pair = routings.paired();
  const TestedPair tested = tested_pair(pair, TokenSelection::all);
  ASSERT_TRUE(tested.is_testable());
  EXPECT_GE(tested.prompts.size(), 36U);
  const auto m = static_cast<std::size_t>(tested.first_positions.n_tokens);
  for (std::size_t row = 0; row < tested.prompts.size(); ++row) {
    const auto own = tested.prompts.first_tokens.of_prompt(row);
    ASSERT_EQ(own.size(), m);
    EXPECT_EQ(own.back().pos, static_cast<std::int64_t>(m) - 1);
    EXPECT_EQ(tested.prompts.second_tokens.of_prompt(row).size(), m);
  }
  EXPECT_EQ(obstacle_to_categories(tested), "");
  const PairedPrompts few = made({.min_tokens = 5, .max_tokens = 7}).paired();
  EXPECT_NE(tested_pair(few, TokenSelection::all).reason.find("fewer than 8"), std::string::npos);
}

TEST(TestedPair, NamesWhatCategoriesLack) {
  PairOfRoutings routings = made({}, 4);
  const auto obstacle = [&] {
    return obstacle_to_categories(tested_pair(routings.paired(), TokenSelection::all));
  };
  EXPECT_NE(obstacle().find("has 4 prompts"), std::string::npos) << obstacle();
  routings = made({.n_categories = 1}, 12);
  EXPECT_EQ(obstacle(), "there is only one category");
  routings.first.categories[2] = "";
  EXPECT_EQ(obstacle(), "some prompts have no category");
}

TEST(TokenHalves, AlternateBlocksAndAddUpToTheWhole) {
  const PairedPrompts pair = made({.n_layers = 1, .min_tokens = 10, .max_tokens = 10}).paired();
  const TokenHalves halves = token_halves(pair.first_tokens, 2);
  for (std::size_t row = 0; row < pair.size(); ++row) {
    Vector one = Vector::Zero(16);
    Vector two = Vector::Zero(16);
    for (std::size_t t = 0; t < 10; ++t) {
      for (const std::uint16_t expert : pair.first_tokens.at(pair.first_tokens.first[row] + t, 0)) {
        (t / 2 % 2 == 0 ? one : two)(expert) += 1;
      }
    }
    const auto i = static_cast<Eigen::Index>(row);
    EXPECT_LT((halves.first.row(i).transpose() - one / one.norm()).norm(), 1e-12);
    EXPECT_LT((halves.second.row(i).transpose() - two / two.norm()).norm(), 1e-12);
  }
  EXPECT_EQ(token_halves(pair.first_tokens, 10).first.rows(), 0);  // nothing in the second
}

TEST(ForgettingLag, IsOneForIndependentTokensAndLongerForOthers) {
  EXPECT_EQ(forgetting_lag(made({.min_tokens = 60, .max_tokens = 60}).paired().first_tokens), 1);
  const int lag = forgetting_lag(
      made({.autocorrelation = 0.8, .min_tokens = 60, .max_tokens = 60}).paired().first_tokens);
  EXPECT_GE(lag, 4);
  EXPECT_LE(lag, 16);
}

TEST(PermutedRows, ExchangeUnitsOfOneSizeAndCategory) {
  const PairOfRoutings routings = made();
  std::vector<std::string> groups(24);
  for (std::size_t i = 0; i < 8; ++i) groups[i] = "g" + std::to_string(i / 4);
  const PairedPrompts pair = routings.paired(groups);
  const RowPermutations within(pair, true);
  RandomStream random(3);
  std::set<std::vector<std::size_t>> seen;
  for (int draw = 0; draw < 50; ++draw) {
    const auto rows = within.draw(random);
    seen.insert(rows);
    std::set<std::size_t> all(rows.begin(), rows.end());
    EXPECT_EQ(all.size(), 24U);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(pair.first.categories[rows[i]], pair.first.categories[i]);
      EXPECT_EQ(groups[rows[i]].empty(), groups[i].empty());
    }
    // The prompts of a group stay together.
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(groups[rows[i]], groups[rows[0]]);
  }
  EXPECT_GT(seen.size(), 40U);
  // Two groups of the same categories in the same order, and four prompts of each category.
  EXPECT_NEAR(within.log_number(), std::log(2) + 4 * std::lgamma(5), 1e-12);
  EXPECT_NEAR(RowPermutations(pair, false).log_number(), std::log(2) + std::lgamma(17), 1e-12);
}

}  // namespace
}  // namespace moexray::stats
