#include "moexray/stats/usage_shift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/random.h"
#include "moexray/stats/rates.h"
#include "routing_world.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::expect_error;
using Routing = test::MadeRouting;
using World = test::RoutingWorld;

PairedUsage paired(const Routing& a, const Routing& b, std::span<const std::string> groups = {}) {
  return paired_usage(a.signatures, a.tokens, b.tokens, test::aligned(a, b), groups,
                      TokenSelection::all);
}

UsageShift shift(const Routing& a, const Routing& b, const UsageShiftOptions& options = {}) {
  return usage_shift(paired(a, b), options);
}

const ExpertShift& at(const UsageShift& usage, int layer, int expert) {
  return usage.experts[static_cast<std::size_t>(layer * usage.shape.n_experts + expert)];
}

// Where the first routing chooses expert 0 at layer 1, the second takes another with this chance.
test::Choose without_expert_0(
    const World& world, std::uint64_t seed, double chance,
    const std::function<bool(int)>& in_prompt = [](int) { return true; }) {
  return [choose = world.uniform(seed), chance, in_prompt](int i, int t, int layer) {
    std::vector<ExpertId> experts = choose(i, t, layer);
    RandomStream random(99, std::to_string(i) + "/" + std::to_string(t));
    if (layer != 1 || !in_prompt(i) || random.uniform() >= chance) return experts;
    const auto zero = std::find(experts.begin(), experts.end(), 0);
    if (zero == experts.end()) return experts;
    for (ExpertId next = 1; *zero == 0; ++next) {
      if (std::find(experts.begin(), experts.end(), next) == experts.end()) *zero = next;
    }
    return experts;
  };
}

TEST(UsageShift, OfARoutingWithItselfIsNone) {
  const World world;
  const Routing a = world.routing(world.uniform(1));
  const UsageShift usage = shift(a, a);
  EXPECT_EQ(usage.n_units, 12U);
  EXPECT_EQ(usage.n_tokens, 240);
  EXPECT_EQ(usage.n_significant, 0U);
  EXPECT_EQ(usage.n_listed, 0U);
  for (const ExpertShift& expert : usage.experts) {
    EXPECT_EQ(expert.difference, 0);
    EXPECT_EQ(expert.first, expert.second);
    EXPECT_TRUE(std::isnan(expert.t));
    EXPECT_TRUE(std::isnan(expert.p_adjusted));
    EXPECT_TRUE(std::isnan(expert.ci95[0]));
  }
  for (const EntropyShift& entropy : usage.entropies) EXPECT_EQ(entropy.difference.estimate, 0);
}

// Against a direct loop over units and all their exchanges.
TEST(UsageShift, IsARatioWhoseUnitsAreExchanged) {
  World world;
  world.n_prompts = 8;
  world.length = [](int i) { return 6 + 5 * i; };
  const Routing a = world.routing(world.uniform(2));
  const Routing b = world.routing(without_expert_0(world, 2, 0.6));
  const std::vector<std::string> groups = {"g", "g", "", "", "", "", "", ""};
  const PairedUsage usage = paired(a, b, groups);
  const UsageShift found = usage_shift(usage, {.min_units = 2});
  ASSERT_EQ(found.n_units, 7U);
  EXPECT_TRUE(found.exact);
  EXPECT_EQ(found.n_draws, 128);
  EXPECT_NEAR(found.smallest_p_adjusted, 2.0 / 128, 1e-12);
  const int n_cells = 2 * 16;
  std::vector<std::vector<UnitCount>> units(n_cells, std::vector<UnitCount>(7));
  for (int cell = 0; cell < n_cells; ++cell) {
    for (int i = 0; i < 8; ++i) {
      const std::size_t unit = i < 2 ? 0 : static_cast<std::size_t>(i - 1);
      UnitCount& own = units[static_cast<std::size_t>(cell)][unit];
      own.count += usage.second(i, cell) - usage.first(i, cell);
      own.tokens += 6 + 5 * i;
    }
  }
  const auto t_of = [&](int cell, int exchange) {
    std::vector<UnitCount> flipped = units[static_cast<std::size_t>(cell)];
    for (std::size_t u = 0; u < 7; ++u) {
      if ((exchange >> u & 1) != 0) flipped[u].count *= -1;
    }
    const ClusteredRate rate = clustered_rate(flipped);
    return rate.estimate / std::sqrt(rate.variance);
  };
  std::vector<double> largest;
  for (int exchange = 0; exchange < 128; ++exchange) {
    double most = 0;
    for (int cell = 0; cell < n_cells; ++cell) {
      const double t = t_of(cell, exchange);
      if (!std::isnan(t)) most = std::max(most, std::abs(t));
    }
    largest.push_back(most);
  }
  int n_tested = 0;
  for (int cell = 0; cell < n_cells; ++cell) {
    const ExpertShift& expert = found.experts[static_cast<std::size_t>(cell)];
    const ClusteredRate rate = clustered_rate(units[static_cast<std::size_t>(cell)]);
    EXPECT_NEAR(expert.difference, rate.estimate, 1e-12);
    EXPECT_NEAR(expert.difference, expert.second - expert.first, 1e-12);
    if (std::isnan(expert.t)) continue;
    ++n_tested;
    EXPECT_NEAR(expert.t, t_of(cell, 0), 1e-9);
    const double half = student_t_quantile(0.975, 6) * std::sqrt(rate.variance);
    EXPECT_NEAR(expert.ci95[0], rate.estimate - half, 1e-12);
    const auto n = std::count_if(largest.begin(), largest.end(), [&](double drawn) {
      return drawn >= std::abs(expert.t) * (1 - 1e-10);
    });
    EXPECT_NEAR(expert.p_adjusted, static_cast<double>(n) / 128, 1e-12) << cell;
  }
  EXPECT_GE(n_tested, 3);
  EXPECT_LT(n_tested, n_cells);  // nothing changes at layer 0
  EXPECT_LT(at(found, 1, 0).difference, -0.05);
  EXPECT_EQ(at(found, 1, 0).p_adjusted, 2.0 / 128);
}

TEST(UsageShift, NamesTheExpertThatIsUsedLess) {
  World world;
  world.n_prompts = 40;
  const Routing a = world.routing(world.uniform(3));
  const Routing b = world.routing(without_expert_0(world, 3, 0.3));
  const UsageShift usage = shift(a, b, {.n_permutations = 999});
  EXPECT_FALSE(usage.exact);
  EXPECT_TRUE(at(usage, 1, 0).significant);
  EXPECT_LE(at(usage, 1, 0).p_adjusted, 0.05);
  EXPECT_LE(at(usage, 1, 0).q_value, 0.05);
  EXPECT_LT(at(usage, 1, 0).ci95[1], 0);
  // What chooses others at random is no shift.
  const UsageShift none = shift(a, world.routing(world.uniform(4)), {.n_permutations = 999});
  EXPECT_LE(none.n_significant, 1U);
  const UsageShift two = shift(a, b, {.n_permutations = 999, .n_threads = 2});
  for (std::size_t i = 0; i < usage.experts.size(); ++i) {
    if (std::isnan(usage.experts[i].t)) continue;
    EXPECT_EQ(usage.experts[i].p_adjusted, two.experts[i].p_adjusted);
    EXPECT_EQ(usage.experts[i].p_value, two.experts[i].p_value);
  }
}

TEST(UsageShift, HasTheEntropiesOfLoads) {
  World world;
  world.category = [](int i) { return i % 2 == 0 ? "even" : "odd"; };
  const Routing a = world.routing(world.uniform(5));
  const Routing b = world.routing(without_expert_0(world, 5, 0.9));
  const PairedUsage usage = paired(a, b);
  const UsageShift found = usage_shift(usage, {});
  ASSERT_EQ(found.entropies.size(), 2U * 3);
  const auto entropy = [&](const PairedUsage::Counts& counts, int layer, int category) {
    double n = 0;
    double sum = 0;
    for (int e = 0; e < 16; ++e) {
      double count = 0;
      for (int i = 0; i < 12; ++i) {
        if (category < 0 || i % 2 == category) count += counts(i, layer * 16 + e);
      }
      n += count;
      sum += count > 0 ? count * std::log2(count) : 0;
    }
    return std::log2(n) - sum / n;
  };
  for (const EntropyShift& shift : found.entropies) {
    EXPECT_NEAR(shift.first, entropy(usage.first, shift.layer, shift.category), 1e-12);
    EXPECT_NEAR(shift.second, entropy(usage.second, shift.layer, shift.category), 1e-12);
    EXPECT_NEAR(shift.difference.estimate, shift.second - shift.first, 1e-12);
  }
  EXPECT_EQ(found.entropies[3].layer, 1);
  EXPECT_EQ(found.entropies[3].category, -1);
  EXPECT_LT(found.entropies[3].difference.ci95[1], 0);
  EXPECT_TRUE(std::isnan(found.entropies[4].difference.ci95[0]));  // six units
}

TEST(UsageShift, TellsCategoriesThatShiftDifferently) {
  World world;
  world.n_prompts = 40;
  world.category = [](int i) { return i % 2 == 0 ? "even" : "odd"; };
  const Routing a = world.routing(world.uniform(6));
  const Routing one =
      world.routing(without_expert_0(world, 6, 0.8, [](int i) { return i % 2 == 0; }));
  const UsageShift differ = shift(a, one, {.n_permutations = 199});
  EXPECT_TRUE(differ.check.comparable());
  EXPECT_EQ(differ.positions.n_tokens, 20);
  EXPECT_EQ(differ.by_category.p_value, 1.0 / 200);
  EXPECT_GT(differ.r_squared, 0.1);
  const UsageShift same =
      shift(a, world.routing(without_expert_0(world, 6, 0.8)), {.n_permutations = 199});
  EXPECT_GT(same.by_category.p_value, 0.05);
  world.category = [](int) { return ""; };
  const UsageShift none =
      usage_shift(paired(world.routing(world.uniform(6)), world.routing(world.uniform(6))), {});
  EXPECT_EQ(none.check.outcome, Comparability::no_categories);
  EXPECT_TRUE(none.categories.empty());
}

TEST(UsageShift, OfCountsIsThatOfTokensWherePromptsHaveAsMany) {
  World world;
  const Routing a = world.routing(world.uniform(7));
  const Routing b = world.routing(without_expert_0(world, 7, 0.5));
  const PairedUsage of_tokens = paired(a, b);
  const PairedUsage of_counts = paired_usage(a.signatures, b.signatures, {});
  EXPECT_EQ(of_tokens.first, of_counts.first);
  EXPECT_EQ(of_tokens.second, of_counts.second);
  EXPECT_EQ(of_tokens.n_tokens, of_counts.n_tokens);
  EXPECT_EQ(of_counts.check.outcome, Comparability::no_tokens);

  world.length = [](int i) { return i == 3 ? 19 : 20; };
  const Routing shorter = world.routing(world.uniform(7));
  const PairedUsage without = paired_usage(a.signatures, shorter.signatures, {});
  EXPECT_EQ(without.n_unequal, 1U);
  EXPECT_EQ(without.ids.size(), 11U);
  world.shape.n_layers = 3;
  const Routing other = world.routing(world.uniform(7));
  expect_error(ErrorKind::data, "usage needs routings of one shape",
               [&] { paired_usage(a.signatures, other.signatures, {}); });
}

}  // namespace
}  // namespace moexray::stats
