#include "moexray/stats/length_test.h"

#include <algorithm>
#include <cmath>

#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// F of one-way analysis of variance, but for a factor that no relabelling changes where the number
// of categories stays: SS_A / SS_W.
double ratio_of_squares(const Vector& values, const std::vector<int>& labels,
                        std::size_t n_categories) {
  std::vector<double> sums(n_categories);
  std::vector<double> sizes(n_categories);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sums[static_cast<std::size_t>(labels[i])] += values[static_cast<Eigen::Index>(i)];
    ++sizes[static_cast<std::size_t>(labels[i])];
  }
  const double mean = values.mean();
  double among = 0;
  for (std::size_t c = 0; c < n_categories; ++c) {
    if (sizes[c] > 0) among += sizes[c] * std::pow(sums[c] / sizes[c] - mean, 2);
  }
  const double within = (values.array() - mean).square().sum() - among;
  // Lengths that the categories tell exactly leave rounding errors within.
  return among / std::max(within, 1e-12 * among);
}

}  // namespace

LengthTest test_lengths(std::span<const std::int64_t> n_tokens, const CategoryIndex& categories,
                        const Units& units, const PermutationOptions& options) {
  const std::size_t n_categories = categories.names.size();
  const std::size_t n = n_tokens.size();
  LengthTest result;
  result.mean_tokens.assign(n_categories, 0);
  Vector values(static_cast<Eigen::Index>(n));
  for (std::size_t i = 0; i < n; ++i) {
    const auto c = static_cast<std::size_t>(categories.of_prompt[i]);
    const auto tokens = static_cast<double>(n_tokens[i]);
    result.mean_tokens[c] += tokens / static_cast<double>(categories.n_prompts[c]);
    values[static_cast<Eigen::Index>(i)] = std::log1p(tokens);
  }
  if (n_categories < 2 || n == n_categories) return result;
  if ((values.array() == values[0]).all()) return result;
  const double observed = ratio_of_squares(values, categories.of_prompt, n_categories);
  const auto k = static_cast<double>(n_categories);
  result.f.statistic = observed * (static_cast<double>(n) - k) / (k - 1);
  if (smallest_p_value(units, categories) > 0.999) return result;
  std::vector<char> reached(static_cast<std::size_t>(options.n_permutations));
  parallel_for(options.n_permutations, options.n_threads, [&](int r) {
    throw_if_stopped(options.stop);
    const auto labels = relabelling(units, categories, options.seed, r);
    const double drawn = ratio_of_squares(values, labels, n_categories);
    // Many prompts may be equally long, so that relabellings often give the same sums.
    reached[static_cast<std::size_t>(r)] = drawn >= observed * (1 - 1e-9) ? 1 : 0;
  });
  result.f.n_draws = options.n_permutations;
  result.f.p_value =
      permutation_p_value(std::count(reached.begin(), reached.end(), 1), options.n_permutations);
  return result;
}

}  // namespace moexray::stats
