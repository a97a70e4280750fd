#include "type_routing.h"

#include <gtest/gtest.h>

#include <map>

#include "bench/simulated_routing.h"
#include "inference_fixture.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

// A small world with frequent and rare types.
bench::SimulatedRouting world() {
  return bench::simulated_routing({.n_categories = 2,
                                   .n_prompts = 6,
                                   .n_experts = 5,
                                   .n_types = 60,
                                   .min_tokens = 8,
                                   .max_tokens = 20},
                                  11);
}

const SplitRows split = {{0, 1, 2, 4, 5, 7, 8, 10}, {3, 6, 9, 11}};

// Token by token, as the definition says.
TypeSignatures plain_signatures(const RoutedTokens& tokens, const SplitRows& rows, int min_count) {
  const RoutingShape& shape = tokens.shape;
  const Eigen::Index d = static_cast<Eigen::Index>(shape.n_layers) * shape.n_experts;
  const auto selection = [&](std::size_t t) {
    Eigen::RowVectorXd row = Eigen::RowVectorXd::Zero(d);
    for (int l = 0; l < shape.n_layers; ++l) {
      for (const auto e : tokens.at(t, l)) row(l * shape.n_experts + e) += 1;
    }
    return row;
  };
  std::vector<Eigen::Index> all = rows.train;
  all.insert(all.end(), rows.test.begin(), rows.test.end());
  const auto n = static_cast<Eigen::Index>(all.size());
  TypeSignatures result{Matrix::Zero(n, d), Matrix::Zero(n, d), Vector::Zero(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto prompt = static_cast<std::size_t>(all[static_cast<std::size_t>(i)]);
    double n_used = 0;
    for (std::size_t t = tokens.first[prompt]; t < tokens.first[prompt + 1]; ++t) {
      Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(d);
      int count = 0;
      for (const Eigen::Index other : rows.train) {
        const auto o = static_cast<std::size_t>(other);
        if (o == prompt) continue;
        for (std::size_t u = tokens.first[o]; u < tokens.first[o + 1]; ++u) {
          if (tokens.tokens[u].id != tokens.tokens[t].id) continue;
          sum += selection(u);
          ++count;
        }
      }
      if (count < min_count) continue;
      n_used += 1;
      result.observed.row(i) += selection(t);
      result.expected.row(i) += sum / count;
    }
    if (n_used == 0) continue;
    result.observed.row(i) /= n_used * shape.top_k;
    result.expected.row(i) /= n_used * shape.top_k;
    result.coverage(i) = n_used / static_cast<double>(tokens.of_prompt(prompt).size());
  }
  return result;
}

TEST(TypeRouting, IsTheDefinitionTokenByToken) {
  const auto w = world();
  for (const int min_count : {1, 3, 5}) {
    const TypeSignatures found = TypeRouting(w.tokens, min_count).signatures(split);
    const TypeSignatures expected = plain_signatures(w.tokens, split, min_count);
    EXPECT_GT(expected.coverage.minCoeff(), 0);
    EXPECT_LT(expected.coverage.minCoeff(), 1);
    EXPECT_LT((found.coverage - expected.coverage).cwiseAbs().maxCoeff(), 1e-12);
    EXPECT_LT((found.observed - expected.observed).cwiseAbs().maxCoeff(), 1e-12);
    EXPECT_LT((found.expected - expected.expected).cwiseAbs().maxCoeff(), 1e-6);
  }
}

TEST(TypeRouting, HeldOutPromptsTeachNothing) {
  auto w = world();
  const TypeSignatures before = TypeRouting(w.tokens, 3).signatures(split);
  // Held-out prompt 3 is routed to expert 0 and its neighbour throughout.
  for (std::size_t t = w.tokens.first[3]; t < w.tokens.first[4]; ++t) {
    for (std::size_t i = 0; i < 4; ++i) w.tokens.experts[t * 4 + i] = i % 2;
  }
  const TypeSignatures after = TypeRouting(w.tokens, 3).signatures(split);
  EXPECT_EQ(before.expected, after.expected);
  EXPECT_EQ(before.observed.topRows(8), after.observed.topRows(8));
  EXPECT_NE(before.observed.row(8), after.observed.row(8));
}

TEST(TypeRouting, APromptOfUnknownTypesHasNoDifference) {
  auto w = world();
  for (std::size_t t = w.tokens.first[3]; t < w.tokens.first[4]; ++t) {
    w.tokens.tokens[t].id += 100'000;
  }
  const TypeSignatures s = TypeRouting(w.tokens, 5).signatures(split);
  EXPECT_EQ(s.coverage(8), 0);
  EXPECT_EQ(s.observed.row(8), s.expected.row(8));
  EXPECT_LT((s.observed.row(8) - s.observed.topRows(8).colwise().mean()).cwiseAbs().maxCoeff(),
            1e-12);
}

TEST(TypeRouting, NeedsIds) {
  auto w = world();
  w.tokens.tokens[5].id = -1;
  test::expect_error(ErrorKind::data, "no type", [&] { TypeRouting(w.tokens, 5); });
}

// Tokens of one layer with ids as the counts say; routing plays no part.
RoutedTokens tokens_of_counts(const std::vector<std::vector<int>>& counts) {
  RoutedTokens tokens{{1, 2, 1}, {0}, {}, {}};
  for (const auto& row : counts) {
    for (std::size_t type = 0; type < row.size(); ++type) {
      for (int i = 0; i < row[type]; ++i) {
        tokens.tokens.push_back(
            {static_cast<std::int64_t>(tokens.tokens.size()), static_cast<TokenId>(type)});
        tokens.experts.push_back(0);
      }
    }
    tokens.first.push_back(tokens.tokens.size());
  }
  return tokens;
}

TEST(TfIdf, IsScikitLearns) {
  const auto fixture = test::inference_fixture("tf_idf");
  const auto counts = fixture.at("counts").get<std::vector<std::vector<int>>>();
  const auto expected = fixture.at("values").get<std::vector<std::vector<double>>>();
  const RoutedTokens tokens = tokens_of_counts(counts);
  const Matrix found = TypeRouting(tokens, 5).tf_idf({{0, 1, 2, 3, 4, 5}, {6, 7}});
  ASSERT_EQ(found.cols(), 7);  // type 7 is not in the training prompts' vocabulary
  // Columns stand in the order in which types first occur; find each by its values.
  for (std::size_t type = 0; type < 7; ++type) {
    double closest = 1;
    for (Eigen::Index column = 0; column < found.cols(); ++column) {
      double distance = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        distance = std::max(
            distance, std::abs(found(static_cast<Eigen::Index>(i), column) - expected[i][type]));
      }
      closest = std::min(closest, distance);
    }
    EXPECT_LT(closest, 1e-12) << "type " << type;
  }
}

}  // namespace
}  // namespace moexray::stats
