#include "type_routing.h"

#include <gtest/gtest.h>

#include <Eigen/QR>
#include <algorithm>
#include <map>
#include <numeric>

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

// Part and place of every token, prompts being compared as a whole.
CommonPositions whole_prompts(const RoutedTokens& tokens, std::int64_t n_tokens = 1000) {
  CommonPositions positions;
  positions.n_tokens = n_tokens;
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) positions.rows.push_back(i);
  return positions;
}

// Prompts with generated tokens.
bench::SimulatedRouting two_parts() {
  return bench::simulated_routing({.n_categories = 2,
                                   .n_prompts = 6,
                                   .n_experts = 5,
                                   .n_types = 40,
                                   .prompt_tokens = {9, 14},
                                   .generated_tokens = {3, 6},
                                   .first_shift = 1},
                                  5);
}

// The definition with several cells: for every prompt, least squares over the tokens of the
// training prompts other than it, with a column for every type and every cell.
TypeSignatures plain_joint(const RoutedTokens& tokens, const TokenRoles& roles,
                           const SplitRows& rows, int min_count) {
  const RoutingShape& shape = tokens.shape;
  const Eigen::Index d = static_cast<Eigen::Index>(shape.n_layers) * shape.n_experts;
  std::map<TokenId, Eigen::Index> columns;
  for (const RoutedToken& token : tokens.tokens) {
    columns.try_emplace(token.id, static_cast<Eigen::Index>(columns.size()));
  }
  const auto n_types = static_cast<Eigen::Index>(columns.size());
  std::vector<Eigen::Index> all = rows.train;
  all.insert(all.end(), rows.test.begin(), rows.test.end());
  const auto n = static_cast<Eigen::Index>(all.size());
  TypeSignatures result{Matrix::Zero(n, d), Matrix::Zero(n, d), Vector::Zero(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto prompt = static_cast<std::size_t>(all[static_cast<std::size_t>(i)]);
    std::vector<std::size_t> taught;
    for (const Eigen::Index other : rows.train) {
      const auto o = static_cast<std::size_t>(other);
      for (std::size_t t = tokens.first[o]; t < tokens.first[o + 1]; ++t) {
        if (o != prompt && roles.cell[t] >= 0) taught.push_back(t);
      }
    }
    Eigen::MatrixXd design =
        Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(taught.size()), n_types + roles.n_cells);
    Eigen::MatrixXd y = Eigen::MatrixXd::Zero(design.rows(), d);
    // Columns that rows tie together have the same number in the end.
    std::vector<Eigen::Index> tied(static_cast<std::size_t>(design.cols()));
    std::iota(tied.begin(), tied.end(), 0);
    std::vector<int> n_of_type(static_cast<std::size_t>(n_types));
    for (std::size_t r = 0; r < taught.size(); ++r) {
      const auto row = static_cast<Eigen::Index>(r);
      const Eigen::Index type = columns.at(tokens.tokens[taught[r]].id);
      const Eigen::Index cell = n_types + roles.cell[taught[r]];
      design(row, type) = design(row, cell) = 1;
      ++n_of_type[static_cast<std::size_t>(type)];
      for (int l = 0; l < shape.n_layers; ++l) {
        for (const auto e : tokens.at(taught[r], l)) y(row, l * shape.n_experts + e) = 1;
      }
      const Eigen::Index from = tied[static_cast<std::size_t>(cell)];
      std::replace(tied.begin(), tied.end(), from, tied[static_cast<std::size_t>(type)]);
    }
    // Equal columns are to be seen as such, whatever rounding leaves of their difference.
    Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> decomposition;
    decomposition.setThreshold(1e-9);
    decomposition.compute(design);
    const Eigen::MatrixXd coefficients = decomposition.solve(y);
    // A type is used if that is right for all of its tokens in the prompt.
    std::map<TokenId, bool> used;
    double n_all = 0;
    double n_used = 0;
    for (const bool adds : {false, true}) {
      for (std::size_t t = tokens.first[prompt]; t < tokens.first[prompt + 1]; ++t) {
        if (roles.cell[t] < 0 || !(roles.compared.empty() || roles.compared[t])) continue;
        const Eigen::Index type = columns.at(tokens.tokens[t].id);
        const Eigen::Index cell = n_types + roles.cell[t];
        if (!adds) {
          bool& is_used = used.try_emplace(tokens.tokens[t].id, true).first->second;
          is_used = is_used && n_of_type[static_cast<std::size_t>(type)] >= min_count &&
                    tied[static_cast<std::size_t>(type)] == tied[static_cast<std::size_t>(cell)];
          n_all += 1;
          continue;
        }
        if (!used.at(tokens.tokens[t].id)) continue;
        n_used += 1;
        result.expected.row(i) += coefficients.row(type) + coefficients.row(cell);
        for (int l = 0; l < shape.n_layers; ++l) {
          for (const auto e : tokens.at(t, l)) result.observed(i, l * shape.n_experts + e) += 1;
        }
      }
    }
    if (n_used == 0) continue;
    result.observed.row(i) /= n_used * shape.top_k;
    result.expected.row(i) /= n_used * shape.top_k;
    result.coverage(i) = n_used / n_all;
  }
  return result;
}

void expect_same(const RoutedTokens& tokens, const TokenRoles& roles, int min_count,
                 bool covers_all = true) {
  const TypeSignatures found = TypeRouting(tokens, roles, min_count).signatures(split);
  const TypeSignatures expected = plain_joint(tokens, roles, split, min_count);
  if (covers_all) {
    EXPECT_GT(expected.coverage.minCoeff(), 0);
  }
  EXPECT_LT((found.coverage - expected.coverage).cwiseAbs().maxCoeff(), 1e-12);
  for (Eigen::Index i = 0; i < expected.coverage.size(); ++i) {
    if (expected.coverage(i) == 0) continue;
    EXPECT_LT((found.observed.row(i) - expected.observed.row(i)).cwiseAbs().maxCoeff(), 1e-12);
    EXPECT_LT((found.expected.row(i) - expected.expected.row(i)).cwiseAbs().maxCoeff(), 1e-9);
  }
}

TEST(JointRouting, CellsAreThePartAndTheRoundedPlace) {
  auto w = two_parts();
  w.tokens.tokens[1].is_template = true;
  w.tokens.tokens[2].selected = false;
  const TokenRoles roles = position_roles(w.tokens, whole_prompts(w.tokens, 5), true);
  // Prompt 0 has 9 tokens and 3 generated ones: of the former one of the template and one that is
  // not selected, which has a place nevertheless.
  EXPECT_EQ(std::vector(roles.cell.begin(), roles.cell.begin() + 12),
            (std::vector{0, -1, -1, 1, 1, 2, 2, 2, 2, 3, 4, 5}));
  EXPECT_EQ(std::vector(roles.compared.begin(), roles.compared.begin() + 12),
            (std::vector<bool>{1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0}));
  // 0, 1, 2–3, 4–7, 8–15 of prompts; 0, 1, 2–3, 4–7 of what is generated.
  EXPECT_EQ(roles.n_cells, 9);
  EXPECT_EQ(position_roles(w.tokens, whole_prompts(w.tokens), false).n_cells, 1);
}

TEST(JointRouting, IsLeastSquaresWithoutEachPrompt) {
  const auto w = two_parts();
  for (const int min_count : {1, 3, 5}) {
    for (const int n_tokens : {6, 1000}) {
      const CommonPositions positions = whole_prompts(w.tokens, n_tokens);
      expect_same(w.tokens, position_roles(w.tokens, positions, true), min_count);
      expect_same(w.tokens, position_roles(w.tokens, positions, false), min_count);
    }
  }
}

TEST(JointRouting, OneTypeIsTheCellsMean) {
  auto w = two_parts();
  for (RoutedToken& token : w.tokens.tokens) token.id = 7;
  expect_same(w.tokens, position_roles(w.tokens, whole_prompts(w.tokens), true), 5);
  expect_same(w.tokens, position_roles(w.tokens, whole_prompts(w.tokens), false), 5);
}

// Some types stand in places of their own only, one of them in some prompts only.
TEST(JointRouting, WhatIsNotTiedTogetherIsNotUsed) {
  auto w = two_parts();
  TokenRoles roles = position_roles(w.tokens, whole_prompts(w.tokens), true);
  for (std::size_t i = 0; i < w.tokens.n_prompts(); ++i) {
    const std::size_t t = w.tokens.first[i];
    w.tokens.tokens[t].id = 900;                  // tied to place 0 and to nothing else
    if (i == 3) w.tokens.tokens[t + 4].id = 900;  // in a held-out prompt at another place
    if (i == 5) w.tokens.tokens[t].id = 3;        // one prompt ties place 0 to the others
  }
  for (const int min_count : {1, 5}) expect_same(w.tokens, roles, min_count);
  // A place that only one prompt has.
  roles.cell[w.tokens.first[4] + 3] = roles.n_cells++;
  roles.cell[w.tokens.first[6] + 3] = roles.n_cells++;
  for (const int min_count : {1, 5}) expect_same(w.tokens, roles, min_count);
}

TEST(JointRouting, OnePromptTeaches) {
  const auto w = two_parts();
  const TokenRoles roles = position_roles(w.tokens, whole_prompts(w.tokens), true);
  const TypeSignatures s = TypeRouting(w.tokens, roles, 1).signatures({{2}, {0, 1}});
  const TypeSignatures expected = plain_joint(w.tokens, roles, {{2}, {0, 1}}, 1);
  EXPECT_EQ(s.coverage(0), 0);  // there is no other training prompt
  EXPECT_GT(s.coverage(1), 0);
  EXPECT_LT((s.expected.bottomRows(2) - expected.expected.bottomRows(2)).cwiseAbs().maxCoeff(),
            1e-9);
}

// Routing that is a sum of what types and places do leaves nothing over, whatever goes with what.
TEST(JointRouting, SumsOfTypesAndPlacesAreExpectedExactly) {
  auto w = two_parts();
  for (std::size_t i = 0; i < w.tokens.n_prompts(); ++i) {
    for (std::size_t t = w.tokens.first[i]; t < w.tokens.first[i + 1]; ++t) {
      // Two layers and two experts: the type alone decides in one, the place alone in the other.
      const auto by_type = static_cast<std::uint16_t>(w.tokens.tokens[t].id % 2);
      const std::uint16_t by_place = t - w.tokens.first[i] < 4 ? 0 : 1;
      for (std::size_t j = 0; j < 2; ++j) {
        w.tokens.experts[t * 4 + j] = static_cast<std::uint16_t>(by_type + 2 * j);
        w.tokens.experts[t * 4 + 2 + j] = static_cast<std::uint16_t>(by_place + 2 * j);
      }
    }
  }
  const CommonPositions positions = whole_prompts(w.tokens);
  const TypeSignatures joint =
      TypeRouting(w.tokens, position_roles(w.tokens, positions, true), 5).signatures(split);
  const TypeSignatures types =
      TypeRouting(w.tokens, position_roles(w.tokens, positions, false), 5).signatures(split);
  EXPECT_LT((joint.observed - joint.expected).cwiseAbs().maxCoeff(), 1e-9);
  EXPECT_GT((types.observed - types.expected).cwiseAbs().maxCoeff(), 0.02);
}

// Token by token: what the type before each token, or the types before it, do elsewhere.
TEST(JointRouting, ContextIsTheMeanRoutingOfTypesBefore) {
  auto w = two_parts();
  const TokenRoles roles = position_roles(w.tokens, whole_prompts(w.tokens), true);
  constexpr int min_count = 3;
  const Eigen::Index d = 10;
  const std::size_t prompt = 9;  // held out
  Eigen::RowVectorXd average = Eigen::RowVectorXd::Zero(d);
  std::map<TokenId, std::pair<Eigen::RowVectorXd, int>> types;
  double n_all = 0;
  const auto occurs_once = [&](TokenId id) {
    return std::ranges::count(w.tokens.tokens, id, &RoutedToken::id) == 1;
  };
  for (const Eigen::Index row : split.train) {
    const auto i = static_cast<std::size_t>(row);
    for (std::size_t t = w.tokens.first[i]; t < w.tokens.first[i + 1]; ++t) {
      if (occurs_once(w.tokens.tokens[t].id)) continue;
      auto& [sum, n] =
          types.try_emplace(w.tokens.tokens[t].id, Eigen::RowVectorXd::Zero(d), 0).first->second;
      for (int l = 0; l < 2; ++l) {
        for (const auto e : w.tokens.at(t, l)) {
          sum(l * 5 + e) += 0.5;
          average(l * 5 + e) += 0.5;
        }
      }
      ++n;
      n_all += 1;
    }
  }
  average /= n_all;
  const auto known = [&](std::size_t t) {
    const auto found = types.find(w.tokens.tokens[t].id);
    return found != types.end() && found->second.second >= min_count;
  };
  const auto mean = [&](std::size_t t) -> Eigen::RowVectorXd {
    const auto& [sum, n] = types.at(w.tokens.tokens[t].id);
    return sum / n;
  };
  for (const Context context : {Context::previous_token, Context::earlier_tokens}) {
    Eigen::RowVectorXd expected = Eigen::RowVectorXd::Zero(d);
    double n_used = 0, n_compared = 0;
    for (std::size_t t = w.tokens.first[prompt]; t < w.tokens.first[prompt + 1]; ++t) {
      if (!roles.compared[t]) continue;
      n_compared += 1;
      if (!known(t)) continue;
      n_used += 1;
      Eigen::RowVectorXd x = Eigen::RowVectorXd::Zero(d);
      int n = 0;
      for (std::size_t u = w.tokens.first[prompt]; u < t; ++u) {
        if (!known(u) || (context == Context::previous_token && u + 1 < t)) continue;
        x += mean(u);
        ++n;
      }
      expected += n > 0 ? Eigen::RowVectorXd(x / n) : average;
    }
    const TypeSignatures s = TypeRouting(w.tokens, roles, min_count).contexts(split, context);
    EXPECT_NEAR(s.coverage(10), n_used / n_compared, 1e-12);
    EXPECT_LT((s.observed.row(10) - expected / n_used).cwiseAbs().maxCoeff(), 1e-6);
  }
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
