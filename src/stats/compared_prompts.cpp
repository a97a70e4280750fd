#include "moexray/stats/compared_prompts.h"

#include <fmt/core.h>

#include <algorithm>

#include "moexray/core/wording.h"

namespace moexray::stats {
namespace {

std::string reason_without_categories(const Signatures& signatures) {
  const auto n = std::count(signatures.categories.begin(), signatures.categories.end(), "");
  return n == 0 ? "" : fmt::format("{} of {} prompts have no category", n, signatures.size());
}

void index_rows(ComparedPrompts& compared) {
  compared.categories = index_categories(compared.signatures);
  compared.units = make_units(compared.signatures.ids, compared.categories, compared.groups);
}

// What could be compared in place of too few tokens, or nothing.
std::string way_out(const RoutedTokens& routed, const ComparedPrompts& compared,
                    const CategoryIndex& categories, const Units& units,
                    CommonPositionsOptions options) {
  if (compared.check.n_possible > 0) {
    return fmt::format("; --common-tokens {} would compare the first {}", compared.check.n_possible,
                       compared.check.n_possible);
  }
  if (compared.positions.part == TokenType::generation) return {};
  options.n_tokens = 0;
  const auto generated = common_positions(routed, TokenType::generation, options);
  if (!check_comparability(routed, generated, categories, units, options).comparable()) return {};
  return fmt::format("; --tokens generation would compare the {}", generated.text());
}

}  // namespace

std::string ComparedPrompts::text() const {
  std::string text = positions.text();
  if (positions.n_short > 0) {
    text += fmt::format(" of {} of {}", n_prompts - positions.n_short,
                        counted(static_cast<std::int64_t>(n_prompts), "prompt"));
  }
  return text;
}

ComparedPrompts compared_prompts(const RoutedTokens& routed, const Signatures& signatures,
                                 std::span<const std::string> groups, TokenSelection tokens,
                                 CommonPositionsOptions options) {
  options.keeps_small = true;
  ComparedPrompts result;
  result.n_prompts = signatures.size();
  result.check.reason = reason_without_categories(signatures);
  if (!result.check.reason.empty()) {
    result.check.outcome = Comparability::no_categories;
    return result;
  }
  result.positions = common_positions(routed, compared_part(routed, tokens), options);
  const CategoryIndex categories = index_categories(signatures);
  const Units units = make_units(signatures.ids, categories, groups);
  result.check = check_comparability(routed, result.positions, categories, units, options);
  if (result.check.outcome == Comparability::lengths) {
    result.check.reason += way_out(routed, result, categories, units, options);
  }
  if (!result.comparable()) return result;
  result.signatures = common_signatures(routed, signatures, result.positions);
  if (!groups.empty()) {
    for (const std::size_t row : result.positions.rows) result.groups.push_back(groups[row]);
  }
  index_rows(result);
  return result;
}

ComparedPrompts whole_prompts(const Signatures& signatures, std::span<const std::string> groups) {
  ComparedPrompts result;
  result.n_prompts = signatures.size();
  result.signatures = signatures;
  result.groups.assign(groups.begin(), groups.end());
  index_rows(result);
  return result;
}

ComparedPrompts counted_prompts(const Signatures& signatures, std::span<const std::string> groups) {
  ComparedPrompts refused;
  refused.n_prompts = signatures.size();
  refused.check = {Comparability::no_categories, reason_without_categories(signatures)};
  if (!refused.check.reason.empty()) return refused;
  const auto [least, most] =
      std::minmax_element(signatures.n_tokens.begin(), signatures.n_tokens.end());
  if (*least == 0 || *least != *most) {
    refused.check = {
        Comparability::lengths,
        fmt::format("prompts have {} tokens, and counts do not tell which come first",
                    *least == 0 ? "unknown numbers of" : fmt::format("{} to {}", *least, *most))};
    return refused;
  }
  ComparedPrompts result = whole_prompts(signatures, groups);
  result.positions.n_tokens = *least;
  result.positions.is_whole = true;
  for (std::size_t row = 0; row < signatures.size(); ++row) result.positions.rows.push_back(row);
  return result;
}

}  // namespace moexray::stats
