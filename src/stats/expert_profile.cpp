#include "moexray/stats/expert_profile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "moexray/core/error.h"
#include "moexray/stats/conditional_poisson.h"

namespace moexray::stats {
namespace {

// The rank of the expert among the token's, or −1.
int rank_of(const RoutedTokens& tokens, std::size_t token, const ExpertName& name) {
  const auto experts = tokens.at(token, name.layer);
  const auto found = std::find(experts.begin(), experts.end(), name.expert);
  return found == experts.end() ? -1 : static_cast<int>(found - experts.begin());
}

// Calls body(row, token, rank) for every selected token.
void visit_tokens(const RoutedTokens& tokens, const ExpertName& name,
                  const std::function<void(std::size_t, std::size_t, int)>& body) {
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      if (tokens.tokens[t].selected) body(row, t, rank_of(tokens, t, name));
    }
  }
}

// Counts by kind and unit.
class RatesByKind {
 public:
  explicit RatesByKind(std::span<const int> unit_of_prompt) : unit_of_prompt_(unit_of_prompt) {}

  void add(std::int64_t kind, std::size_t row, bool selects) {
    UnitCount& unit = kinds_[kind][unit_of_prompt_[row]];
    unit.tokens += 1;
    unit.count += selects ? 1 : 0;
  }
  std::vector<ExpertRate> rates(const std::function<std::string(std::int64_t)>& name) const {
    std::vector<ExpertRate> result;
    for (const auto& [kind, units] : kinds_) {
      RateSums sums;
      for (const auto& [unit, count] : units) sums.add(count);
      const ClusteredRate rate = clustered_rate(sums);
      result.push_back({name(kind), sums.count, sums.tokens, rate.estimate, rate_interval(rate)});
    }
    return result;
  }

 private:
  std::span<const int> unit_of_prompt_;
  std::map<std::int64_t, std::map<int, UnitCount>> kinds_;
};

std::int64_t part_of(const RoutedToken& token) {
  if (token.is_template) return 1;
  return token.type == TokenType::prompt ? 0 : 2;
}

std::string name_of_part(std::int64_t part) {
  return part == 0 ? "prompt" : part == 1 ? "template" : "generated";
}

// 0, 1, 2–3, 4–7, …: by their first position.
std::int64_t position_bin(std::int64_t pos) {
  return pos <= 0 ? 0 : static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(pos)));
}

std::string position_name(std::int64_t first) {
  if (first < 2) return "position " + std::to_string(first);
  return "positions " + std::to_string(first) + "–" + std::to_string(2 * first - 1);
}

// The p-quantile between order statistics, as numpy's.
double quantile_of(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

void add_rates(const ExpertProfileInput& input, ExpertProfile& profile) {
  RatesByKind all(input.unit_of_prompt);
  RatesByKind parts(input.unit_of_prompt);
  RatesByKind positions(input.unit_of_prompt);
  std::set<std::size_t> prompts;
  visit_tokens(input.tokens, profile.name, [&](std::size_t row, std::size_t t, int rank) {
    const RoutedToken& token = input.tokens.tokens[t];
    all.add(0, row, rank >= 0);
    parts.add(part_of(token), row, rank >= 0);
    positions.add(position_bin(token.pos), row, rank >= 0);
    if (rank < 0) return;
    prompts.insert(row);
    ++profile.ranks[static_cast<std::size_t>(rank)];
  });
  const auto rates = all.rates([](std::int64_t) { return std::string("all"); });
  if (!rates.empty()) profile.all = rates.front();
  profile.parts = parts.rates(name_of_part);
  profile.positions = positions.rates(position_name);
  profile.n_prompts = prompts.size();
}

void add_weights(const ExpertProfileInput& input, ExpertProfile& profile) {
  if (input.weights.empty()) return;
  std::vector<double> weights;
  visit_tokens(input.tokens, profile.name, [&](std::size_t, std::size_t t, int rank) {
    if (rank >= 0 && !std::isnan(input.weights[t])) weights.push_back(input.weights[t]);
  });
  if (weights.empty()) return;
  std::sort(weights.begin(), weights.end());
  profile.has_weights = true;
  double sum = 0;
  for (const double weight : weights) sum += weight;
  profile.mean_weight = sum / static_cast<double>(weights.size());
  profile.weight_quantiles = {quantile_of(weights, 0.1), quantile_of(weights, 0.5),
                              quantile_of(weights, 0.9)};
}

void add_types(const ExpertProfileInput& input, const ExpertProfileOptions& options,
               ExpertProfile& profile) {
  struct Uses {
    ExpertTokenType type;
    std::size_t last_row = 0;
  };
  std::unordered_map<std::int32_t, Uses> uses;
  std::int64_t n_all = 0;
  std::int64_t n_own = 0;
  if (input.types.empty()) return;
  visit_tokens(input.tokens, profile.name, [&](std::size_t row, std::size_t t, int rank) {
    if (input.types[t] < 0) return;
    profile.has_types = true;
    Uses& own = uses[input.types[t]];
    ++n_all;
    ++own.type.n_all;
    if (rank < 0) return;
    ++n_own;
    // Rows come in order.
    if (own.type.count == 0 || own.last_row != row) ++own.type.n_prompts;
    own.last_row = row;
    ++own.type.count;
  });
  for (auto& [type, own] : uses) {
    if (own.type.n_prompts < options.min_prompts) continue;
    own.type.type = type;
    own.type.lift = static_cast<double>(own.type.count) / static_cast<double>(n_own) /
                    (static_cast<double>(own.type.n_all) / static_cast<double>(n_all));
    profile.types.push_back(own.type);
  }
  profile.n_types = profile.types.size();
  std::sort(profile.types.begin(), profile.types.end(),
            [](const ExpertTokenType& a, const ExpertTokenType& b) {
              // Of whole numbers: equal lifts can differ in the last bit.
              const std::int64_t lift_a = a.count * b.n_all;
              const std::int64_t lift_b = b.count * a.n_all;
              return std::tuple(-lift_a, -a.count, a.type) < std::tuple(-lift_b, -b.count, b.type);
            });
  profile.types.resize(std::min(profile.types.size(), options.n_types));
}

void add_contexts(const ExpertProfileInput& input, const ExpertProfileOptions& options,
                  ExpertProfile& profile) {
  // The larger the better; ranks where there are no weights.
  const auto clearness = [](const ExpertContext& c) {
    return std::isnan(c.weight) ? -static_cast<double>(c.rank) : c.weight;
  };
  std::vector<ExpertContext> best;
  visit_tokens(input.tokens, profile.name, [&](std::size_t row, std::size_t t, int rank) {
    if (rank < 0 || input.tokens.tokens[t].is_template) return;
    ExpertContext context{row, t, input.has_order ? rank : 0, undefined};
    if (profile.has_weights) context.weight = input.weights[t];
    if (best.empty() || best.back().row != row) {
      best.push_back(context);
    } else if (clearness(context) > clearness(best.back())) {
      best.back() = context;
    }
  });
  std::stable_sort(best.begin(), best.end(), [&](const ExpertContext& a, const ExpertContext& b) {
    return clearness(a) > clearness(b);
  });
  best.resize(std::min(best.size(), options.n_contexts));
  profile.contexts = std::move(best);
}

void add_companions(const ExpertProfileInput& input, const ExpertProfileOptions& options,
                    ExpertProfile& profile) {
  const RoutingShape& shape = input.tokens.shape;
  const auto n_tokens = static_cast<double>(profile.all.tokens);
  if (shape.top_k < 2 || !(profile.all.count > 0)) return;
  std::vector<double> rates(static_cast<std::size_t>(shape.n_experts));
  std::vector<std::int64_t> together(rates.size());
  visit_tokens(input.tokens, profile.name, [&](std::size_t, std::size_t t, int rank) {
    for (const std::uint16_t e : input.tokens.at(t, profile.name.layer)) {
      rates[e] += 1;
      if (rank >= 0) ++together[e];
    }
  });
  for (double& rate : rates) rate /= n_tokens;
  const std::vector<double> joint =
      ConditionalPoisson(rates, shape.top_k).joint(profile.name.expert);
  for (int e = 0; e < shape.n_experts; ++e) {
    const auto other = static_cast<std::size_t>(e);
    const double expected = n_tokens * joint[other];
    if (e == profile.name.expert || expected < options.min_expected) continue;
    profile.companions.push_back(
        {e, together[other], expected, static_cast<double>(together[other]) / expected});
  }
  std::stable_sort(
      profile.companions.begin(), profile.companions.end(),
      [](const ExpertCompanion& a, const ExpertCompanion& b) { return a.lift > b.lift; });
  profile.companions.resize(std::min(profile.companions.size(), options.n_companions));
}

void check(const ExpertProfileInput& input, const ExpertName& name) {
  const RoutedTokens& tokens = input.tokens;
  const bool exists = name.layer >= 0 && name.layer < tokens.shape.n_layers && name.expert >= 0 &&
                      name.expert < tokens.shape.n_experts;
  const auto fits = [&](std::size_t size) { return size == 0 || size == tokens.tokens.size(); };
  if (!exists || input.unit_of_prompt.size() != tokens.n_prompts() || !fits(input.types.size()) ||
      !fits(input.weights.size())) {
    throw Error(ErrorKind::runtime,
                {"profile of an expert",
                 {},
                 "an expert of the model, a unit for each prompt, a type and weight for each token",
                 std::to_string(name.layer) + "/" + std::to_string(name.expert)});
  }
}

}  // namespace

ExpertProfile expert_profile(const ExpertProfileInput& input, const ExpertName& name,
                             const ExpertProfileOptions& options) {
  check(input, name);
  ExpertProfile profile;
  profile.name = name;
  profile.ranks.resize(static_cast<std::size_t>(input.tokens.shape.top_k));
  add_rates(input, profile);
  add_weights(input, profile);
  add_types(input, options, profile);
  add_contexts(input, options, profile);
  add_companions(input, options, profile);
  if (!input.has_order) profile.ranks.clear();
  return profile;
}

}  // namespace moexray::stats
