#include "moexray/stats/expert_matching.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "moexray/stats/rates.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// A prompt of the first and the one of the second whose tokens stand beside its.
struct PromptPair {
  std::size_t first = 0;
  std::size_t second = 0;
};
using PromptPairs = std::vector<PromptPair>;

struct LayerPair {
  int first = 0;
  int second = 0;
};

std::size_t n_common(const PairedPrompts& pair, const PromptPair& prompts) {
  return std::min(pair.first_tokens.of_prompt(prompts.first).size(),
                  pair.second_tokens.of_prompt(prompts.second).size());
}

// How often experts are chosen together.
struct CoSelection {
  Matrix together;  // [E_A, E_B]
  Vector first;     // [E_A]
  Vector second;    // [E_B]
  double n_tokens = 0;

  // N − what popularity gives.
  Matrix centred() const { return together - first * second.transpose() / n_tokens; }
};

CoSelection co_selection(const PairedPrompts& pair, const PromptPairs& prompts,
                         const LayerPair& layers) {
  const RoutedTokens& a = pair.first_tokens;
  const RoutedTokens& b = pair.second_tokens;
  CoSelection counts{Matrix::Zero(a.shape.n_experts, b.shape.n_experts),
                     Vector::Zero(a.shape.n_experts), Vector::Zero(b.shape.n_experts), 0};
  for (const PromptPair& prompt : prompts) {
    const std::size_t n = n_common(pair, prompt);
    for (std::size_t t = 0; t < n; ++t) {
      const auto own = a.at(a.first[prompt.first] + t, layers.first);
      const auto other = b.at(b.first[prompt.second] + t, layers.second);
      for (const std::uint16_t expert : own) {
        counts.first(expert) += 1;
        for (const std::uint16_t one : other) counts.together(expert, one) += 1;
      }
      for (const std::uint16_t one : other) counts.second(one) += 1;
    }
    counts.n_tokens += static_cast<double>(n);
  }
  return counts;
}

std::vector<int> used_experts(const Vector& counts, double least) {
  std::vector<int> used;
  for (Eigen::Index e = 0; e < counts.size(); ++e) {
    if (counts(e) > 0 && counts(e) >= least) used.push_back(static_cast<int>(e));
  }
  return used;
}

struct Assignment {
  std::vector<int> second_of;  // [E_A] −1: none
  double kappa = -infinity;    // beyond popularity, of what it was made from
  int n_unused_first = 0;
  int n_unused_second = 0;
};

Assignment assign(const CoSelection& counts, const PairedPrompts& pair,
                  const MatchingOptions& options) {
  const RoutingShape& a = pair.first_tokens.shape;
  const RoutingShape& b = pair.second_tokens.shape;
  Assignment result;
  result.second_of.assign(static_cast<std::size_t>(a.n_experts), -1);
  const std::vector<int> rows =
      used_experts(counts.first, options.min_use * counts.n_tokens * a.top_k / a.n_experts);
  const std::vector<int> columns =
      used_experts(counts.second, options.min_use * counts.n_tokens * b.top_k / b.n_experts);
  result.n_unused_first = a.n_experts - static_cast<int>(rows.size());
  result.n_unused_second = b.n_experts - static_cast<int>(columns.size());
  if (rows.empty() || columns.empty()) return result;
  const Matrix profit = counts.centred()(rows, columns);
  const std::vector<int> chosen = best_assignment(profit);
  double sum = 0;
  double chance = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (chosen[i] < 0) continue;
    const int expert = rows[i];
    const int other = columns[static_cast<std::size_t>(chosen[i])];
    result.second_of[static_cast<std::size_t>(expert)] = other;
    sum += counts.together(expert, other);
    chance += counts.first(expert) * counts.second(other) / counts.n_tokens;
  }
  const double all = counts.n_tokens * std::min(a.top_k, b.top_k);
  result.kappa = (sum - chance) / (all - chance);
  return result;
}

// Overlap of matched experts, and its chances, over prompts that did not match them.
struct HeldOut {
  std::vector<UnitCount> of_unit;
  double overlap = 0;  // Σ_t |σ(A_t) ∩ B_t| / k
  double n_tokens = 0;
  double popularity = 0;      // Σ_t c
  double prompt_overlap = 0;  // overlap, chance and number of the tokens of prompts of several
  double same_prompt = 0;
  double n_in_prompts = 0;

  double kappa() const { return (overlap - popularity) / (n_tokens - popularity); }
};

void evaluate(const PairedPrompts& pair, const PromptPairs& prompts, const LayerPair& layers,
              const Assignment& assignment, HeldOut& result) {
  const RoutedTokens& a = pair.first_tokens;
  const RoutedTokens& b = pair.second_tokens;
  const double k = std::min(a.shape.top_k, b.shape.top_k);
  Vector all_first = Vector::Zero(a.shape.n_experts);
  Vector all_second = Vector::Zero(b.shape.n_experts);
  const auto matched_product = [&](const Vector& first, const Vector& second) {
    double sum = 0;
    for (Eigen::Index e = 0; e < first.size(); ++e) {
      const int other = assignment.second_of[static_cast<std::size_t>(e)];
      if (other >= 0) sum += first(e) * second(other);
    }
    return sum;
  };
  double n_tokens = 0;
  for (const PromptPair& prompt : prompts) {
    const std::size_t n = n_common(pair, prompt);
    Vector first = Vector::Zero(all_first.size());
    Vector second = Vector::Zero(all_second.size());
    double own = 0;
    for (std::size_t t = 0; t < n; ++t) {
      const auto of_first = a.at(a.first[prompt.first] + t, layers.first);
      const auto of_second = b.at(b.first[prompt.second] + t, layers.second);
      for (const std::uint16_t expert : of_second) second(expert) += 1;
      for (const std::uint16_t expert : of_first) {
        first(expert) += 1;
        const int other = assignment.second_of[expert];
        if (other >= 0 && std::find(of_second.begin(), of_second.end(), other) != of_second.end()) {
          own += 1;
        }
      }
    }
    const auto size = static_cast<double>(n);
    UnitCount& unit = result.of_unit[static_cast<std::size_t>(pair.units.of_prompt[prompt.first])];
    unit.count += own / k;
    unit.tokens += size;
    result.overlap += own / k;
    n_tokens += size;
    all_first += first;
    all_second += second;
    if (n < 2) continue;
    result.prompt_overlap += own / k;
    result.same_prompt += (matched_product(first, second) - own) / ((size - 1) * k);
    result.n_in_prompts += size;
  }
  result.n_tokens += n_tokens;
  if (n_tokens > 0) result.popularity += matched_product(all_first, all_second) / (n_tokens * k);
}

// Rows by halves of the units, alternately in a random order within categories.
std::array<std::vector<std::size_t>, 2> halves_of(const PairedPrompts& pair, std::uint64_t seed) {
  struct Key {
    int category;
    std::uint64_t random;
    std::size_t unit;
    auto operator<=>(const Key&) const = default;
  };
  std::vector<Key> order;
  for (std::size_t u = 0; u < pair.units.size(); ++u) {
    order.push_back(
        {pair.units.category[u], RandomStream(seed, "half " + pair.units.names[u])(), u});
  }
  std::sort(order.begin(), order.end());
  std::array<std::vector<std::size_t>, 2> rows;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::vector<std::size_t>& members = pair.units.members[order[i].unit];
    rows[i % 2].insert(rows[i % 2].end(), members.begin(), members.end());
  }
  return rows;
}

PromptPairs with(const std::vector<std::size_t>& rows, const std::vector<std::size_t>& second_of) {
  PromptPairs pairs;
  for (const std::size_t row : rows) pairs.push_back({row, second_of[row]});
  return pairs;
}

// The layers of the second that a layer of the first may be matched with.
bool is_candidate(const LayerPair& layers, const PairedPrompts& pair) {
  const RoutingShape& a = pair.first_tokens.shape;
  const RoutingShape& b = pair.second_tokens.shape;
  const double cost = std::pow(std::max(a.n_experts, b.n_experts), 3);
  constexpr double budget = 3e9;
  const double n_candidates = budget / (cost * a.n_layers);
  if (n_candidates >= b.n_layers) return true;
  const double reach = std::max((n_candidates - 1) / 2, 1.0);
  const double depth = a.n_layers > 1
                           ? static_cast<double>(layers.first) * (b.n_layers - 1) / (a.n_layers - 1)
                           : (b.n_layers - 1) / 2.0;
  return std::abs(layers.second - depth) <= reach;
}

std::vector<int> layers_of(const PairedPrompts& pair, const PromptPairs& prompts,
                           const MatchingOptions& options) {
  const int n_first = pair.first_tokens.shape.n_layers;
  const int n_second = pair.second_tokens.shape.n_layers;
  Matrix score = Matrix::Constant(n_first, n_second, -infinity);
  parallel_for(n_first * n_second, options.n_threads, [&](int i) {
    throw_if_stopped(options.work.stop);
    const LayerPair layers{i / n_second, i % n_second};
    if (!is_candidate(layers, pair)) return;
    score(layers.first, layers.second) =
        assign(co_selection(pair, prompts, layers), pair, options).kappa;
  });
  return best_monotone_path(score);
}

// Matched on each half, evaluated on the other.
HeldOut cross_fitted(const PairedPrompts& pair,
                     const std::array<std::vector<std::size_t>, 2>& halves,
                     const std::vector<std::size_t>& second_of,
                     const std::array<LayerPair, 2>& layers, const MatchingOptions& options,
                     std::array<Assignment, 2>* kept = nullptr) {
  HeldOut result;
  result.of_unit.resize(pair.units.size());
  for (std::size_t half = 0; half < 2; ++half) {
    Assignment assignment =
        assign(co_selection(pair, with(halves[half], second_of), layers[half]), pair, options);
    evaluate(pair, with(halves[1 - half], second_of), layers[half], assignment, result);
    if (kept != nullptr) (*kept)[half] = std::move(assignment);
  }
  return result;
}

void add_pairs(const CoSelection& counts, const Assignment& assignment,
               const std::array<Assignment, 2>& halves, bool same_layers, MatchedLayer& result) {
  for (std::size_t e = 0; e < assignment.second_of.size(); ++e) {
    const int other = assignment.second_of[e];
    if (other < 0) continue;
    const auto row = static_cast<Eigen::Index>(e);
    const Eigen::RowVectorXd excess =
        counts.together.row(row) / counts.first(row) - counts.second.transpose() / counts.n_tokens;
    double runner_up = -infinity;
    for (Eigen::Index j = 0; j < excess.size(); ++j) {
      if (j != other) runner_up = std::max(runner_up, excess(j));
    }
    result.pairs.push_back(
        {static_cast<int>(e), other, counts.together(row, other) / counts.first(row), excess(other),
         std::isinf(runner_up) ? undefined : excess(other) - runner_up,
         same_layers && halves[0].second_of[e] == other && halves[1].second_of[e] == other});
  }
}

double share_of(double n, double all) { return all > 0 ? n / all : undefined; }

void add_shares(const std::array<Assignment, 2>& halves, bool same_layers, bool same_numbers,
                MatchedLayer& result) {
  double n_both = 0;
  double n_alike = 0;
  double n_matched = 0;
  double n_identical = 0;
  for (std::size_t e = 0; e < halves[0].second_of.size(); ++e) {
    const int one = halves[0].second_of[e];
    const int two = halves[1].second_of[e];
    for (const int other : {one, two}) {
      n_matched += other >= 0 ? 1 : 0;
      n_identical += other == static_cast<int>(e) ? 1 : 0;
    }
    if (one < 0 || two < 0) continue;
    n_both += 1;
    n_alike += one == two && same_layers ? 1 : 0;
  }
  result.stability = share_of(n_alike, n_both);
  if (same_numbers) result.identity = share_of(n_identical, n_matched);
}

void add_overlap(const HeldOut& held_out, const MatchingOptions& options, MatchedLayer& result) {
  const ClusteredRate rate = clustered_rate(held_out.of_unit);
  result.heldout_overlap.estimate = rate.estimate;
  result.popularity = share_of(held_out.popularity, held_out.n_tokens);
  result.same_prompt = share_of(held_out.same_prompt, held_out.n_in_prompts);
  result.kappa.estimate = held_out.kappa();
  result.kappa_prompt = (held_out.prompt_overlap - held_out.same_prompt) /
                        (held_out.n_in_prompts - held_out.same_prompt);
  if (rate.n_units < static_cast<std::int64_t>(options.min_units)) return;
  result.heldout_overlap.ci95 = rate_interval(rate);
  for (std::size_t end = 0; end < 2; ++end) {
    result.kappa.ci95[end] =
        (result.heldout_overlap.ci95[end] - result.popularity) / (1 - result.popularity);
  }
}

struct MatchingWork {
  std::array<std::vector<std::size_t>, 2> halves;
  std::vector<std::size_t> as_they_are;
  std::array<std::vector<int>, 2> layers;  // of each half
};

void add_matching_test(const PairedPrompts& pair, const MatchingWork& work,
                       const MatchingOptions& options, MatchingResult& result) {
  if (pair.units.size() < options.min_units) {
    result.not_tested = fewer_than(options.min_units, pair.units);
    return;
  }
  const RowPermutations permutations(pair, pair.has_categories());
  if (!permutations.allow_test()) {
    result.not_tested = "too few prompts of one category can be exchanged";
    return;
  }
  const RoutingShape& a = pair.first_tokens.shape;
  const RoutingShape& b = pair.second_tokens.shape;
  const double n_experts = std::max(a.n_experts, b.n_experts);
  const double operations =
      a.n_layers * (static_cast<double>(pair.first_tokens.tokens.size()) * a.top_k * b.top_k +
                    2 * n_experts * n_experts * n_experts);
  PermutationTest& test = result.test;
  test.statistic = result.kappa;
  test.n_draws = affordable_draws(options.n_permutations, 1e10, operations, 39);
  std::vector<char> reached(static_cast<std::size_t>(test.n_draws));
  parallel_for(test.n_draws, options.n_threads, [&](int draw) {
    throw_if_stopped(options.work.stop);
    RandomStream random(options.seed, "matching " + std::to_string(draw));
    const std::vector<std::size_t> second_of = permutations.draw(random);
    double kappa = 0;
    for (int layer = 0; layer < a.n_layers; ++layer) {
      const auto i = static_cast<std::size_t>(layer);
      kappa += cross_fitted(pair, work.halves, second_of,
                            {{{layer, work.layers[0][i]}, {layer, work.layers[1][i]}}}, options)
                   .kappa() /
               a.n_layers;
    }
    reached[static_cast<std::size_t>(draw)] = kappa < test.statistic ? 0 : 1;
    if (options.work.on_steps) options.work.on_steps(1);
  });
  test.p_value = permutation_p_value(std::count(reached.begin(), reached.end(), 1), test.n_draws);
}

MatchedLayer matched_layer(const PairedPrompts& pair, const MatchingWork& work, int layer,
                           int other_layer, const MatchingOptions& options) {
  const auto i = static_cast<std::size_t>(layer);
  MatchedLayer result;
  result.layer = layer;
  result.other_layer = other_layer;
  std::array<Assignment, 2> halves;
  const HeldOut held_out =
      cross_fitted(pair, work.halves, work.as_they_are,
                   {{{layer, work.layers[0][i]}, {layer, work.layers[1][i]}}}, options, &halves);
  add_overlap(held_out, options, result);
  const bool same_layers = work.layers[0][i] == other_layer && work.layers[1][i] == other_layer;
  const bool same_numbers = pair.first_tokens.shape.n_experts == pair.second_tokens.shape.n_experts;
  add_shares(halves, same_layers, same_numbers, result);
  const CoSelection counts =
      co_selection(pair, with(work.as_they_are, work.as_they_are), {layer, other_layer});
  const Assignment all = assign(counts, pair, options);
  result.n_unused_first = all.n_unused_first;
  result.n_unused_second = all.n_unused_second;
  add_pairs(counts, all, halves, same_layers, result);
  return result;
}

// Rows to columns, at least as many columns as rows: shortest augmenting paths with potentials
// (Jonker and Volgenant 1987), for the smallest sum.
std::vector<int> cheapest_assignment(const Matrix& cost) {
  const auto n_rows = static_cast<std::size_t>(cost.rows());
  const auto n_columns = static_cast<std::size_t>(cost.cols());
  // Column 0 and row 0 stand for none.
  std::vector<double> of_row(n_rows + 1);
  std::vector<double> of_column(n_columns + 1);
  std::vector<std::size_t> row_of(n_columns + 1);
  for (std::size_t row = 1; row <= n_rows; ++row) {
    std::vector<double> distance(n_columns + 1, infinity);
    std::vector<std::size_t> previous(n_columns + 1);
    std::vector<bool> is_done(n_columns + 1);
    std::size_t column = 0;
    row_of[0] = row;
    do {
      is_done[column] = true;
      const std::size_t from = row_of[column];
      double nearest = infinity;
      std::size_t next = 0;
      for (std::size_t j = 1; j <= n_columns; ++j) {
        if (is_done[j]) continue;
        const double reduced =
            cost(static_cast<Eigen::Index>(from - 1), static_cast<Eigen::Index>(j - 1)) -
            of_row[from] - of_column[j];
        if (reduced < distance[j]) {
          distance[j] = reduced;
          previous[j] = column;
        }
        if (distance[j] < nearest) {
          nearest = distance[j];
          next = j;
        }
      }
      for (std::size_t j = 0; j <= n_columns; ++j) {
        if (is_done[j]) {
          of_row[row_of[j]] += nearest;
          of_column[j] -= nearest;
        } else {
          distance[j] -= nearest;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = previous[column]) row_of[column] = row_of[previous[column]];
  }
  std::vector<int> columns(n_rows, -1);
  for (std::size_t j = 1; j <= n_columns; ++j) {
    if (row_of[j] != 0) columns[row_of[j] - 1] = static_cast<int>(j - 1);
  }
  return columns;
}

}  // namespace

bool MatchingResult::same_experts() const {
  const auto n_same = std::count_if(layers.begin(), layers.end(), [](const MatchedLayer& layer) {
    return layer.layer == layer.other_layer && layer.identity >= 0.5;
  });
  return !layers.empty() && 10 * n_same >= 9 * std::ssize(layers);
}

std::vector<int> best_assignment(const Matrix& profit) {
  if (profit.rows() <= profit.cols()) return cheapest_assignment(-profit);
  const std::vector<int> row_of = cheapest_assignment(-profit.transpose());
  std::vector<int> columns(static_cast<std::size_t>(profit.rows()), -1);
  for (std::size_t column = 0; column < row_of.size(); ++column) {
    columns[static_cast<std::size_t>(row_of[column])] = static_cast<int>(column);
  }
  return columns;
}

std::vector<int> best_monotone_path(const Matrix& score) {
  const Eigen::Index n_rows = score.rows();
  const Eigen::Index n_columns = score.cols();
  // best(i, j): the largest sum of rows 0 … i whose last column is at most j.
  Matrix best(n_rows, n_columns);
  Eigen::Matrix<Eigen::Index, Eigen::Dynamic, Eigen::Dynamic> column_of(n_rows, n_columns);
  for (Eigen::Index i = 0; i < n_rows; ++i) {
    for (Eigen::Index j = 0; j < n_columns; ++j) {
      const double here = score(i, j) + (i > 0 ? best(i - 1, j) : 0);
      const bool is_better = j == 0 || here > best(i, j - 1);
      best(i, j) = is_better ? here : best(i, j - 1);
      column_of(i, j) = is_better ? j : column_of(i, j - 1);
    }
  }
  std::vector<int> path(static_cast<std::size_t>(n_rows));
  Eigen::Index last = n_columns - 1;
  for (Eigen::Index i = n_rows; i-- > 0;) {
    last = column_of(i, last);
    path[static_cast<std::size_t>(i)] = static_cast<int>(last);
  }
  return path;
}

MatchingResult match_experts(const PairedPrompts& pair, const MatchingOptions& options) {
  MatchingResult result;
  if (!pair.same_tokens) {
    result.reason = pair.has_tokens() ? "the tokens of both are not the same"
                                      : "there are counts, not single tokens";
  } else if (pair.units.size() < 2) {
    result.reason = "there is only one prompt or group, and experts are matched on half of them";
  }
  if (!result.reason.empty()) return result;
  MatchingWork work;
  work.halves = halves_of(pair, options.seed);
  for (std::size_t row = 0; row < pair.size(); ++row) work.as_they_are.push_back(row);
  for (std::size_t half = 0; half < 2; ++half) {
    work.layers[half] = layers_of(pair, with(work.halves[half], work.as_they_are), options);
  }
  const std::vector<int> other_layers =
      layers_of(pair, with(work.as_they_are, work.as_they_are), options);
  const int n_layers = pair.first_tokens.shape.n_layers;
  result.layers.resize(static_cast<std::size_t>(n_layers));
  parallel_for(n_layers, options.n_threads, [&](int layer) {
    throw_if_stopped(options.work.stop);
    const auto i = static_cast<std::size_t>(layer);
    result.layers[i] = matched_layer(pair, work, layer, other_layers[i], options);
  });
  const auto mean = [&](auto value_of) {
    double sum = 0;
    for (const MatchedLayer& layer : result.layers) sum += value_of(layer);
    return sum / n_layers;
  };
  result.heldout_overlap =
      mean([](const MatchedLayer& layer) { return layer.heldout_overlap.estimate; });
  result.kappa = mean([](const MatchedLayer& layer) { return layer.kappa.estimate; });
  result.identity = mean([](const MatchedLayer& layer) { return layer.identity; });
  add_matching_test(pair, work, options, result);
  return result;
}

}  // namespace moexray::stats
