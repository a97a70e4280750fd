#include "moexray/stats/expert_matching.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "json_matrix.h"
#include "structure_cases.h"
#include "structure_fixture.h"

namespace moexray::stats {
namespace {

using bench::PairWorld;
using bench::PairWorldOptions;

const MatchingOptions quick = {.n_permutations = 19};

MatchingResult matched(const PairWorldOptions& options, int n_each = 8) {
  return match_experts(PairWorld(options, 1).draw(n_each, 1).paired(), quick);
}

TEST(BestAssignment, HasTheReferencesSumAndColumns) {
  const nlohmann::json cases = test::structure_fixture("assignments");
  ASSERT_GE(cases.size(), 9U);
  for (const nlohmann::json& one : cases) {
    EXPECT_EQ(best_assignment(test::matrix_from(one.at("profit"))),
              one.at("columns").get<std::vector<int>>());
  }
}

TEST(BestMonotonePath, IsTheBestOfAllThatNeverDescend) {
  RandomStream random(2);
  for (int n_columns = 1; n_columns <= 4; ++n_columns) {
    Matrix score(4, n_columns);
    for (Eigen::Index i = 0; i < score.size(); ++i) score.data()[i] = random.normal();
    double best = -std::numeric_limits<double>::infinity();
    std::vector<int> expected;
    std::vector<int> path(4);
    for (int code = 0; code < static_cast<int>(std::pow(n_columns, 4)); ++code) {
      double sum = 0;
      for (int i = 0, rest = code; i < 4; ++i, rest /= n_columns) {
        path[static_cast<std::size_t>(i)] = rest % n_columns;
        sum += score(i, rest % n_columns);
      }
      if (!std::is_sorted(path.begin(), path.end()) || sum <= best) continue;
      best = sum;
      expected = path;
    }
    EXPECT_EQ(best_monotone_path(score), expected);
  }
}

TEST(ExpertMatching, OfARoutingWithItselfIsTheIdentity) {
  const MatchingResult found = matched({.router_share = 1});
  ASSERT_EQ(found.layers.size(), 2U);
  for (const MatchedLayer& layer : found.layers) {
    EXPECT_EQ(layer.other_layer, layer.layer);
    EXPECT_EQ(layer.stability, 1);
    EXPECT_EQ(layer.identity, 1);
    EXPECT_GT(layer.heldout_overlap.estimate, 0.98);  // less the experts that are not used
    for (const MatchedExpert& one : layer.pairs) {
      EXPECT_EQ(one.other, one.expert);
      EXPECT_EQ(one.rate, 1);
      EXPECT_GT(one.runner_up_gap, 0);
      EXPECT_TRUE(one.stable);
    }
  }
  EXPECT_TRUE(found.same_experts());
  EXPECT_EQ(found.test.p_value, 1.0 / 20);
}

TEST(ExpertMatching, FindsRenamedExperts) {
  PairWorldOptions options{.router_share = 1};
  options.permutation = {5, 2, 9, 15, 0, 7, 12, 1, 14, 3, 8, 4, 13, 6, 11, 10};  // 10 stands alone
  const MatchingResult found = matched(options);
  for (const MatchedLayer& layer : found.layers) {
    EXPECT_GT(layer.heldout_overlap.estimate, 0.98);
    EXPECT_GT(layer.kappa.estimate, 0.97);
    EXPECT_LT(layer.identity, 0.13);
    for (const MatchedExpert& one : layer.pairs) {
      EXPECT_EQ(one.other, options.permutation[static_cast<std::size_t>(one.expert)]);
    }
  }
  EXPECT_FALSE(found.same_experts());
}

// 8 of 64, independent and uniform: chance, although the assignment finds far more in its own half.
TEST(ExpertMatching, OfIndependentRoutersIsChanceOnOtherPrompts) {
  RandomStream random(7);
  const RoutingShape shape{1, 64, 8};
  PairedPrompts pair;
  std::vector<PromptLabel> labels;
  for (int i = 0; i < 40; ++i) labels.push_back({"p" + std::to_string(i), "c"});
  const auto draw = [&] {
    SignatureAccumulator signatures(shape, labels, {});
    TokenAccumulator tokens(shape, labels.size(), {});
    std::vector<ExpertId> all(64);
    std::iota(all.begin(), all.end(), 0);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      for (int t = 0; t < 50; ++t) {
        for (std::size_t j = 0; j < 8; ++j) std::swap(all[j], all[j + random.below(64 - j)]);
        RoutingRecord record;
        record.pos = t;
        record.token_id = 1;
        record.experts = std::span(all).first(8);
        signatures.add(i, record);
        tokens.add(i, record);
      }
    }
    std::pair<Signatures, RoutedTokens> result;
    result.first = std::move(signatures).finish();
    result.second = std::move(tokens).finish(result.first);
    return result;
  };
  const auto [first, first_tokens] = draw();
  const auto [second, second_tokens] = draw();
  const MatchingResult found =
      match_experts(paired_prompts(first, first_tokens, second, second_tokens, {}, {}), quick);
  const MatchedLayer& layer = found.layers.at(0);
  const double error = std::sqrt(0.7778 / 2000) / 8;  // of the overlap of random sets
  EXPECT_NEAR(layer.heldout_overlap.estimate, 0.125, 4 * error);
  EXPECT_NEAR(layer.popularity, 0.125, 0.002);
  EXPECT_LT(std::abs(layer.kappa.estimate), 0.02);
  EXPECT_LT(layer.stability, 0.2);
  EXPECT_GT(found.test.p_value, 0.05);
  double in_sample = 0;
  for (const MatchedExpert& one : layer.pairs) in_sample += one.rate / 64;
  EXPECT_GT(in_sample, 0.16);
}

TEST(ExpertMatching, KeepsTheOrderOfLayersAndLeavesUnusedExpertsOut) {
  // The second has layer 1 of the first alone, and two more experts that are never chosen.
  const bench::PairOfRoutings routings =
      PairWorld({.n_layers = 2, .router_share = 1}, 1).draw(8, 1);
  const auto cut = [&](const Signatures& old_signatures, const RoutedTokens& tokens) {
    const RoutingShape shape{1, 18, 2};
    std::vector<PromptLabel> labels;
    for (std::size_t i = 0; i < old_signatures.size(); ++i) {
      labels.push_back({old_signatures.ids[i], old_signatures.categories[i]});
    }
    SignatureAccumulator signatures(shape, labels, {});
    TokenAccumulator routed(shape, labels.size(), {});
    for (std::size_t i = 0; i < labels.size(); ++i) {
      for (std::size_t t = tokens.first[i]; t < tokens.first[i + 1]; ++t) {
        const auto from = tokens.at(t, 1);
        const std::vector<ExpertId> experts(from.begin(), from.end());
        RoutingRecord record;
        record.pos = tokens.tokens[t].pos;
        record.token_id = 1;
        record.experts = experts;
        signatures.add(i, record);
        routed.add(i, record);
      }
    }
    std::pair<Signatures, RoutedTokens> result;
    result.first = std::move(signatures).finish();
    result.second = std::move(routed).finish(result.first);
    return result;
  };
  const auto [second, second_tokens] = cut(routings.second, routings.second_tokens);
  const PairedPrompts forth =
      paired_prompts(second, second_tokens, routings.first, routings.first_tokens, {}, {});
  const MatchingResult found = match_experts(forth, quick);
  ASSERT_EQ(found.layers.size(), 1U);
  EXPECT_EQ(found.layers[0].other_layer, 1);
  EXPECT_GE(found.layers[0].n_unused_first, 2);
  EXPECT_GT(found.layers[0].heldout_overlap.estimate, 0.98);
  EXPECT_TRUE(std::isnan(found.layers[0].identity));
  const MatchingResult back = match_experts(
      paired_prompts(routings.first, routings.first_tokens, second, second_tokens, {}, {}), quick);
  ASSERT_EQ(back.layers.size(), 2U);
  EXPECT_GT(back.layers[1].heldout_overlap.estimate, 0.98);
  EXPECT_LT(back.layers[0].heldout_overlap.estimate, 0.6);
}

TEST(ExpertMatching, SaysWhatItNeeds) {
  bench::PairOfRoutings routings = PairWorld({}, 1).draw(2, 1);
  EXPECT_NE(match_experts(routings.paired(), quick).not_tested.find("fewer than 10"),
            std::string::npos);
  for (RoutedToken& token : routings.second_tokens.tokens) token.id = 9;
  const MatchingResult others = match_experts(routings.paired(), quick);
  EXPECT_TRUE(others.layers.empty());
  EXPECT_NE(others.reason.find("not the same"), std::string::npos);
}

}  // namespace
}  // namespace moexray::stats
