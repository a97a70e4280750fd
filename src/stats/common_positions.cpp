#include "moexray/stats/common_positions.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "moexray/core/error.h"
#include "moexray/core/wording.h"

namespace moexray::stats {
namespace {

std::string part_name(TokenType part) { return part == TokenType::prompt ? "prompt" : "generated"; }

std::string unit_name(const Units& units, std::size_t n) {
  return noun_for(static_cast<std::int64_t>(n), units.grouped ? "unit" : "prompt");
}

// For every unit with prompts of the category: the most tokens that one of these has.
std::vector<std::int64_t> longest_of_units(const Units& units, const CategoryIndex& categories,
                                           const std::vector<std::int64_t>& n_tokens,
                                           std::size_t category) {
  std::vector<std::int64_t> longest;
  for (const std::vector<std::size_t>& members : units.members) {
    std::int64_t most = -1;
    for (const std::size_t i : members) {
      if (categories.of_prompt[i] == static_cast<int>(category)) {
        most = std::max(most, n_tokens[i]);
      }
    }
    if (most >= 0) longest.push_back(most);
  }
  return longest;
}

void check_positions(const CommonPositions& positions) {
  if (positions.n_tokens < 1 || positions.rows.empty()) {
    throw Error(ErrorKind::runtime,
                {"common positions", {}, "at least one token and one prompt", positions.text()});
  }
}

// Calls body(row of the result, token) for each token at the common positions.
void for_each_token(const RoutedTokens& tokens, const CommonPositions& positions,
                    const std::function<void(Eigen::Index, std::size_t)>& body) {
  for (std::size_t i = 0; i < positions.rows.size(); ++i) {
    const std::size_t row = positions.rows[i];
    std::int64_t n = 0;
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1] && n < positions.n_tokens;
         ++t) {
      if (!is_comparable(tokens.tokens[t], positions.part)) continue;
      body(static_cast<Eigen::Index>(i), t);
      ++n;
    }
  }
}

}  // namespace

bool is_comparable(const RoutedToken& token, TokenType part) {
  return token.type == part && !(part == TokenType::prompt && token.is_template);
}

std::string name_of(Comparability outcome) {
  switch (outcome) {
    case Comparability::comparable:
      return "comparable";
    case Comparability::no_tokens:
      return "no tokens";
    case Comparability::no_categories:
      return "no categories";
    case Comparability::one_category:
      return "one category";
    case Comparability::too_few_units:
      return "too few units";
    case Comparability::no_relabelling:
      return "no relabelling";
    case Comparability::lengths:
      return "lengths";
  }
  return {};
}

std::string CommonPositions::text() const {
  if (is_whole) return "all " + counted(n_tokens, "token");
  if (n_tokens == 1) return fmt::format("first {} token", part_name(part));
  return fmt::format("first {} {} tokens", n_tokens, part_name(part));
}

TokenType compared_part(const RoutedTokens& tokens, TokenSelection selection) {
  if (selection == TokenSelection::generation) return TokenType::generation;
  const auto is_of_prompt = [](const RoutedToken& token) {
    return token.type == TokenType::prompt;
  };
  const bool has_prompts = tokens.tokens.empty() ||
                           std::any_of(tokens.tokens.begin(), tokens.tokens.end(), is_of_prompt);
  return has_prompts || selection == TokenSelection::prompt ? TokenType::prompt
                                                            : TokenType::generation;
}

std::vector<std::int64_t> comparable_tokens(const RoutedTokens& tokens, TokenType part) {
  std::vector<std::int64_t> result;
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    const auto own = tokens.of_prompt(row);
    result.push_back(std::count_if(own.begin(), own.end(), [&](const RoutedToken& token) {
      return is_comparable(token, part);
    }));
  }
  return result;
}

CommonPositions common_positions(const RoutedTokens& tokens, TokenType part,
                                 const CommonPositionsOptions& options) {
  CommonPositions positions;
  positions.part = part;
  positions.n_tokens = options.n_tokens;
  const std::vector<std::int64_t> n_tokens = comparable_tokens(tokens, part);
  if (positions.n_tokens == 0 && !n_tokens.empty()) {
    std::vector<std::int64_t> sorted = n_tokens;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    // The least number of prompts that is that share: 0.9 · 80 is 72, whatever its last bit.
    const double least = options.share * static_cast<double>(sorted.size());
    const auto n = static_cast<std::size_t>(std::max(std::ceil(least - 1e-9), 1.0));
    positions.n_tokens = sorted[std::min(n, sorted.size()) - 1];
  }
  for (std::size_t row = 0; row < n_tokens.size(); ++row) {
    if (n_tokens[row] >= positions.n_tokens) positions.rows.push_back(row);
  }
  positions.n_short = n_tokens.size() - positions.rows.size();
  return positions;
}

CountMatrix common_counts(const RoutedTokens& tokens, const CommonPositions& positions) {
  const RoutingShape& shape = tokens.shape;
  CountMatrix counts =
      CountMatrix::Zero(static_cast<Eigen::Index>(positions.rows.size()),
                        static_cast<Eigen::Index>(shape.n_layers) * shape.n_experts);
  for_each_token(tokens, positions, [&](Eigen::Index row, std::size_t token) {
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      const Eigen::Index first = static_cast<Eigen::Index>(layer) * shape.n_experts;
      for (const std::uint16_t expert : tokens.at(token, layer)) ++counts(row, first + expert);
    }
  });
  return counts;
}

Signatures common_signatures(const RoutedTokens& tokens, const Signatures& signatures,
                             const CommonPositions& positions) {
  check_positions(positions);
  const auto n = static_cast<Eigen::Index>(positions.rows.size());
  const RoutingShape& shape = tokens.shape;
  const std::int64_t n_selections = positions.n_tokens * shape.top_k;
  Signatures result;
  result.shape = shape;
  result.values =
      common_counts(tokens, positions).cast<double>() / static_cast<double>(n_selections);
  result.layer_tokens = CountMatrix::Constant(n, shape.n_layers, positions.n_tokens);
  result.layer_sums = Matrix::Constant(n, shape.n_layers, static_cast<double>(n_selections));
  result.n_tokens.assign(positions.rows.size(), positions.n_tokens);
  for (const std::size_t row : positions.rows) {
    result.ids.push_back(signatures.ids[row]);
    result.categories.push_back(signatures.categories[row]);
    result.prompt_indices.push_back(signatures.prompt_indices[row]);
  }
  return result;
}

ComparabilityCheck check_comparability(const RoutedTokens& tokens, const CommonPositions& positions,
                                       const CategoryIndex& categories, const Units& units,
                                       const CommonPositionsOptions& options) {
  if (categories.names.size() < 2) {
    return {Comparability::one_category, "there is only one category", 0};
  }
  const std::vector<std::int64_t> n_tokens = comparable_tokens(tokens, positions.part);
  ComparabilityCheck check;
  check.n_possible = n_tokens.empty() ? 0 : *std::max_element(n_tokens.begin(), n_tokens.end());
  std::string lost;
  for (std::size_t c = 0; c < categories.names.size(); ++c) {
    std::vector<std::int64_t> longest = longest_of_units(units, categories, n_tokens, c);
    const std::size_t n_all = longest.size();
    const std::string name = "category \"" + categories.names[c] + "\" ";
    if (n_all < options.min_units && !options.keeps_small) {
      return {Comparability::too_few_units,
              fmt::format("{}has {} {}, fewer than {}", name, n_all, unit_name(units, n_all),
                          options.min_units),
              0};
    }
    std::sort(longest.begin(), longest.end(), std::greater<>());
    const std::size_t n_needed = std::min(options.min_units, n_all);
    check.n_possible = std::min(check.n_possible, longest[n_needed - 1]);
    const auto n_kept = static_cast<std::size_t>(
        std::count_if(longest.begin(), longest.end(),
                      [&](std::int64_t most) { return most >= positions.n_tokens; }));
    if (n_kept < n_needed && lost.empty()) {
      lost = fmt::format("{}keeps {} of {} {} at the {}, fewer than {}", name, n_kept, n_all,
                         unit_name(units, n_all), positions.text(), n_needed);
    }
  }
  if (positions.n_tokens < options.min_tokens) {
    lost = fmt::format("{} of {} prompts have {} {} token{}{} in common, fewer than {}",
                       positions.rows.size(), n_tokens.size(), positions.n_tokens,
                       part_name(positions.part), positions.n_tokens == 1 ? "" : "s",
                       positions.part == TokenType::prompt ? " without template" : "",
                       options.min_tokens);
  }
  if (check.n_possible < options.min_tokens) check.n_possible = 0;
  if (!lost.empty()) {
    check.outcome = Comparability::lengths;
    check.reason = lost;
  }
  return check;
}

}  // namespace moexray::stats
