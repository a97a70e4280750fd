#include "moexray/stats/information.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "inference_fixture.h"
#include "moexray/core/random.h"
#include "moexray/stats/false_discovery.h"
#include "moexray/stats/units.h"
#include "stats_support.h"
#include "support/expect_error.h"
#include "token_information.h"

namespace moexray::stats {
namespace {

// With tests on whole prompts.
InformationResult information_of(const Signatures& signatures, const InformationOptions& options) {
  return information(signatures, whole_prompts(signatures, options.groups), options);
}

TEST(BenjaminiHochberg, IsSciPys) {
  const auto fixture = test::inference_fixture("q_values");
  const auto p = fixture.at("p").get<std::vector<double>>();
  const auto expected = fixture.at("q").get<std::vector<double>>();
  const std::vector<double> q = benjamini_hochberg(p);
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(q[i], expected[i], 1e-15);
  EXPECT_TRUE(std::isnan(benjamini_hochberg(std::vector<double>{NAN, 0.5})[0]));
  EXPECT_EQ(benjamini_hochberg(std::vector<double>{NAN, 0.5})[1], 0.5);
}

// One layer, top-2 of five experts, as scikit-learn was given it.
Signatures fixture_signatures(const nlohmann::json& fixture) {
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  for (const auto& prompt : fixture.at("prompts")) {
    std::vector<int> row(fixture.at("n_experts").get<std::size_t>());
    for (const auto& token : prompt.at("experts")) {
      for (const auto& expert : token) ++row[expert.get<std::size_t>()];
    }
    counts.push_back(row);
    categories.push_back("c" + std::to_string(prompt.at("category").get<int>()));
  }
  return test::signatures_from_counts(counts, 1, fixture.at("n_experts"), 2, categories);
}

TEST(Information, PlugInIsScikitLearnsMutualInformation) {
  const auto fixture = test::inference_fixture("mutual_information");
  const InformationResult result =
      information_of(fixture_signatures(fixture), {.n_repetitions = 0, .n_permutations = 10});
  ASSERT_EQ(result.experts.size(), 5U);
  for (std::size_t e = 0; e < 5; ++e) {
    EXPECT_NEAR(result.experts[e].plug_in, fixture.at("experts").at(e).get<double>(), 1e-12);
  }
  EXPECT_NEAR(result.layers.at(0).plug_in, fixture.at("layer").get<double>(), 1e-12);
}

// Prompts of ten tokens, top-1 of two experts.
Signatures two_experts(const std::vector<std::pair<int, std::string>>& first_counts) {
  std::vector<std::vector<int>> counts;
  std::vector<std::string> categories;
  for (const auto& [first, category] : first_counts) {
    counts.push_back({first, 10 - first});
    categories.push_back(category);
  }
  return test::signatures_from_counts(counts, 1, 2, 1, categories);
}

// 20 tokens a prompt, top-1, whose experts the category makes likelier by `effect`.
Signatures counted_signatures(const std::vector<std::string>& categories, int n_layers,
                              int n_experts, double effect) {
  RandomStream random(4);
  std::map<std::string, std::vector<double>> taste;
  std::vector<std::vector<int>> counts;
  for (const std::string& category : categories) {
    auto& own = taste[category];
    while (own.size() < static_cast<std::size_t>(n_layers * n_experts)) {
      own.push_back(effect * random.normal());
    }
    std::vector<int> row(own.size());
    for (int layer = 0; layer < n_layers; ++layer) {
      for (int t = 0; t < 20; ++t) {
        int best = 0;
        double best_value = -1e300;
        for (int e = 0; e < n_experts; ++e) {
          const double value =
              own[static_cast<std::size_t>(layer * n_experts + e)] + random.normal();
          if (value > best_value) best = e, best_value = value;
        }
        ++row[static_cast<std::size_t>(layer * n_experts + best)];
      }
    }
    counts.push_back(row);
  }
  return test::signatures_from_counts(counts, n_layers, n_experts, 1, categories);
}

TEST(Information, ClosedForms) {
  const auto plug_in = [](const Signatures& s) {
    return information_of(s, {.n_repetitions = 0, .n_permutations = 10}).experts[0].plug_in;
  };
  // Decided by the category, of two even ones: one bit. Independent of it: none.
  EXPECT_NEAR(plug_in(two_experts({{10, "a"}, {10, "a"}, {0, "b"}, {0, "b"}})), 1, 1e-12);
  EXPECT_NEAR(plug_in(two_experts({{5, "a"}, {5, "a"}, {5, "b"}, {5, "b"}})), 0, 1e-12);
  // A binary symmetric channel with crossover 0.2: 1 − H(0.2).
  const double h = -0.2 * std::log2(0.2) - 0.8 * std::log2(0.8);
  EXPECT_NEAR(plug_in(two_experts({{8, "a"}, {8, "a"}, {2, "b"}, {2, "b"}})), 1 - h, 1e-12);
  // Uneven categories, decided: H(1/4).
  EXPECT_NEAR(plug_in(two_experts({{10, "a"}, {0, "b"}, {0, "b"}, {0, "b"}})),
              2 - 0.75 * std::log2(3.0), 1e-12);
}

TEST(Information, NullIsThatOfPermutedPrompts) {
  const Signatures s = counted_signatures(test::mixed_categories({8, 8, 8}, 1), 2, 4, 0.3);
  const InformationResult result =
      information_of(s, {.n_repetitions = 0, .n_permutations = 300, .seed = 5});
  EXPECT_EQ(result.adjustment, "Benjamini-Hochberg");
  const TokenInformationCounts counts(s);
  const CategoryIndex categories = index_categories(s);
  const Units units = make_units(s.ids, categories);
  const auto observed = counts.plug_in(categories.of_prompt, 3);
  Vector sum = Vector::Zero(8);
  Vector reached = Vector::Zero(8);
  for (int draw = 0; draw < 300; ++draw) {
    RandomStream random(5, "information permutation " + std::to_string(draw));
    const auto value = counts.plug_in(permuted_labels(units, categories, random), 3);
    sum += value.experts;
    for (int i = 0; i < 8; ++i) reached(i) += value.experts(i) >= observed.experts(i) - 1e-12;
  }
  for (int i = 0; i < 8; ++i) {
    const TokenInformation& row = result.experts[static_cast<std::size_t>(i)];
    EXPECT_EQ(row.layer, i / 4);
    EXPECT_EQ(row.expert, i % 4);
    EXPECT_NEAR(row.null_mean, sum(i) / 300, 1e-12);
    // 24 units in 3 categories.
    EXPECT_NEAR(row.bits, (observed.experts(i) - sum(i) / 300) / (1 - 2.0 / 23), 1e-12);
    EXPECT_NEAR(row.p_value, (reached(i) + 1) / 301, 1e-12);
    EXPECT_GE(row.q_value, row.p_value);
  }
}

TEST(Information, FewPermutationsAreAdjustedByMaxT) {
  const Signatures s = counted_signatures(test::mixed_categories({8, 8, 8}, 1), 2, 4, 0.4);
  const InformationResult result =
      information_of(s, {.n_repetitions = 0, .n_permutations = 99, .seed = 5});
  EXPECT_EQ(result.adjustment, "max-T");
  const TokenInformationCounts counts(s);
  const CategoryIndex categories = index_categories(s);
  const Units units = make_units(s.ids, categories);
  Matrix null(99, 8);
  for (int draw = 0; draw < 99; ++draw) {
    RandomStream random(5, "information permutation " + std::to_string(draw));
    null.row(draw) =
        counts.plug_in(permuted_labels(units, categories, random), 3).experts.transpose();
  }
  // Mean and deviation are of all labellings, the observed one too: none of them is special.
  Matrix all(100, 8);
  all << null, counts.plug_in(categories.of_prompt, 3).experts.transpose();
  const Eigen::RowVectorXd mean = all.colwise().mean();
  const Eigen::RowVectorXd sd = ((all.rowwise() - mean).array().square().colwise().mean()).sqrt();
  const Vector largest =
      ((null.rowwise() - mean).array().rowwise() / sd.array()).rowwise().maxCoeff();
  for (int i = 0; i < 8; ++i) {
    const TokenInformation& row = result.experts[static_cast<std::size_t>(i)];
    const double z = (row.plug_in - mean(i)) / sd(i);
    EXPECT_NEAR(row.q_value, (static_cast<double>((largest.array() >= z - 1e-9).count()) + 1) / 100,
                1e-12);
  }
}

TEST(Information, MillerMadowSubtractsTheBiasOfIndependentTokens) {
  const Signatures s = two_experts({{8, "a"}, {6, "a"}, {2, "b"}, {4, "b"}});
  const InformationResult result = information_of(s, {.n_repetitions = 0, .n_permutations = 10});
  const double bias = 1 / (2 * 40 * std::log(2.0));
  EXPECT_NEAR(result.experts[0].miller_madow, result.experts[0].plug_in - bias, 1e-12);
  EXPECT_NEAR(result.layers[0].miller_madow, result.layers[0].plug_in - bias, 1e-12);
}

TEST(Information, TheBoundIsBelowTheEntropyAndHighForClearCategories) {
  const auto bound = [](double effect) {
    const Signatures s =
        counted_signatures(test::mixed_categories({12, 12, 12, 12}, 1), 4, 8, effect);
    return information_of(s, {.n_repetitions = 5, .n_permutations = 10}).bound;
  };
  const InformationBound clear = bound(1.5);
  EXPECT_NEAR(clear.entropy, 2, 1e-12);
  EXPECT_GT(clear.bits, 1.5);
  EXPECT_LT(clear.bits, 2);
  const InformationBound none = bound(0);
  EXPECT_LT(none.bits, 0.15);
  EXPECT_LT(none.ci95[0], none.ci95[1]);
}

TEST(Information, DoesNotDependOnThreads) {
  const Signatures s = counted_signatures(test::mixed_categories({8, 8, 8}, 1), 4, 8, 0.5);
  InformationOptions options{.n_repetitions = 3, .n_permutations = 600};
  const InformationResult one = information_of(s, options);
  options.n_threads = 3;
  const InformationResult three = information_of(s, options);
  EXPECT_EQ(one.bound.bits, three.bound.bits);
  EXPECT_EQ(one.bound.ci95, three.bound.ci95);
  for (std::size_t i = 0; i < one.experts.size(); ++i) {
    EXPECT_EQ(one.experts[i].null_mean, three.experts[i].null_mean);
    EXPECT_EQ(one.experts[i].q_value, three.experts[i].q_value);
  }
}

TEST(Information, SaysWhatItCannotDo) {
  const Signatures s = counted_signatures({"a", "a", "a", "a", "a", "b"}, 2, 4, 1);
  const InformationResult result = information_of(s, {.n_permutations = 20});
  EXPECT_TRUE(std::isnan(result.bound.bits));
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_NE(result.notices[0].find("category \"b\" has "), std::string::npos);
  test::expect_error(ErrorKind::data, "only one category",
                     [] { information_of(test::random_signatures({"a", "a"}, 1), {}); });
  Signatures weighted = counted_signatures(test::mixed_categories({6, 6}, 1), 2, 4, 1);
  weighted.layer_sums *= 0.5;
  test::expect_error(ErrorKind::data, "not --weighted", [&] { information_of(weighted, {}); });
  const Signatures groups = counted_signatures(test::mixed_categories({6, 6}, 1), 2, 4, 1);
  InformationOptions options{.n_repetitions = 0, .n_permutations = 20};
  for (const std::string& category : groups.categories) options.groups.push_back("of " + category);
  const InformationResult grouped = information_of(groups, options);
  EXPECT_NE(grouped.notices.back().find("every group lies in one category"), std::string::npos);
  // Two groups: exchanging them changes no value.
  EXPECT_TRUE(std::isnan(grouped.experts[0].p_value)) << "relabelling changes nothing";
}

}  // namespace
}  // namespace moexray::stats
