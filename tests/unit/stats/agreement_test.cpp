#include "moexray/stats/agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "routing_world.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::aligned;
using test::expect_error;
using Routing = test::MadeRouting;
using World = test::RoutingWorld;

std::vector<LayerAgreement> compare(const Routing& a, const Routing& b,
                                    const AgreementOptions& options = {}) {
  return agreement(a.tokens, b.tokens, aligned(a, b), options);
}

TEST(Agreement, WithItselfIsOne) {
  const World world;
  const Routing a = world.routing(world.uniform(1));
  const Alignment alignment = aligned(a, a);
  EXPECT_EQ(alignment.n_tokens, 240U);
  EXPECT_EQ(alignment.share(), 1);
  for (const LayerAgreement& layer : compare(a, a)) {
    EXPECT_EQ(layer.overlap.estimate, 1);
    EXPECT_TRUE(std::isnan(layer.overlap.ci95[0]));
    EXPECT_EQ(layer.jaccard, 1);
    EXPECT_EQ(layer.top1, 1);
    EXPECT_EQ(layer.identical, 1);
    for (const ChanceCorrected& one : layer.chance) EXPECT_EQ(one.kappa.estimate, 1);
    for (const double share : layer.lost_by_rank) EXPECT_EQ(share, 0);
  }
}

// The second keeps the first j experts and takes others in place of the rest.
TEST(Agreement, OfSetsThatShareSoManyIsThat) {
  const World world;
  const auto choose = world.uniform(2);
  const Routing a = world.routing(choose);
  for (int j = 0; j <= 4; ++j) {
    const Routing b = world.routing([&](int i, int t, int layer) {
      std::vector<ExpertId> experts = choose(i, t, layer);
      const std::set<ExpertId> taken(experts.begin(), experts.end());
      ExpertId next = 0;
      for (int r = j; r < 4; ++r) {
        while (taken.contains(next)) ++next;
        experts[static_cast<std::size_t>(r)] = next++;
      }
      return experts;
    });
    for (const LayerAgreement& layer : compare(a, b)) {
      EXPECT_NEAR(layer.overlap.estimate, j / 4.0, 1e-12);
      EXPECT_NEAR(layer.jaccard, j / (8.0 - j), 1e-12);
      EXPECT_EQ(layer.top1, j > 0 ? 1 : 0);
      EXPECT_EQ(layer.identical, j == 4 ? 1 : 0);
      for (int r = 0; r < 4; ++r) {
        EXPECT_NEAR(layer.lost_by_rank[static_cast<std::size_t>(r)],
                    r < j || j == 4 ? 0 : 1.0 / (4 - j), 1e-12);
      }
    }
  }
}

TEST(Agreement, OfIndependentChoicesIsChance) {
  World world;
  world.shape = {1, 64, 8};
  world.n_prompts = 40;
  const Routing a = world.routing(world.uniform(3));
  const Routing b = world.routing(world.uniform(4));
  EXPECT_NEAR(uniform_jaccard(64, 8, 8), 0.07054, 5e-6);
  EXPECT_NEAR(uniform_jaccard(4, 4, 4), 1, 1e-12);
  EXPECT_NEAR(uniform_jaccard(4, 3, 1), 0.75 / 3, 1e-12);
  const LayerAgreement layer = compare(a, b).at(0);
  const double error = std::sqrt(0.7778 / 800) / 8;  // of a mean over the tokens
  EXPECT_NEAR(layer.overlap.estimate, 0.125, 4 * error);
  EXPECT_NEAR(layer.jaccard, 0.07054, 4 * error);
  EXPECT_EQ(layer.chance[0].chance, 0.125);
  for (const ChanceCorrected& one : layer.chance) {
    EXPECT_NEAR(one.chance, 0.125, 0.01);
    EXPECT_LT(one.kappa.ci95[0], 0.01);
    EXPECT_GT(one.kappa.ci95[1], -0.01);
  }
}

// Straight from the definitions.
TEST(Agreement, ChanceLevelsAreTheirDefinitions) {
  World world;
  world.n_prompts = 5;
  world.n_tokens = 9;
  const Routing a = world.routing(world.uniform(5));
  world.shape.top_k = 3;
  const Routing b = world.routing(world.uniform(6));
  const std::vector<std::string> groups = {"g", "g", "", "", "h"};
  const Alignment alignment = aligned(a, b, groups);
  EXPECT_EQ(alignment.n_units, 4U);
  const std::vector<int> unit = {0, 0, 1, 2, 3};
  const auto layers = agreement(a.tokens, b.tokens, alignment, {.min_type_count = 2});
  for (int layer = 0; layer < 2; ++layer) {
    const auto shared = [&](std::size_t s, std::size_t t) {
      const auto x = a.tokens.at(s, layer), y = b.tokens.at(t, layer);
      double n = 0;
      for (const auto e : x) n += std::count(y.begin(), y.end(), e) > 0 ? 1 : 0;
      return n / 3;
    };
    double everyone = 0, prompt = 0, type = 0, own = 0, own_typed = 0;
    int n_typed = 0;
    for (std::size_t s = 0; s < 45; ++s) {
      own += shared(s, s) / 45;
      double others = 0;
      double of_type = 0;
      int n_of_type = 0;
      for (std::size_t t = 0; t < 45; ++t) {
        everyone += shared(s, t) / (45 * 45);
        if (t / 9 == s / 9 && t != s) others += shared(s, t) / 8;
        if (unit[t / 9] == unit[s / 9] || a.tokens.tokens[t].id != a.tokens.tokens[s].id) continue;
        ++n_of_type;
        of_type += shared(s, t);
      }
      prompt += others / 45;
      if (n_of_type < 2) continue;
      ++n_typed;
      type += of_type / n_of_type;
      own_typed += shared(s, s);
    }
    ASSERT_GT(n_typed, 10);
    const auto& chance = layers[static_cast<std::size_t>(layer)].chance;
    EXPECT_NEAR(chance[0].chance, 4.0 / 16, 1e-12);
    EXPECT_NEAR(chance[1].chance, everyone, 1e-12);
    EXPECT_NEAR(chance[2].chance, prompt, 1e-12);
    EXPECT_NEAR(chance[3].chance, type / n_typed, 1e-12);
    EXPECT_NEAR(chance[3].coverage, n_typed / 45.0, 1e-12);
    EXPECT_NEAR(chance[2].kappa.estimate, (own - prompt) / (1 - prompt), 1e-12);
    type /= n_typed;
    EXPECT_NEAR(chance[3].kappa.estimate, (own_typed / n_typed - type) / (1 - type), 1e-12);
    EXPECT_TRUE(std::isnan(chance[2].kappa.ci95[0]));  // of four units
  }
}

// Tokens of a prompt in another order follow the prompt and nothing else. Among a token's T − 1
// others in the second is then itself, so that κ is −1/(T − 2) and not 0.
TEST(Agreement, OfRotatedTokensIsThatOfThePrompt) {
  World world;
  world.n_prompts = 200;
  const auto choose = world.uniform(7);
  // Each prompt has four experts of its own, which half of its tokens take.
  const auto of_prompt = [&](int i, int t, int layer) {
    const std::vector<ExpertId> experts = choose(i, t, layer);
    return experts[0] < 8 ? choose(i, 1000, layer) : experts;
  };
  const Routing a = world.routing(of_prompt);
  const Routing b =
      world.routing([&](int i, int t, int layer) { return of_prompt(i, (t + 5) % 20, layer); });
  for (const LayerAgreement& layer : compare(a, b)) {
    EXPECT_NEAR(layer.chance[2].kappa.estimate, -1.0 / 18, 0.03);
    EXPECT_GT(layer.chance[1].kappa.estimate, 0.1);
    EXPECT_LT(layer.chance[1].chance + 0.1, layer.chance[2].chance);
  }
}

// Names of experts that are shifted: e is in both sets of a token if e and e − 5 are in the first,
// for which the chance is (k − 1)/(E − 1) of e's, less than k/E.
TEST(Agreement, OfShiftedNamesIsThatOfPairsOfExperts) {
  World world;
  world.n_prompts = 60;
  const auto choose = world.uniform(8);
  const Routing a = world.routing(choose);
  const Routing b = world.routing([&](int i, int t, int layer) {
    std::vector<ExpertId> experts = choose(i, t, layer);
    for (ExpertId& e : experts) e = (e + 5) % 16;
    return experts;
  });
  for (const LayerAgreement& layer : compare(a, b)) {
    EXPECT_NEAR(layer.overlap.estimate, 3.0 / 15, 0.02);
    EXPECT_NEAR(layer.chance[1].chance, 4.0 / 16, 0.002);
  }
}

TEST(Agreement, IsOfTokensUpToTheFirstThatDiffers) {
  World world;
  const Routing a = world.routing(world.uniform(9));
  const auto same = world.id;
  world.id = [&](int i, int t) { return i == 3 && t >= 6 ? 99 : same(i, t); };
  const Routing b = world.routing(world.uniform(9), 2);
  // Prompts p2 … p11 are in both, under other numbers: of those the ids agree where the formula
  // does.
  const Alignment alignment = aligned(a, b);
  EXPECT_EQ(alignment.n_shared_prompts, 10U);
  EXPECT_EQ(alignment.n_only_first, 2U);
  EXPECT_EQ(alignment.n_only_second, 2U);
  EXPECT_LT(alignment.share(), 0.5);

  const Routing cut = world.routing(world.uniform(9));
  const Alignment with_cut = aligned(a, cut);
  EXPECT_EQ(with_cut.n_tokens, 12U * 20 - 14);
  EXPECT_NEAR(with_cut.share(), 1 - 14 / 240.0, 1e-12);
  EXPECT_TRUE(with_cut.has_ids);

  world.id = [](int, int) { return -1; };
  const Routing without = world.routing(world.uniform(9));
  const Alignment by_position = aligned(a, without);
  EXPECT_EQ(by_position.n_tokens, 240U);
  EXPECT_FALSE(by_position.has_ids);
  const LayerAgreement layer = compare(a, without).at(0);
  EXPECT_EQ(layer.overlap.estimate, 1);
  EXPECT_TRUE(std::isnan(layer.chance[3].chance));
}

TEST(Agreement, FindsLayersThatAreCountedDifferently) {
  World world;
  world.shape.n_layers = 6;
  const auto choose = world.uniform(10);
  const Routing a = world.routing(choose);
  const Routing b = world.routing([&](int i, int t, int layer) { return choose(i, t, layer - 2); });
  const auto shifts = layer_shifts(a.tokens, b.tokens, aligned(a, b));
  ASSERT_EQ(shifts.size(), 7U);
  EXPECT_EQ(winning_shift(shifts), 2);
  EXPECT_NEAR(shifts[5].kappa, 1, 1e-12);
  EXPECT_EQ(winning_shift(layer_shifts(b.tokens, a.tokens, aligned(b, a))), -2);
  EXPECT_EQ(winning_shift(layer_shifts(a.tokens, a.tokens, aligned(a, a))), 0);
  const Routing other = world.routing(world.uniform(11));
  EXPECT_EQ(winning_shift(layer_shifts(a.tokens, other.tokens, aligned(a, other))), 0);

  world.shape.n_layers = 5;
  const Routing fewer = world.routing(choose);
  expect_error(ErrorKind::data, "expected 6 layers of 16 experts, found 5",
               [&] { compare(a, fewer); });
}

// Four of sixteen experts by their logits, which are all different: the second routing has of each
// token the experts of ranks 1, 2, 6 and 12 in place of 1 to 4.
TEST(Agreement, SaysWhichRanksWereLostAndGainedAndHowNearTheyWere) {
  World world;
  const auto ranked = [](int i, int t, int layer) {
    std::vector<ExpertId> experts(16);
    for (int e = 0; e < 16; ++e) {
      experts[static_cast<std::size_t>(e)] = (e * 5 + i + 3 * t + layer) % 16;
    }
    return experts;
  };
  const auto of_ranks = [&](std::vector<std::size_t> ranks) {
    return [=](int i, int t, int layer) {
      const std::vector<ExpertId> all = ranked(i, t, layer);
      std::vector<ExpertId> experts;
      for (const std::size_t rank : ranks) experts.push_back(all[rank - 1]);
      return experts;
    };
  };
  // Softmax of ln p is p: 0.2 of the first three, then 0.09 and 0.0895, the rest of the others.
  const auto probability = [](int rank) {
    return rank <= 3   ? 0.2
           : rank == 4 ? 0.09
           : rank == 5 ? 0.0895
                       : 0.2205 / 11 - 1e-4 * rank + 11e-4;
  };
  world.weights = [](int, int, int) { return std::vector<float>{0.4F, 0.3F, 0.2F, 0.1F}; };
  world.logits = [&](int i, int t, int layer) {
    std::vector<float> logits(16);
    const std::vector<ExpertId> all = ranked(i, t, layer);
    for (int rank = 1; rank <= 16; ++rank) {
      logits[static_cast<std::size_t>(all[static_cast<std::size_t>(rank - 1)])] =
          static_cast<float>(std::log(probability(rank)));
    }
    return logits;
  };
  const Routing a = world.routing(of_ranks({1, 2, 3, 4}));
  world.weights = nullptr;
  world.logits = nullptr;
  const Routing b = world.routing(of_ranks({6, 1, 12, 2}));
  for (const LayerAgreement& layer : compare(a, b)) {
    EXPECT_EQ(layer.overlap.estimate, 0.5);
    EXPECT_NEAR(layer.weighted, 0.7, 1e-4);
    EXPECT_EQ(layer.lost_by_rank, (std::vector<double>{0, 0, 0.5, 0.5}));
    // Ranks 5 to 8, and beyond.
    EXPECT_EQ(layer.gained_by_rank, (std::vector<double>{0, 0.5, 0, 0, 0.5}));
    EXPECT_EQ(layer.n_lost, 480);
    EXPECT_EQ(layer.n_gained, 480);
    EXPECT_EQ(layer.near_ties, (std::array<double, 3>{0, 1, 1}));
  }
  // Of the second nothing of the kind is known.
  for (const LayerAgreement& layer : compare(b, a)) {
    EXPECT_TRUE(std::isnan(layer.weighted));
    EXPECT_TRUE(layer.gained_by_rank.empty());
    EXPECT_TRUE(std::isnan(layer.near_ties[0]));
  }
}

TEST(Agreement, OfAWiderRoutingIsThatOfItsFirstExperts) {
  World world;
  const auto choose = world.uniform(14);
  const Routing a = world.routing([&](int i, int t, int layer) {
    std::vector<ExpertId> experts = choose(i, t, layer);
    std::reverse(experts.begin(), experts.end());
    return experts;
  });
  world.shape.top_k = 2;
  const Routing b = world.routing([&](int i, int t, int layer) {
    std::vector<ExpertId> experts = choose(i, t, layer);
    return std::vector<ExpertId>{experts[3], experts[2]};
  });
  const RoutedTokens narrow = first_experts(a.tokens, 2);
  EXPECT_EQ(narrow.shape.top_k, 2);
  EXPECT_EQ(narrow.experts, b.tokens.experts);
  for (const LayerAgreement& layer :
       agreement(narrow, b.tokens, aligned(a, b), AgreementOptions{})) {
    EXPECT_EQ(layer.overlap.estimate, 1);
    EXPECT_EQ(layer.chance[0].chance, 2.0 / 16);
  }
}

TEST(Agreement, DoesNotDependOnThreads) {
  const World world;
  const Routing a = world.routing(world.uniform(12));
  const Routing b = world.routing(world.uniform(13));
  const auto one = compare(a, b), two = compare(a, b, {.n_threads = 2});
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].overlap.ci95, two[i].overlap.ci95);
    EXPECT_EQ(one[i].chance[3].kappa.ci95, two[i].chance[3].kappa.ci95);
  }
}

}  // namespace
}  // namespace moexray::stats
