#include "layer_sums.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>

#include "moexray/core/error.h"

namespace moexray::stats {

void check_shapes(const RoutedTokens& first, const RoutedTokens& second) {
  const RoutingShape& a = first.shape;
  const RoutingShape& b = second.shape;
  if (a.n_layers == b.n_layers && a.n_experts == b.n_experts) return;
  throw Error(ErrorKind::data, {"agreement needs the same layers and experts",
                                {},
                                std::to_string(a.n_layers) + " layers of " +
                                    std::to_string(a.n_experts) + " experts",
                                std::to_string(b.n_layers) + " of " + std::to_string(b.n_experts)});
}

std::vector<TypeToken> tokens_by_type(const RoutedTokens& first, const Alignment& alignment) {
  std::vector<TypeToken> tokens;
  if (!alignment.has_ids) return tokens;
  tokens.reserve(alignment.n_tokens);
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      tokens.push_back({first.tokens[token.first].id, prompt.unit, token, tokens.size()});
    }
  }
  std::sort(tokens.begin(), tokens.end(), [](const TypeToken& a, const TypeToken& b) {
    return std::tie(a.type, a.unit, a.number) < std::tie(b.type, b.unit, b.number);
  });
  return tokens;
}

LayerSums::LayerSums(const RoutedTokens& first, const RoutedTokens& second,
                     const Alignment& alignment, int first_layer, int second_layer)
    : first_(first),
      second_(second),
      alignment_(alignment),
      first_layer_(first_layer),
      second_layer_(second_layer),
      n_experts_(static_cast<std::size_t>(first.shape.n_experts)),
      k_(std::min(first.shape.top_k, second.shape.top_k)) {
  overlaps_.reserve(alignment.n_tokens);
  Membership of_a(n_experts_);
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      of_a.set(a(token));
      overlaps_.push_back(static_cast<std::uint16_t>(of_a.n_of(b(token))));
    }
  }
}

UnitSums LayerSums::overlap() const {
  UnitSums sums(alignment_.n_units);
  std::size_t number = 0;
  for (const AlignedPrompt& prompt : alignment_.prompts) {
    UnitCount& unit = sums[static_cast<std::size_t>(prompt.unit)];
    for (std::size_t t = 0; t < prompt.tokens.size(); ++t) unit.count += overlaps_[number++] / k_;
    unit.tokens += static_cast<double>(prompt.tokens.size());
  }
  return sums;
}

LayerSums::Corrected LayerSums::constant(double chance) const {
  Corrected result{overlap(), 0, 0};
  for (UnitCount& unit : result.sums) {
    result.n_tokens += unit.tokens;
    unit = {unit.tokens - unit.count, unit.tokens * (1 - chance)};
  }
  result.chance = chance * result.n_tokens;
  return result;
}

LayerSums::OfCounts LayerSums::of_counts() const {
  OfCounts result{0, {UnitSums(alignment_.n_units), 0, 0}};
  std::vector<double> all_a(n_experts_);
  std::vector<double> all_b(n_experts_);
  std::vector<double> of_a(n_experts_);
  std::vector<double> of_b(n_experts_);
  std::size_t number = 0;
  for (const AlignedPrompt& prompt : alignment_.prompts) {
    const auto n = static_cast<double>(prompt.tokens.size());
    std::fill(of_a.begin(), of_a.end(), 0);
    std::fill(of_b.begin(), of_b.end(), 0);
    double own = 0;
    for (const AlignedToken& token : prompt.tokens) {
      for (const std::uint16_t expert : a(token)) of_a[expert] += 1;
      for (const std::uint16_t expert : b(token)) of_b[expert] += 1;
      own += overlaps_[number++];
    }
    double in_pairs = 0;
    for (std::size_t e = 0; e < n_experts_; ++e) {
      all_a[e] += of_a[e];
      all_b[e] += of_b[e];
      in_pairs += of_a[e] * of_b[e];
    }
    if (n < 2) continue;
    add(result.same_prompt, prompt.unit, n, own / k_, (in_pairs - own) / ((n - 1) * k_));
  }
  const auto n = static_cast<double>(alignment_.n_tokens);
  result.popularity =
      std::inner_product(all_a.begin(), all_a.end(), all_b.begin(), 0.0) / (n * n * k_);
  return result;
}

LayerSums::Corrected LayerSums::same_type(std::span<const TypeToken> tokens, int min_count) const {
  Corrected result{UnitSums(alignment_.n_units), 0, 0};
  std::vector<double> all(n_experts_);
  std::vector<double> own(n_experts_);
  const auto count = [&](std::span<const TypeToken> some, std::vector<double>& counts) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const TypeToken& one : some) {
      for (const std::uint16_t expert : b(one.token)) counts[expert] += 1;
    }
  };
  const auto runs = [](std::span<const TypeToken> some, auto key, auto use) {
    while (!some.empty()) {
      std::size_t n = 1;
      while (n < some.size() && key(some[n]) == key(some[0])) ++n;
      use(some.first(n));
      some = some.subspan(n);
    }
  };
  runs(
      tokens, [](const TypeToken& one) { return one.type; },
      [&](std::span<const TypeToken> of_type) {
        count(of_type, all);
        runs(
            of_type, [](const TypeToken& one) { return one.unit; },
            [&](std::span<const TypeToken> of_unit) {
              const auto n_others = static_cast<double>(of_type.size() - of_unit.size());
              if (n_others < min_count) return;
              count(of_unit, own);
              for (const TypeToken& one : of_unit) {
                double chance = 0;
                for (const std::uint16_t expert : a(one.token)) {
                  chance += all[expert] - own[expert];
                }
                add(result, one.unit, 1, overlaps_[one.number] / k_, chance / (n_others * k_));
              }
            });
      });
  return result;
}

void LayerSums::add(Corrected& result, int unit, double n, double agreement, double chance) {
  UnitCount& sums = result.sums[static_cast<std::size_t>(unit)];
  sums.count += n - agreement;
  sums.tokens += n - chance;
  result.n_tokens += n;
  result.chance += chance;
}

}  // namespace moexray::stats
