#pragma once

// Routers on made hidden states whose truth is known: for bench/shadow_calibration and its short
// form among the tests.

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/routing/load_match.h"
#include "moexray/routing/router_rule.h"
#include "moexray/stats/random_routers.h"
#include "moexray/stats/rates.h"

namespace moexray::bench {

/// Hidden states h = mean + category + prompt + token, each normal in every dimension with its
/// standard deviation, and a router of each of n_layers layers.
struct ShadowWorld {
  const char* name = "";
  int n_categories = 4;
  int n_prompts = 8;  ///< of each category
  int n_tokens = 8;
  int hidden = 32;
  int n_layers = 1;
  int n_experts = 16;
  int top_k = 4;
  double mean = 1;  ///< what all tokens have in common: makes loads uneven
  double category = 0.3;
  double prompt = 0.3;
  double token = 1;
  /// Of a trained router's rows: the share of their length that lies in the directions in which
  /// categories differ. 0: it is a random router.
  double planted = 0;
  int n_routers = 20;
};

/// What ways to judge a difference of R² say of it.
struct ShadowOutcome {
  double difference = 0;
  bool routers_alone = false;  ///< beyond what another random router stays within
  bool larger = false;         ///< beyond the larger of that and the prompts' error: the verdict
  bool together = false;       ///< beyond the root of the sum of their squares
  bool mean_error = false;     ///< beyond 1.96 √(prompts' variance + sd²/R)
};

inline ShadowOutcome judged(const stats::RouterContrast& contrast, int n_routers) {
  const double d = std::abs(contrast.difference);
  const double router = contrast.router_error, prompt = contrast.prompt_error;
  const double mean_se =
      std::sqrt(prompt * prompt + 1.96 * 1.96 * contrast.sd * contrast.sd / n_routers);
  return {contrast.difference, d > router, d > std::max(router, prompt),
          d > std::sqrt(router * router + prompt * prompt), d > mean_se};
}

/// One world with its routers.
class ShadowCase {
 public:
  ShadowCase(const ShadowWorld& world, std::uint64_t seed, int number)
      : world_(world), random_(seed, "shadow case " + std::to_string(number)) {
    for (int c = 0; c < world.n_categories; ++c) {
      for (int i = 0; i < world.n_prompts; ++i) {
        signatures_.ids.push_back(std::to_string(c) + "-" + std::to_string(i));
        signatures_.categories.push_back(std::to_string(c));
        signatures_.prompt_indices.push_back(signatures_.prompt_indices.size());
        signatures_.n_tokens.push_back(world.n_tokens);
      }
    }
    signatures_.shape = {world.n_layers, world.n_experts, world.top_k};
    const auto n = static_cast<Eigen::Index>(signatures_.ids.size());
    signatures_.values = stats::Matrix::Zero(n, world.n_layers * world.n_experts);
    signatures_.layer_tokens = stats::CountMatrix::Constant(n, world.n_layers, world.n_tokens);
    signatures_.layer_sums =
        stats::Matrix::Constant(n, world.n_layers, world.n_tokens * world.top_k);
    compared_ = stats::whole_prompts(signatures_, {});
    for (int layer = 0; layer < world.n_layers; ++layer) make_states();
  }

  /// The contrast of a trained router with random ones of its load.
  stats::RouterContrast contrast(bool is_matched) {
    const Chosen trained = choose(world_.planted, nullptr);
    const stats::RouterScores own = scores(trained);
    std::vector<double> values;
    std::vector<stats::Vector> without;
    for (int r = 0; r < world_.n_routers; ++r) {
      const stats::RouterScores one = scores(choose(0, is_matched ? &trained : nullptr));
      values.push_back(one.r_squared);
      without.push_back(one.r_squared_without);
    }
    return stats::router_contrast(own.r_squared, own.r_squared_without, values, without,
                                  compared_.units);
  }

 private:
  struct States {
    stats::Matrix h;           // [tokens, hidden]
    stats::Matrix categories;  // [K, hidden]
  };
  struct Chosen {
    std::vector<std::vector<ExpertId>> experts;    // [layers] [tokens · k]
    std::vector<std::vector<std::int64_t>> loads;  // [layers] [E]
  };

  stats::Matrix normal(Eigen::Index rows, double sd) {
    stats::Matrix m(rows, world_.hidden);
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = sd * random_.normal();
    return m;
  }

  void make_states() {
    const stats::Matrix mean = normal(1, world_.mean);
    States states{stats::Matrix(std::ssize(signatures_.ids) * world_.n_tokens, world_.hidden),
                  normal(world_.n_categories, world_.category)};
    Eigen::Index row = 0;
    for (int c = 0; c < world_.n_categories; ++c) {
      for (int i = 0; i < world_.n_prompts; ++i) {
        const stats::Matrix prompt = normal(1, world_.prompt);
        for (int t = 0; t < world_.n_tokens; ++t) {
          states.h.row(row++) = mean + states.categories.row(c) + prompt + normal(1, world_.token);
        }
      }
    }
    states_.push_back(std::move(states));
  }

  Chosen choose(double planted, const Chosen* target) {
    const RouterSpec rule{world_.n_experts, world_.top_k, false};
    Chosen chosen;
    for (std::size_t layer = 0; layer < states_.size(); ++layer) {
      const States& states = states_[layer];
      stats::Matrix rows = normal(world_.n_experts, 1);
      for (Eigen::Index e = 0; e < rows.rows(); ++e) {
        stats::Matrix direction = stats::Matrix::Zero(1, world_.hidden);
        for (Eigen::Index c = 0; c < states.categories.rows(); ++c) {
          direction += random_.normal() * states.categories.row(c);
        }
        rows.row(e) = std::sqrt(1 - planted) * rows.row(e).normalized() +
                      std::sqrt(planted) * direction.row(0).normalized();
      }
      const stats::Matrix logits = states.h * rows.transpose();
      std::vector<float> values(static_cast<std::size_t>(logits.size()));
      for (Eigen::Index t = 0; t < logits.rows(); ++t) {
        for (Eigen::Index e = 0; e < logits.cols(); ++e) {
          values[static_cast<std::size_t>(t * logits.cols() + e)] =
              static_cast<float>(logits(t, e));
        }
      }
      if (target != nullptr) {
        const std::vector<float> biases = load_matching_biases(rule, values, target->loads[layer]);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] += biases[i % biases.size()];
      }
      std::vector<ExpertId> experts(static_cast<std::size_t>(logits.rows()) *
                                    static_cast<std::size_t>(world_.top_k));
      std::vector<float> weights(experts.size());
      select_experts(rule, values, experts, weights);
      chosen.experts.push_back(std::move(experts));
      chosen.loads.push_back(expert_loads(rule, values));
    }
    return chosen;
  }

  stats::RouterScores scores(const Chosen& chosen) {
    stats::Signatures signatures = signatures_;
    signatures.values.setZero();
    const auto per_prompt = static_cast<std::size_t>(world_.n_tokens * world_.top_k);
    for (std::size_t layer = 0; layer < chosen.experts.size(); ++layer) {
      for (std::size_t i = 0; i < chosen.experts[layer].size(); ++i) {
        const auto column =
            static_cast<Eigen::Index>(layer) * world_.n_experts + chosen.experts[layer][i];
        signatures.values(static_cast<Eigen::Index>(i / per_prompt), column) +=
            1.0 / static_cast<double>(per_prompt);
      }
    }
    return stats::router_scores(compared_, signatures, signatures, {.n_divisions = 0});
  }

  ShadowWorld world_;
  RandomStream random_;
  stats::Signatures signatures_;
  stats::ComparedPrompts compared_;
  std::vector<States> states_;
};

inline std::vector<ShadowWorld> shadow_worlds() {
  return {{.name = "random"},
          {.name = "random, no category effect", .category = 0},
          {.name = "random, uneven load", .mean = 3},
          {.name = "random, 5 routers", .n_routers = 5},
          {.name = "planted 0.05", .planted = 0.05},
          {.name = "planted 0.1", .planted = 0.1},
          {.name = "planted 0.2", .planted = 0.2}};
}

}  // namespace moexray::bench
