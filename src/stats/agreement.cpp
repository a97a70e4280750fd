#include "moexray/stats/agreement.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "moexray/core/error.h"
#include "moexray/stats/rates.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

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

// The experts that two tokens have in common, in the order of the first.
int overlap_of(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
  int n = 0;
  for (const std::uint16_t expert : a) {
    if (std::find(b.begin(), b.end(), expert) != b.end()) ++n;
  }
  return n;
}

// A numerator and a denominator of a ratio for each unit.
using UnitSums = std::vector<UnitCount>;

ClusteredEstimate share_estimate(const UnitSums& sums, std::size_t min_units) {
  const ClusteredRate rate = clustered_rate(sums);
  if (static_cast<std::size_t>(rate.n_units) < min_units) return {.estimate = rate.estimate};
  return {rate.estimate, rate_interval(rate)};
}

// Of κ = 1 − r, where r is the ratio of disagreement to what chance gives.
ClusteredEstimate kappa_estimate(const UnitSums& disagreement, std::size_t min_units) {
  const ClusteredRate rate = clustered_rate(disagreement);
  ClusteredEstimate kappa;
  kappa.estimate = 1 - rate.estimate;
  const auto n_units = static_cast<std::size_t>(rate.n_units);
  if (n_units < min_units || !(rate.estimate > 0)) return kappa;
  const double half = student_t_quantile(0.975, static_cast<double>(rate.n_units - 1)) *
                      std::sqrt(rate.variance) / rate.estimate;
  kappa.ci95 = {1 - rate.estimate * std::exp(half), 1 - rate.estimate * std::exp(-half)};
  return kappa;
}

// Tokens of one type, by unit.
struct TypeToken {
  TokenId type = 0;
  int unit = 0;
  AlignedToken token;
};

std::vector<TypeToken> tokens_by_type(const RoutedTokens& first, const Alignment& alignment) {
  std::vector<TypeToken> tokens;
  if (!alignment.has_ids) return tokens;
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      tokens.push_back({first.tokens[token.first].id, prompt.unit, token});
    }
  }
  std::sort(tokens.begin(), tokens.end(), [](const TypeToken& a, const TypeToken& b) {
    return std::tie(a.type, a.unit, a.token.first) < std::tie(b.type, b.unit, b.token.first);
  });
  return tokens;
}

class LayerSums {
 public:
  LayerSums(const RoutedTokens& first, const RoutedTokens& second, const Alignment& alignment,
            int first_layer, int second_layer)
      : first_(first),
        second_(second),
        alignment_(alignment),
        first_layer_(first_layer),
        second_layer_(second_layer),
        n_experts_(static_cast<std::size_t>(first.shape.n_experts)),
        k_(std::min(first.shape.top_k, second.shape.top_k)) {}

  std::span<const std::uint16_t> a(const AlignedToken& token) const {
    return first_.at(token.first, first_layer_);
  }
  std::span<const std::uint16_t> b(const AlignedToken& token) const {
    return second_.at(token.second, second_layer_);
  }
  double agreement_of(const AlignedToken& token) const {
    return static_cast<double>(overlap_of(a(token), b(token))) / k_;
  }

  UnitSums overlap() const {
    UnitSums sums(alignment_.n_units);
    for (const AlignedPrompt& prompt : alignment_.prompts) {
      UnitCount& unit = sums[static_cast<std::size_t>(prompt.unit)];
      for (const AlignedToken& token : prompt.tokens) unit.count += agreement_of(token);
      unit.tokens += static_cast<double>(prompt.tokens.size());
    }
    return sums;
  }

  // Σ_e π^A_e π^B_e / k.
  double popularity() const {
    std::vector<double> of_a(n_experts_);
    std::vector<double> of_b(n_experts_);
    for (const AlignedPrompt& prompt : alignment_.prompts) {
      for (const AlignedToken& token : prompt.tokens) {
        for (const std::uint16_t expert : a(token)) of_a[expert] += 1;
        for (const std::uint16_t expert : b(token)) of_b[expert] += 1;
      }
    }
    const auto n = static_cast<double>(alignment_.n_tokens);
    return std::inner_product(of_a.begin(), of_a.end(), of_b.begin(), 0.0) / (n * n * k_);
  }

  // Disagreement of a unit and what chance would give, Σ_t (1 − c_t), over the same tokens.
  struct Corrected {
    UnitSums sums;
    double n_tokens = 0;
    double chance = 0;  // Σ c_t
  };

  Corrected constant(double chance) const {
    Corrected result{overlap(), 0, 0};
    for (UnitCount& unit : result.sums) {
      result.n_tokens += unit.tokens;
      unit = {unit.tokens - unit.count, unit.tokens * (1 - chance)};
    }
    result.chance = chance * result.n_tokens;
    return result;
  }

  Corrected same_prompt() const {
    Corrected result{UnitSums(alignment_.n_units), 0, 0};
    std::vector<double> of_a(n_experts_);
    std::vector<double> of_b(n_experts_);
    for (const AlignedPrompt& prompt : alignment_.prompts) {
      const auto n = static_cast<double>(prompt.tokens.size());
      if (n < 2) continue;
      std::fill(of_a.begin(), of_a.end(), 0);
      std::fill(of_b.begin(), of_b.end(), 0);
      double own = 0;
      for (const AlignedToken& token : prompt.tokens) {
        for (const std::uint16_t expert : a(token)) of_a[expert] += 1;
        for (const std::uint16_t expert : b(token)) of_b[expert] += 1;
        own += overlap_of(a(token), b(token));
      }
      const double all = std::inner_product(of_a.begin(), of_a.end(), of_b.begin(), 0.0);
      add(result, prompt.unit, n, own / k_, (all - own) / ((n - 1) * k_));
    }
    return result;
  }

  // `tokens` as tokens_by_type() sorts them.
  Corrected same_type(std::span<const TypeToken> tokens, int min_count) const {
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
                  add(result, one.unit, 1, agreement_of(one.token), chance / (n_others * k_));
                }
              });
        });
    return result;
  }

 private:
  static void add(Corrected& result, int unit, double n, double agreement, double chance) {
    UnitCount& sums = result.sums[static_cast<std::size_t>(unit)];
    sums.count += n - agreement;
    sums.tokens += n - chance;
    result.n_tokens += n;
    result.chance += chance;
  }

  const RoutedTokens& first_;
  const RoutedTokens& second_;
  const Alignment& alignment_;
  int first_layer_;
  int second_layer_;
  std::size_t n_experts_;
  double k_;
};

ChanceCorrected beyond_chance(const LayerSums::Corrected& sums, double n_all,
                              std::size_t min_units) {
  ChanceCorrected result;
  result.coverage = n_all > 0 ? sums.n_tokens / n_all : 0;
  if (!(sums.n_tokens > 0)) return result;
  result.chance = sums.chance / sums.n_tokens;
  result.kappa = kappa_estimate(sums.sums, min_units);
  return result;
}

// What is counted token by token: no intervals.
void count_tokens(const LayerSums& sums, const Alignment& alignment, bool ordered, int first_k,
                  int second_k, LayerAgreement& result) {
  double jaccard = 0;
  double top1 = 0;
  double identical = 0;
  std::vector<double> lost(static_cast<std::size_t>(first_k));
  const int k = std::min(first_k, second_k);
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      const auto a = sums.a(token);
      const auto b = sums.b(token);
      const int n = overlap_of(a, b);
      jaccard += static_cast<double>(n) / (first_k + second_k - n);
      top1 += a.front() == b.front() ? 1 : 0;
      identical += n == k ? 1 : 0;
      if (n == first_k) continue;
      for (std::size_t rank = 0; rank < a.size(); ++rank) {
        if (std::find(b.begin(), b.end(), a[rank]) == b.end()) lost[rank] += 1;
      }
    }
  }
  const auto n = static_cast<double>(alignment.n_tokens);
  result.jaccard = jaccard / n;
  result.identical = identical / n;
  if (!ordered) return;
  result.top1 = top1 / n;
  const double n_lost = std::accumulate(lost.begin(), lost.end(), 0.0);
  for (double& share : lost) share = n_lost > 0 ? share / n_lost : 0;
  result.lost_by_rank = std::move(lost);
}

// Units by the groups of the first side; prompts without one stand alone.
class UnitNumbers {
 public:
  int of(const std::string& group, std::size_t row) {
    const std::string key = group.empty() ? "\n" + std::to_string(row) : group;
    return numbers_.emplace(key, static_cast<int>(numbers_.size())).first->second;
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  std::map<std::string, int> numbers_;
};

// Adds the common tokens of one prompt.
void align_prompt(std::span<const RoutedToken> a, std::size_t a_first,
                  std::span<const RoutedToken> b, std::size_t b_first, Alignment& alignment,
                  AlignedPrompt& prompt) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i].pos != b[j].pos) {
      ++(a[i].pos < b[j].pos ? i : j);
      continue;
    }
    const bool known = a[i].id >= 0 && b[j].id >= 0;
    if (!known) alignment.has_ids = false;
    if (known && a[i].id != b[j].id) return;
    if (a[i].selected && b[j].selected) prompt.tokens.push_back({a_first + i, b_first + j});
    ++i;
    ++j;
  }
}

std::size_t n_selected(std::span<const RoutedToken> tokens) {
  return static_cast<std::size_t>(
      std::count_if(tokens.begin(), tokens.end(), [](const RoutedToken& t) { return t.selected; }));
}

}  // namespace

std::string name_of(ChanceLevel level) {
  switch (level) {
    case ChanceLevel::uniform:
      return "uniform";
    case ChanceLevel::popularity:
      return "popularity";
    case ChanceLevel::same_prompt:
      return "same_prompt";
    case ChanceLevel::same_type:
      break;
  }
  return "same_type";
}

Alignment align(const Signatures& first_rows, const RoutedTokens& first,
                const Signatures& second_rows, const RoutedTokens& second,
                std::span<const std::string> groups) {
  std::unordered_map<std::string, std::size_t> row_of;
  for (std::size_t row = 0; row < second_rows.size(); ++row) {
    row_of.emplace(second_rows.ids[row], row);
  }
  Alignment alignment;
  UnitNumbers units;
  for (std::size_t row = 0; row < first_rows.size(); ++row) {
    const auto found = row_of.find(first_rows.ids[row]);
    if (found == row_of.end()) continue;
    ++alignment.n_shared_prompts;
    const auto a = first.of_prompt(row);
    const auto b = second.of_prompt(found->second);
    alignment.n_selected += std::max(n_selected(a), n_selected(b));
    AlignedPrompt prompt;
    align_prompt(a, first.first[row], b, second.first[found->second], alignment, prompt);
    if (prompt.tokens.empty()) continue;
    prompt.unit = units.of(groups.empty() ? "" : groups[row], row);
    alignment.n_tokens += prompt.tokens.size();
    alignment.prompts.push_back(std::move(prompt));
  }
  alignment.n_units = units.size();
  alignment.n_only_first = first_rows.size() - alignment.n_shared_prompts;
  alignment.n_only_second = second_rows.size() - alignment.n_shared_prompts;
  return alignment;
}

std::vector<LayerAgreement> agreement(const RoutedTokens& first, const RoutedTokens& second,
                                      const Alignment& alignment, const AgreementOptions& options) {
  check_shapes(first, second);
  const int n_layers = first.shape.n_layers;
  std::vector<LayerAgreement> layers(static_cast<std::size_t>(n_layers));
  if (alignment.n_tokens == 0) return layers;
  const std::vector<TypeToken> by_type = tokens_by_type(first, alignment);
  const int first_k = first.shape.top_k;
  const int second_k = second.shape.top_k;
  parallel_for(n_layers, options.n_threads, [&](int layer) {
    throw_if_stopped(options.work.stop);
    const LayerSums sums(first, second, alignment, layer, layer);
    LayerAgreement& result = layers[static_cast<std::size_t>(layer)];
    result.overlap = share_estimate(sums.overlap(), options.min_units);
    count_tokens(sums, alignment, options.ordered, first_k, second_k, result);
    const auto n = static_cast<double>(alignment.n_tokens);
    const double uniform = static_cast<double>(std::max(first_k, second_k)) / first.shape.n_experts;
    const auto beyond = [&](const LayerSums::Corrected& one) {
      return beyond_chance(one, n, options.min_units);
    };
    result.chance = {beyond(sums.constant(uniform)), beyond(sums.constant(sums.popularity())),
                     beyond(sums.same_prompt()),
                     beyond(sums.same_type(by_type, options.min_type_count))};
    ChanceCorrected& same_type = result.chance[3];
    if (same_type.coverage < options.min_coverage) {
      same_type.chance = undefined;
      same_type.kappa = {};
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
  return layers;
}

std::vector<LayerShift> layer_shifts(const RoutedTokens& first, const RoutedTokens& second,
                                     const Alignment& alignment) {
  check_shapes(first, second);
  constexpr int most = 3;
  const int n_layers = first.shape.n_layers;
  const auto unit_sums = [&](int layer, int shift) {
    return LayerSums(first, second, alignment, layer, layer + shift).same_prompt().sums;
  };
  const auto add = [](const UnitSums& some, UnitSums& sums) {
    for (std::size_t u = 0; u < sums.size(); ++u) {
      sums[u].count += some[u].count;
      sums[u].tokens += some[u].tokens;
    }
  };
  std::vector<UnitSums> unshifted;
  for (int layer = 0; layer < n_layers; ++layer) unshifted.push_back(unit_sums(layer, 0));
  std::vector<LayerShift> shifts;
  for (int shift = -most; shift <= most; ++shift) {
    if (std::abs(shift) >= n_layers) continue;
    UnitSums own(alignment.n_units);
    UnitSums of_none(alignment.n_units);  // over the same layers of the first
    for (int layer = 0; layer < n_layers; ++layer) {
      if (layer + shift < 0 || layer + shift >= n_layers) continue;
      add(unshifted[static_cast<std::size_t>(layer)], of_none);
      add(shift == 0 ? unshifted[static_cast<std::size_t>(layer)] : unit_sums(layer, shift), own);
    }
    LayerShift result{.shift = shift, .kappa = 1 - clustered_rate(own).estimate};
    if (shift != 0) result.t = -paired_contrast(own, of_none).t;
    shifts.push_back(result);
  }
  return shifts;
}

int winning_shift(std::span<const LayerShift> shifts) {
  const auto none =
      std::find_if(shifts.begin(), shifts.end(), [](const LayerShift& s) { return s.shift == 0; });
  if (none == shifts.end()) return 0;
  const LayerShift* best = &*none;
  for (const LayerShift& shift : shifts) {
    if (shift.t > 5 && shift.kappa > none->kappa + 0.1 && shift.kappa > best->kappa) best = &shift;
  }
  return best->shift;
}

double uniform_jaccard(int n_experts, int first_k, int second_k) {
  const auto log_choose = [](int n, int k) {
    return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
  };
  double mean = 0;
  for (int j = std::max(0, first_k + second_k - n_experts); j <= std::min(first_k, second_k); ++j) {
    const double h =
        std::exp(log_choose(first_k, j) + log_choose(n_experts - first_k, second_k - j) -
                 log_choose(n_experts, second_k));
    mean += h * j / (first_k + second_k - j);
  }
  return mean;
}

}  // namespace moexray::stats
