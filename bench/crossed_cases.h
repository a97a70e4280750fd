#pragma once

// Crossed prompts whose truth is known, for bench/crossed_calibration and its short form among the
// tests.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/stats/crossed.h"
#include "moexray/stats/similarity.h"

namespace moexray::bench {

/// Effects are standard deviations of the logarithms of the expert rates.
struct CrossedWorld {
  double task = 0;
  double topic = 0;
  double interaction = 0;
  double wording = 0;
  double prompt = 0.3;
  std::vector<int> n_wordings = {5, 5, 5, 5};  ///< of every task
  int n_topics = 4;
  int n_tokens = 20;
};

struct CrossedPrompts {
  stats::Signatures signatures;
  std::vector<std::string> topics;
  std::vector<std::string> wordings;
};

/// 2 layers of 16 experts, top-2; a token's experts are a draw without replacement in proportion to
/// the rates.
inline CrossedPrompts crossed_prompts(const CrossedWorld& world, std::uint64_t seed) {
  constexpr int n_layers = 2;
  constexpr int n_experts = 16;
  constexpr int top_k = 2;
  using Rates = std::vector<double>;
  RandomStream random(seed);
  const auto normals = [&](double size) {
    Rates values(n_layers * n_experts);
    for (double& value : values) value = size * random.normal();
    return values;
  };
  const auto add = [](Rates& rates, const Rates& more) {
    for (std::size_t j = 0; j < rates.size(); ++j) rates[j] += more[j];
  };
  std::vector<Rates> topics;
  for (int b = 0; b < world.n_topics; ++b) topics.push_back(normals(world.topic));
  CrossedPrompts result;
  std::vector<stats::PromptLabel> labels;
  std::vector<Rates> rates;
  for (std::size_t a = 0; a < world.n_wordings.size(); ++a) {
    const Rates task = normals(world.task);
    std::vector<Rates> interactions;
    for (int b = 0; b < world.n_topics; ++b) interactions.push_back(normals(world.interaction));
    for (int w = 0; w < world.n_wordings[a]; ++w) {
      const Rates wording = normals(world.wording);
      for (std::size_t b = 0; b < topics.size(); ++b) {
        rates.push_back(normals(world.prompt));
        add(rates.back(), task);
        add(rates.back(), topics[b]);
        add(rates.back(), interactions[b]);
        add(rates.back(), wording);
        const std::string name = std::to_string(a) + "-" + std::to_string(w);
        result.wordings.push_back("w" + name);
        result.topics.push_back("topic " + std::to_string(b));
        labels.push_back({"p" + name + "-" + std::to_string(b), "task " + std::to_string(a)});
      }
    }
  }
  stats::SignatureAccumulator signatures({n_layers, n_experts, top_k}, labels, {});
  std::vector<std::pair<double, ExpertId>> order(n_experts);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    for (int t = 0; t < world.n_tokens; ++t) {
      for (int layer = 0; layer < n_layers; ++layer) {
        for (int e = 0; e < n_experts; ++e) {
          const double gumbel = -std::log(-std::log(random.uniform() + 1e-300));
          const auto j = static_cast<std::size_t>(layer * n_experts + e);
          order[static_cast<std::size_t>(e)] = {-(rates[i][j] + gumbel), e};
        }
        std::partial_sort(order.begin(), order.begin() + top_k, order.end());
        const std::vector<ExpertId> experts = {order[0].second, order[1].second};
        RoutingRecord record;
        record.layer = layer;
        record.pos = t;
        record.experts = experts;
        signatures.add(i, record);
      }
    }
  }
  result.signatures = std::move(signatures).finish();
  return result;
}

/// What must not be done: the category's p if residuals of the topic are permuted freely over
/// prompts, as though those of one wording were independent.
inline double free_residual_p(const CrossedPrompts& prompts, int n_permutations,
                              std::uint64_t seed) {
  const stats::CategoryIndex categories = stats::index_categories(prompts.signatures);
  stats::Matrix rows = stats::unit_blocks(prompts.signatures);
  const std::set<std::string> topics(prompts.topics.begin(), prompts.topics.end());
  for (const std::string& topic : topics) {
    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(rows.cols());
    double n = 0;
    for (std::size_t i = 0; i < prompts.topics.size(); ++i) {
      if (prompts.topics[i] != topic) continue;
      sum += rows.row(static_cast<Eigen::Index>(i));
      ++n;
    }
    for (std::size_t i = 0; i < prompts.topics.size(); ++i) {
      if (prompts.topics[i] == topic) rows.row(static_cast<Eigen::Index>(i)) -= sum / n;
    }
  }
  const auto between = [&](const std::vector<int>& labels) {
    stats::Matrix sums =
        stats::Matrix::Zero(static_cast<Eigen::Index>(categories.names.size()), rows.cols());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      sums.row(labels[i]) += rows.row(static_cast<Eigen::Index>(i));
    }
    double result = 0;
    for (std::size_t c = 0; c < categories.names.size(); ++c) {
      result += sums.row(static_cast<Eigen::Index>(c)).squaredNorm() /
                static_cast<double>(categories.n_prompts[c]);
    }
    return result;
  };
  const double observed = between(categories.of_prompt);
  RandomStream random(seed, "free residuals");
  std::vector<int> labels = categories.of_prompt;
  int n_reached = 0;
  for (int r = 0; r < n_permutations; ++r) {
    for (std::size_t i = labels.size(); i > 1; --i)
      std::swap(labels[i - 1], labels[random.below(i)]);
    n_reached += between(labels) >= observed ? 1 : 0;
  }
  return (n_reached + 1.0) / (n_permutations + 1.0);
}

struct CrossedOutcome {
  double category = 1;
  double topic = 1;
  double interaction = 1;
  double free_residuals = 1;
};

inline CrossedOutcome crossed_outcome(const CrossedWorld& world, std::uint64_t seed, int data_set,
                                      int n_permutations) {
  const std::uint64_t own = RandomStream(seed, "data set " + std::to_string(data_set))();
  const CrossedPrompts prompts = crossed_prompts(world, own);
  const stats::CrossedTests found = stats::test_crossed(
      stats::unit_blocks(prompts.signatures), stats::index_categories(prompts.signatures),
      prompts.topics, prompts.wordings, {.n_permutations = n_permutations, .seed = own});
  return {found.category.test.p_value, found.topic.test.p_value, found.interaction.test.p_value,
          free_residual_p(prompts, n_permutations, own)};
}

struct NamedCrossedWorld {
  std::string name;
  CrossedWorld world;
};

inline std::vector<NamedCrossedWorld> crossed_worlds() {
  return {
      {"nothing but noise", {}},
      {"wordings 0.5", {.wording = 0.5}},
      {"topics 0.5", {.topic = 0.5}},
      {"topics 0.5, wordings 0.5", {.topic = 0.5, .wording = 0.5}},
      {"tasks 0.5", {.task = 0.5}},
      {"tasks 0.5, wordings 0.5", {.task = 0.5, .wording = 0.5}},
      {"tasks 0.3, topics 0.2, wordings 0.5", {.task = 0.3, .topic = 0.2, .wording = 0.5}},
      {"tasks 0.5, topics 0.5, wordings 0.5", {.task = 0.5, .topic = 0.5, .wording = 0.5}},
      {"interaction 0.3, wordings 0.5", {.interaction = 0.3, .wording = 0.5}},
      {"wordings 0.5; 9, 5, 3 and 3 of the tasks", {.wording = 0.5, .n_wordings = {9, 5, 3, 3}}}};
}

}  // namespace moexray::bench
