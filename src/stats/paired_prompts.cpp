#include "moexray/stats/paired_prompts.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "feature_sets.h"
#include "moexray/core/error.h"
#include "moexray/core/shuffle.h"
#include "moexray/core/wording.h"
#include "moexray/stats/agreement.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {
namespace {

// Rows of both sides, and the tokens of each that are taken.
struct PairedRow {
  std::size_t first = 0;
  std::size_t second = 0;
  std::vector<std::size_t> first_tokens = {};
  std::vector<std::size_t> second_tokens = {};
};

RoutedTokens no_tokens(const RoutingShape& shape) {
  return {.shape = shape, .first = {}, .tokens = {}, .experts = {}};
}

void append_prompt(const RoutedTokens& from, std::span<const std::size_t> tokens,
                   RoutedTokens& to) {
  if (to.first.empty()) to.first.push_back(0);
  const auto n =
      static_cast<std::size_t>(from.shape.n_layers) * static_cast<std::size_t>(from.shape.top_k);
  for (const std::size_t t : tokens) {
    to.tokens.push_back(from.tokens[t]);
    to.tokens.back().selected = true;
    const auto begin = from.experts.begin() + static_cast<std::ptrdiff_t>(t * n);
    to.experts.insert(to.experts.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
  }
  to.first.push_back(to.tokens.size());
}

Signatures signature_rows(const Signatures& all, std::span<const std::size_t> rows) {
  Signatures result;
  result.shape = all.shape;
  std::vector<Eigen::Index> index;
  for (const std::size_t row : rows) {
    index.push_back(static_cast<Eigen::Index>(row));
    result.ids.push_back(all.ids[row]);
    result.categories.push_back(all.categories[row]);
    result.n_tokens.push_back(all.n_tokens[row]);
    result.prompt_indices.push_back(all.prompt_indices[row]);
  }
  result.values = all.values(index, Eigen::all);
  result.layer_tokens = all.layer_tokens(index, Eigen::all);
  result.layer_sums = all.layer_sums(index, Eigen::all);
  return result;
}

// Signatures over the tokens that were taken.
void take_token_signatures(const RoutedTokens& tokens, Signatures& signatures) {
  signatures.values = *signatures_of(tokens, [](std::size_t) { return true; });
  for (std::size_t row = 0; row < signatures.size(); ++row) {
    const auto n = static_cast<std::int64_t>(tokens.of_prompt(row).size());
    const auto i = static_cast<Eigen::Index>(row);
    signatures.n_tokens[row] = n;
    signatures.layer_tokens.row(i).setConstant(n);
    signatures.layer_sums.row(i).setConstant(static_cast<double>(n * tokens.shape.top_k));
  }
}

void index_pair(PairedPrompts& pair) {
  const auto& given = pair.first.categories;
  if (std::count(given.begin(), given.end(), "") == 0) {
    pair.categories = index_categories(pair.first);
  } else {
    pair.categories = {
        {""}, std::vector<int>(pair.size(), 0), {static_cast<std::int64_t>(pair.size())}};
  }
  pair.units = make_units(pair.first.ids, pair.categories, pair.groups);
}

// The rows of the first side whose prompts both have, with the row of the second.
std::vector<PairedRow> shared_rows(const Signatures& first, const Signatures& second) {
  std::unordered_map<std::string, std::size_t> row_of;
  for (std::size_t row = 0; row < second.size(); ++row) row_of.emplace(second.ids[row], row);
  std::vector<PairedRow> rows;
  for (std::size_t row = 0; row < first.size(); ++row) {
    const auto found = row_of.find(first.ids[row]);
    if (found != row_of.end()) rows.push_back({row, found->second});
  }
  return rows;
}

// Keeps the units that come first in a random order of their names.
void keep_some(const Signatures& first, std::span<const std::string> groups,
               const PairedPromptsOptions& options, std::vector<PairedRow>& rows) {
  if (rows.size() <= options.max_prompts) return;
  std::map<std::pair<std::uint64_t, std::string>, std::vector<PairedRow>> units;
  for (PairedRow& row : rows) {
    const bool in_group = !groups.empty() && !groups[row.first].empty();
    const std::string name =
        (in_group ? "group " + groups[row.first] : "prompt " + first.ids[row.first]);
    units[{RandomStream(options.seed, name)(), name}].push_back(std::move(row));
  }
  rows.clear();
  for (auto& [key, members] : units) {
    if (rows.size() + members.size() > options.max_prompts && !rows.empty()) break;
    rows.insert(rows.end(), members.begin(), members.end());
  }
  std::sort(rows.begin(), rows.end(),
            [](const PairedRow& a, const PairedRow& b) { return a.first < b.first; });
}

// The tokens that both have, from the alignment; false if there are too few.
bool take_same_tokens(const RoutedTokens& first, const Alignment& alignment, double min_share,
                      std::vector<PairedRow>& rows) {
  if (!(alignment.share() >= min_share)) return false;
  std::map<std::size_t, const AlignedPrompt*> of_row;
  for (const AlignedPrompt& prompt : alignment.prompts) {
    const auto above =
        std::upper_bound(first.first.begin(), first.first.end(), prompt.tokens.front().first);
    of_row[static_cast<std::size_t>(above - first.first.begin()) - 1] = &prompt;
  }
  std::erase_if(rows, [&](const PairedRow& row) { return !of_row.contains(row.first); });
  for (PairedRow& row : rows) {
    for (const AlignedToken& token : of_row[row.first]->tokens) {
      row.first_tokens.push_back(token.first);
      row.second_tokens.push_back(token.second);
    }
  }
  return true;
}

std::vector<std::size_t> tokens_selected(const RoutedTokens& tokens, std::size_t row) {
  std::vector<std::size_t> selected;
  for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
    if (tokens.tokens[t].selected) selected.push_back(t);
  }
  return selected;
}

int overlap(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
  return static_cast<int>(std::count_if(a.begin(), a.end(), [&](std::uint16_t expert) {
    return std::find(b.begin(), b.end(), expert) != b.end();
  }));
}

// Mean overlap of tokens that are `lag` apart in a prompt, as a share of k.
double lagged_overlap(const RoutedTokens& tokens, int layer, std::size_t lag) {
  double sum = 0;
  double n = 0;
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    for (std::size_t t = tokens.first[row]; t + lag < tokens.first[row + 1]; ++t) {
      sum += overlap(tokens.at(t, layer), tokens.at(t + lag, layer));
      n += 1;
    }
  }
  return n > 0 ? sum / (n * tokens.shape.top_k) : undefined;
}

// Mean overlap of two tokens of a prompt, every prompt weighing as its tokens do.
double prompt_overlap(const RoutedTokens& tokens, int layer) {
  double sum = 0;
  double n = 0;
  std::vector<double> counts(static_cast<std::size_t>(tokens.shape.n_experts));
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    const auto size = static_cast<double>(tokens.of_prompt(row).size());
    if (size < 2) continue;
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      for (const std::uint16_t expert : tokens.at(t, layer)) counts[expert] += 1;
    }
    const double squares = std::inner_product(counts.begin(), counts.end(), counts.begin(), 0.0);
    sum += (squares - size * tokens.shape.top_k) / (size - 1);
    n += size;
  }
  return n > 0 ? sum / (n * tokens.shape.top_k) : undefined;
}

CommonPositions all_positions(const PairedPrompts& pair, std::int64_t n_tokens) {
  CommonPositions positions;
  positions.n_tokens = n_tokens;
  positions.is_whole = true;
  positions.rows.resize(pair.size());
  std::iota(positions.rows.begin(), positions.rows.end(), std::size_t{0});
  return positions;
}

// Of counts: whole prompts, if all have as many tokens.
void test_counts(const PairedPrompts& pair, TestedPair& tested) {
  for (const Signatures* side : {&pair.first, &pair.second}) {
    const auto [least, most] = std::minmax_element(side->n_tokens.begin(), side->n_tokens.end());
    if (*least == *most && *least > 0) continue;
    tested.reason =
        "prompts have different or unknown numbers of tokens, and counts do not tell "
        "which come first";
    return;
  }
  tested.prompts = pair;
  tested.first_positions = all_positions(pair, pair.first.n_tokens.front());
  tested.second_positions = all_positions(pair, pair.second.n_tokens.front());
}

// The first m comparable tokens of every prompt.
RoutedTokens tokens_at(const RoutedTokens& tokens, const CommonPositions& positions,
                       std::span<const std::size_t> rows) {
  RoutedTokens result = no_tokens(tokens.shape);
  for (const std::size_t row : rows) {
    std::vector<std::size_t> taken;
    for (std::size_t t = tokens.first[row];
         t < tokens.first[row + 1] && std::ssize(taken) < positions.n_tokens; ++t) {
      const RoutedToken& token = tokens.tokens[t];
      const bool is_prompt = positions.part == TokenType::prompt;
      if (token.type == positions.part && !(is_prompt && token.is_template)) taken.push_back(t);
    }
    append_prompt(tokens, taken, result);
  }
  return result;
}

}  // namespace

bool PairedPrompts::same_shape() const {
  return first.shape.n_layers == second.shape.n_layers &&
         first.shape.n_experts == second.shape.n_experts;
}

PairedPrompts paired_prompts(const Signatures& first, const RoutedTokens& first_tokens,
                             const Signatures& second, const RoutedTokens& second_tokens,
                             std::span<const std::string> groups,
                             const PairedPromptsOptions& options) {
  std::vector<PairedRow> rows = shared_rows(first, second);
  if (rows.empty()) throw Error(ErrorKind::data, "the traces have no prompt in common");
  PairedPrompts pair;
  pair.n_shared = rows.size();
  const bool has_tokens = first_tokens.n_prompts() > 0 && second_tokens.n_prompts() > 0;
  keep_some(first, groups, options, rows);
  if (has_tokens) {
    pair.same_tokens =
        take_same_tokens(first_tokens, align(first, first_tokens, second, second_tokens, groups),
                         options.min_share, rows);
    pair.first_tokens = no_tokens(first_tokens.shape);
    pair.second_tokens = no_tokens(second_tokens.shape);
    for (PairedRow& row : rows) {
      if (!pair.same_tokens) {
        row.first_tokens = tokens_selected(first_tokens, row.first);
        row.second_tokens = tokens_selected(second_tokens, row.second);
      }
      append_prompt(first_tokens, row.first_tokens, pair.first_tokens);
      append_prompt(second_tokens, row.second_tokens, pair.second_tokens);
    }
    // What a token is called in the first decides which part of the prompt it belongs to.
    if (pair.same_tokens) pair.second_tokens.tokens = pair.first_tokens.tokens;
  }
  std::vector<std::size_t> of_first;
  std::vector<std::size_t> of_second;
  for (const PairedRow& row : rows) {
    of_first.push_back(row.first);
    of_second.push_back(row.second);
    if (!groups.empty()) pair.groups.push_back(groups[row.first]);
  }
  pair.first = signature_rows(first, of_first);
  pair.second = signature_rows(second, of_second);
  if (has_tokens) {
    take_token_signatures(pair.first_tokens, pair.first);
    take_token_signatures(pair.second_tokens, pair.second);
  }
  index_pair(pair);
  return pair;
}

PairedPrompts rows_of(const PairedPrompts& pair, std::span<const std::size_t> rows) {
  PairedPrompts result;
  result.n_shared = pair.n_shared;
  result.same_tokens = pair.same_tokens;
  result.first = signature_rows(pair.first, rows);
  result.second = signature_rows(pair.second, rows);
  if (pair.has_tokens()) {
    result.first_tokens = no_tokens(pair.first_tokens.shape);
    result.second_tokens = no_tokens(pair.second_tokens.shape);
  }
  for (const std::size_t row : rows) {
    if (!pair.groups.empty()) result.groups.push_back(pair.groups[row]);
    if (!pair.has_tokens()) continue;
    append_prompt(pair.first_tokens, tokens_selected(pair.first_tokens, row), result.first_tokens);
    append_prompt(pair.second_tokens, tokens_selected(pair.second_tokens, row),
                  result.second_tokens);
  }
  index_pair(result);
  return result;
}

std::string TestedPair::text() const {
  std::string text = first_positions.text();
  if (second_positions.n_tokens != first_positions.n_tokens) {
    text += fmt::format(" of the first and {} of the second", second_positions.n_tokens);
  }
  if (prompts.size() < n_prompts) {
    text += fmt::format(" of {} of {}", prompts.size(),
                        counted(static_cast<std::int64_t>(n_prompts), "prompt"));
  }
  return text;
}

TestedPair tested_pair(const PairedPrompts& pair, TokenSelection selection,
                       const CommonPositionsOptions& options) {
  TestedPair tested;
  tested.n_prompts = pair.size();
  if (!pair.has_tokens()) {
    test_counts(pair, tested);
    return tested;
  }
  const TokenType part = compared_part(pair.first_tokens, selection);
  tested.first_positions = common_positions(pair.first_tokens, part, options);
  tested.second_positions = common_positions(pair.second_tokens, part, options);
  std::vector<std::size_t> rows;
  std::set_intersection(tested.first_positions.rows.begin(), tested.first_positions.rows.end(),
                        tested.second_positions.rows.begin(), tested.second_positions.rows.end(),
                        std::back_inserter(rows));
  const std::int64_t n_tokens =
      std::min(tested.first_positions.n_tokens, tested.second_positions.n_tokens);
  if (n_tokens < options.min_tokens || rows.empty()) {
    tested.reason = fmt::format("most prompts have {} {} {} in common, fewer than {}", n_tokens,
                                part == TokenType::prompt ? "prompt" : "generated",
                                noun_for(n_tokens, "token"), options.min_tokens);
    return tested;
  }
  tested.prompts = rows_of(pair, rows);
  PairedPrompts& prompts = tested.prompts;
  prompts.first_tokens = tokens_at(pair.first_tokens, tested.first_positions, rows);
  prompts.second_tokens = tokens_at(pair.second_tokens, tested.second_positions, rows);
  take_token_signatures(prompts.first_tokens, prompts.first);
  take_token_signatures(prompts.second_tokens, prompts.second);
  return tested;
}

std::string obstacle_to_categories(const TestedPair& tested,
                                   const CommonPositionsOptions& options) {
  if (!tested.is_testable()) return tested.reason;
  const PairedPrompts& prompts = tested.prompts;
  if (!prompts.has_categories()) return "some prompts have no category";
  if (prompts.categories.names.size() < 2) return "there is only one category";
  for (std::size_t c = 0; c < prompts.categories.names.size(); ++c) {
    std::size_t n = 0;
    for (const std::vector<std::size_t>& members : prompts.units.members) {
      n += std::any_of(members.begin(), members.end(),
                       [&](std::size_t row) {
                         return prompts.categories.of_prompt[row] == static_cast<int>(c);
                       })
               ? 1
               : 0;
    }
    if (n >= options.min_units) continue;
    return fmt::format(
        "category \"{}\" has {} with the {}, fewer than {}", prompts.categories.names[c],
        counted(static_cast<std::int64_t>(n), prompts.units.grouped ? "group" : "prompt"),
        tested.first_positions.text(), options.min_units);
  }
  return {};
}

TokenHalves token_halves(const RoutedTokens& tokens, int block) {
  std::vector<char> half(tokens.tokens.size());
  for (std::size_t row = 0; row < tokens.n_prompts(); ++row) {
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      half[t] = static_cast<char>((t - tokens.first[row]) / static_cast<std::size_t>(block) % 2);
    }
  }
  const auto blocks_of = [&](char which) {
    const auto values = signatures_of(tokens, [&](std::size_t t) { return half[t] == which; });
    if (values == nullptr) return Matrix();
    Signatures signatures;
    signatures.shape = tokens.shape;
    signatures.values = *values;
    return unit_blocks(signatures);
  };
  TokenHalves halves{blocks_of(0), blocks_of(1)};
  if (halves.first.size() == 0 || halves.second.size() == 0) return {};
  return halves;
}

int forgetting_lag(const RoutedTokens& tokens) {
  constexpr int most = 16;
  constexpr double forgotten = 0.05;
  for (int lag = 1; lag < most; ++lag) {
    double kappa = 0;
    for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
      const double chance = prompt_overlap(tokens, layer);
      kappa += (lagged_overlap(tokens, layer, static_cast<std::size_t>(lag)) - chance) /
               (1 - chance) / tokens.shape.n_layers;
    }
    if (kappa < forgotten) return lag;
  }
  return most;
}

int TestedPair::fitting_block(int block) const {
  const auto n_tokens = static_cast<int>(first_positions.n_tokens);
  return std::clamp(block, 1, std::max(n_tokens / 2, 1));
}

std::vector<std::size_t> rows_with_halves(const PairedPrompts& pair, int block) {
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < pair.size(); ++row) {
    if (std::ssize(pair.first_tokens.of_prompt(row)) > block) rows.push_back(row);
  }
  return rows;
}

RowPermutations::RowPermutations(const PairedPrompts& pair, bool within_categories) : pair_(pair) {
  std::map<std::vector<int>, std::vector<std::size_t>> sets;  // by the categories of their prompts
  for (std::size_t u = 0; u < pair.units.size(); ++u) {
    std::vector<int> key;
    for (const std::size_t row : pair.units.members[u]) {
      key.push_back(within_categories ? pair.categories.of_prompt[row] : 0);
    }
    sets[key].push_back(u);
  }
  for (auto& [key, units] : sets) exchangeable_.push_back(std::move(units));
}

std::vector<std::size_t> RowPermutations::draw(RandomStream& random) const {
  std::vector<std::size_t> rows(pair_.size());
  for (const std::vector<std::size_t>& units : exchangeable_) {
    std::vector<std::size_t> in_place = units;
    shuffle(in_place, random);
    for (std::size_t i = 0; i < units.size(); ++i) {
      const std::vector<std::size_t>& own = pair_.units.members[units[i]];
      const std::vector<std::size_t>& other = pair_.units.members[in_place[i]];
      for (std::size_t j = 0; j < own.size(); ++j) rows[own[j]] = other[j];
    }
  }
  return rows;
}

double RowPermutations::log_number() const {
  double result = 0;
  for (const std::vector<std::size_t>& units : exchangeable_) {
    result += std::lgamma(static_cast<double>(units.size()) + 1);
  }
  return result;
}

bool RowPermutations::allow_test() const { return log_number() >= std::log(20.0); }

}  // namespace moexray::stats
