// The rule of a router, and what a policy may make of it.
#include "moexray/routing/router_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/routing/policy.h"
#include "support/double_policy.h"
#include "support/expect_error.h"

namespace moexray {
namespace {

using Floats = std::vector<float>;
using Ids = std::vector<ExpertId>;

constexpr float never = -std::numeric_limits<float>::infinity();

TEST(SelectExperts, TiesGoToTheLowerId) {
  const Floats logits{1.0F, 3.0F, 3.0F, 0.0F, 3.0F, 1.0F};
  Ids experts(4);
  Floats weights(4);
  select_experts({6, 4, true}, logits, experts, weights);
  EXPECT_EQ(experts, (Ids{1, 2, 4, 0}));
  EXPECT_NEAR(weights[0] + weights[1] + weights[2] + weights[3], 1.0, 1e-6);
}

TEST(SelectExperts, AgreesWithSortingOnRandomRows) {
  RandomStream random(5);
  for (int round = 0; round < 200; ++round) {
    const int E = 1 + static_cast<int>(random.below(70)),
              k = 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(E)));
    Floats logits(static_cast<std::size_t>(E)), p(logits.size()),
        weights(static_cast<std::size_t>(k));
    for (float& value : logits) value = static_cast<float>(random.below(9));  // many ties
    Ids experts(weights.size()), order(logits.size());
    select_experts({E, k, false}, logits, experts, weights, p);
    for (int e = 0; e < E; ++e) order[static_cast<std::size_t>(e)] = e;
    std::ranges::stable_sort(order, [&](ExpertId a, ExpertId b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    order.resize(weights.size());
    EXPECT_EQ(experts, order);
    for (std::size_t j = 0; j < weights.size(); ++j) {
      EXPECT_EQ(weights[j], p[static_cast<std::size_t>(experts[j])]);
    }
  }
}

TEST(SelectExperts, RowsAreIndependent) {
  RandomStream random(6);
  Floats logits(5 * 17);
  for (float& value : logits) value = static_cast<float>(random.uniform() * 8 - 4);
  Ids together(5 * 3), alone(3);
  Floats weights(15), own(3);
  select_experts({17, 3, false}, logits, together, weights);
  for (std::size_t row = 0; row < 5; ++row) {
    select_experts({17, 3, false}, std::span(logits).subspan(row * 17, 17), alone, own);
    EXPECT_TRUE(std::ranges::equal(alone, std::span(together).subspan(row * 3, 3)));
    EXPECT_TRUE(std::ranges::equal(own, std::span(weights).subspan(row * 3, 3)));
  }
}

TEST(SelectExperts, ForbiddenExpertsWeighNothing) {
  Ids experts(2);
  Floats weights(2), p(4);
  select_experts({4, 2, false}, Floats{never, 0.5F, never, 0.25F}, experts, weights, p);
  EXPECT_EQ(experts, (Ids{1, 3}));
  EXPECT_EQ(p[0], 0.0F);
  EXPECT_EQ(p[2], 0.0F);
  EXPECT_NEAR(weights[0] / weights[1], std::exp(0.25), 1e-6);
  EXPECT_NEAR(weights[0] + weights[1], 1.0, 1e-6);
}

TEST(SelectExperts, AForbiddenExpertIsBehindOneOfProbabilityZero) {
  Ids experts(2);
  Floats weights(2), p(4);
  select_experts({4, 2, false}, Floats{never, 200.0F, 1.0F, 0.0F}, experts, weights, p);
  EXPECT_EQ(experts, (Ids{1, 2}));
  EXPECT_EQ(p, (Floats{0.0F, 1.0F, 0.0F, 0.0F}));
}

RouterSpec by_logits(int n_experts, int top_k) {
  RouterSpec router{n_experts, top_k};
  router.softmax = SoftmaxOver::chosen;
  return router;
}

TEST(SelectExpertsByLogits, WeighsTheChosenAlone) {
  Ids experts(3);
  Floats weights(3), p(5);
  const Floats logits{2.0F, -1.0F, 4.0F, 2.0F, 3.0F};
  select_experts(by_logits(5, 3), logits, experts, weights, p);
  EXPECT_EQ(experts, (Ids{2, 4, 0}));
  const double total = 1 + std::exp(-1.0) + std::exp(-2.0);
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(weights[j], std::exp(-static_cast<double>(j)) / total, 1e-6);
  }
  EXPECT_NEAR(p[0] + p[1] + p[2] + p[3] + p[4], 1.0, 1e-6);
}

// The probabilities of these are all 0 but for one: the logits still have an order.
TEST(SelectExpertsByLogits, TellsApartWhatASoftmaxOverAllCannot) {
  Ids experts(2);
  Floats weights(2);
  const Floats logits{-300.0F, 100.0F, -200.0F, -250.0F};
  select_experts(by_logits(4, 2), logits, experts, weights);
  EXPECT_EQ(experts, (Ids{1, 2}));
  select_experts({4, 2}, logits, experts, weights);
  EXPECT_EQ(experts, (Ids{1, 0}));
}

TEST(SelectExpertsByLogits, LeavesOutForbiddenOnes) {
  Ids experts(2);
  Floats weights(2);
  select_experts(by_logits(4, 2), Floats{never, 1.0F, never, 3.0F}, experts, weights);
  EXPECT_EQ(experts, (Ids{3, 1}));
  EXPECT_NEAR(weights[0] + weights[1], 1.0, 1e-6);
}

// Does what the test says.
struct MadePolicy : RoutingPolicy {
  std::function<void(const RouterRow&, std::span<float>)> logits = {};
  std::function<void(std::span<ExpertId>, std::span<float>)> choice = {};
  void on_logits(const RouterRow& row, std::span<float> values) const override {
    if (logits) logits(row, values);
  }
  void on_choice(const RouterRow&, std::span<const float>, std::span<ExpertId> experts,
                 std::span<float> weights) const override {
    if (choice) choice(experts, weights);
  }
  std::string canonical() const override { return "made"; }
};

struct Chosen {
  Ids experts = Ids(2);
  Floats weights = Floats(2);
  Floats logits{0.0F, 1.0F, 2.0F, 3.0F};
};

Chosen choose(const RoutingPolicy& policy) {
  Chosen chosen;
  select_under_policy({4, 2, true}, policy, {5, 0, 7, 11, {}}, chosen.logits, chosen.experts,
                      chosen.weights);
  return chosen;
}

TEST(Policy, ThatDoesNothingChangesNothing) {
  const Chosen chosen = choose(MadePolicy{});
  Ids experts(2);
  Floats weights(2);
  select_experts({4, 2, true}, chosen.logits, experts, weights);
  EXPECT_EQ(chosen.experts, experts);
  EXPECT_EQ(chosen.weights, weights);
}

TEST(Policy, SeesTheRowAndActsBeforeAndAfterTheChoice) {
  MadePolicy policy;
  policy.logits = [](const RouterRow& row, std::span<float> logits) {
    EXPECT_EQ(row.layer, 5);
    EXPECT_EQ(row.pos, 7);
    EXPECT_EQ(row.token_id, 11);
    logits[3] = never;
  };
  policy.choice = [](std::span<ExpertId> experts, std::span<float> weights) {
    EXPECT_EQ(experts[0], 2);
    EXPECT_EQ(experts[1], 1);
    experts[1] = 0;
    weights[1] = 0;
  };
  const Chosen chosen = choose(policy);
  EXPECT_EQ(chosen.experts, (Ids{2, 0}));
  EXPECT_EQ(chosen.weights[1], 0.0F);
  EXPECT_EQ(chosen.logits[3], never);
}

TEST(Policy, OfTheTestsOwnIsAFunctionOfItsRow) {
  const test::ShiftingPolicy policy;
  const Floats hidden{2.0F, 1.0F};
  const auto chosen_at = [&](const RouterRow& row) {
    Chosen chosen;
    select_under_policy({4, 2, true}, policy, row, chosen.logits, chosen.experts, chosen.weights);
    return chosen;
  };
  const Chosen blind = chosen_at({1, 0, 2, 7, {}}), seeing = chosen_at({0, 0, 2, 7, hidden});
  EXPECT_EQ(blind.logits, (Floats{0.0F, 1.0F, 3.0F, 1.0F}));
  EXPECT_EQ(blind.experts, (Ids{2, 1}));
  EXPECT_LT(blind.weights[0], blind.weights[1]);
  EXPECT_FLOAT_EQ(seeing.logits[0], 0.3F);
  const Chosen again = chosen_at({1, 5, 2, 7, {}});
  EXPECT_EQ(again.logits, blind.logits);
  EXPECT_EQ(again.experts, blind.experts);
  EXPECT_EQ(again.weights, blind.weights);
}

TEST(Policy, WhatCannotBeIsRefusedByName) {
  const auto with_logits = [](int n_forbidden, float value) {
    MadePolicy policy;
    policy.logits = [=](const RouterRow&, std::span<float> logits) {
      for (int e = 0; e < n_forbidden; ++e) logits[static_cast<std::size_t>(e)] = value;
    };
    return policy;
  };
  const auto with_choice = [](ExpertId id, float weight) {
    MadePolicy policy;
    policy.choice = [=](std::span<ExpertId> experts, std::span<float> weights) {
      experts[1] = id;
      weights[1] = weight;
    };
    return policy;
  };
  const auto refused = [](const MadePolicy& policy, const char* part) {
    for (const char* words : {part, "\"made\"", "MoE layer 5, position 7"}) {
      test::expect_error(ErrorKind::runtime, words, [&] { choose(policy); });
    }
  };
  choose(with_logits(2, never));
  refused(with_logits(3, never), "forbids too many experts");
  refused(with_logits(1, std::numeric_limits<float>::quiet_NaN()), "no number");
  refused(with_logits(1, std::numeric_limits<float>::infinity()), "no number");
  refused(with_choice(4, 0.5F), "not there");
  refused(with_choice(-1, 0.5F), "not there");
  refused(with_choice(3, 0.5F), "twice");
  refused(with_choice(0, std::numeric_limits<float>::infinity()), "not finite");
  refused(with_choice(0, -0.5F), "negative");
}

}  // namespace
}  // namespace moexray
