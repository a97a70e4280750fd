#include "paired_usage.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/stats/units.h"

namespace moexray::stats {

CategoryIndex categories_of(const PairedUsage& usage) {
  Signatures rows;
  rows.ids = usage.ids;
  rows.categories = usage.categories;
  return index_categories(rows);
}

bool all_have_categories(const PairedUsage& usage) {
  return std::none_of(usage.categories.begin(), usage.categories.end(),
                      [](const std::string& category) { return category.empty(); });
}

namespace {

void check_same_shape(const RoutingShape& first, const RoutingShape& second) {
  if (first == second) return;
  const auto text = [](const RoutingShape& shape) {
    return std::to_string(shape.n_layers) + " layers of " + std::to_string(shape.n_experts) +
           " experts, top-" + std::to_string(shape.top_k);
  };
  throw Error(ErrorKind::data,
              {"usage needs routings of one shape", {}, text(first), text(second)});
}

// The tokens that are aligned, without their experts.
RoutedTokens marks_of(const RoutedTokens& tokens, const Alignment& alignment) {
  RoutedTokens marks{tokens.shape, {0}, {}, {}};
  for (const AlignedPrompt& prompt : alignment.prompts) {
    for (const AlignedToken& token : prompt.tokens) {
      marks.tokens.push_back(tokens.tokens[token.first]);
    }
    marks.first.push_back(marks.tokens.size());
  }
  return marks;
}

void add_counts(const RoutedTokens& tokens, std::size_t token, float weight,
                PairedUsage::Counts& counts, Eigen::Index row) {
  for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
    const Eigen::Index first = static_cast<Eigen::Index>(layer) * tokens.shape.n_experts;
    for (const std::uint16_t expert : tokens.at(token, layer))
      counts(row, first + expert) += weight;
  }
}

// The changes on the positions that prompts have in common.
void add_common(const RoutedTokens& first, const RoutedTokens& second, const Alignment& alignment,
                TokenSelection tokens, CommonPositionsOptions options, PairedUsage& usage) {
  if (!all_have_categories(usage)) {
    usage.check = {Comparability::no_categories, "some prompt has no category", 0};
    return;
  }
  options.keeps_small = true;
  const RoutedTokens marks = marks_of(first, alignment);
  const CategoryIndex categories = categories_of(usage);
  usage.positions = common_positions(marks, compared_part(marks, tokens), options);
  usage.check = check_comparability(marks, usage.positions, categories,
                                    make_units(usage.ids, categories, usage.groups), options);
  if (!usage.check.comparable()) return;
  const auto n = static_cast<Eigen::Index>(usage.positions.rows.size());
  PairedUsage::Counts changes = PairedUsage::Counts::Zero(n, usage.first.cols());
  for (Eigen::Index i = 0; i < n; ++i) {
    const AlignedPrompt& prompt =
        alignment.prompts[usage.positions.rows[static_cast<std::size_t>(i)]];
    std::int64_t n_taken = 0;
    for (const AlignedToken& token : prompt.tokens) {
      if (n_taken == usage.positions.n_tokens) break;
      if (!is_comparable(first.tokens[token.first], usage.positions.part)) continue;
      add_counts(first, token.first, -1, changes, i);
      add_counts(second, token.second, 1, changes, i);
      ++n_taken;
    }
  }
  usage.common = changes.cast<double>() / static_cast<double>(usage.positions.n_tokens);
}

}  // namespace

PairedUsage paired_usage(const Signatures& first_rows, const RoutedTokens& first,
                         const RoutedTokens& second, const Alignment& alignment,
                         std::span<const std::string> groups, TokenSelection tokens,
                         CommonPositionsOptions positions) {
  check_same_shape(first.shape, second.shape);
  PairedUsage usage;
  usage.shape = first.shape;
  const auto n = static_cast<Eigen::Index>(alignment.prompts.size());
  const auto n_columns = static_cast<Eigen::Index>(first.shape.n_layers) * first.shape.n_experts;
  usage.first = PairedUsage::Counts::Zero(n, n_columns);
  usage.second = usage.first;
  for (Eigen::Index i = 0; i < n; ++i) {
    const AlignedPrompt& prompt = alignment.prompts[static_cast<std::size_t>(i)];
    for (const AlignedToken& token : prompt.tokens) {
      add_counts(first, token.first, 1, usage.first, i);
      add_counts(second, token.second, 1, usage.second, i);
    }
    usage.n_tokens.push_back(std::ssize(prompt.tokens));
    usage.ids.push_back(first_rows.ids[prompt.first_row]);
    usage.categories.push_back(first_rows.categories[prompt.first_row]);
    if (!groups.empty()) usage.groups.push_back(groups[prompt.first_row]);
  }
  add_common(first, second, alignment, tokens, positions, usage);
  return usage;
}

PairedUsage paired_usage(const Signatures& first, const Signatures& second,
                         std::span<const std::string> groups) {
  check_same_shape(first.shape, second.shape);
  if (first.shape.top_k < 1) {
    throw Error(ErrorKind::data, "usage needs the number of experts a token, which is not known");
  }
  std::unordered_map<std::string, std::size_t> row_of;
  for (std::size_t row = 0; row < second.size(); ++row) row_of.emplace(second.ids[row], row);
  std::vector<std::pair<std::size_t, std::size_t>> rows;
  PairedUsage usage;
  for (std::size_t row = 0; row < first.size(); ++row) {
    const auto found = row_of.find(first.ids[row]);
    if (found == row_of.end()) continue;
    if (first.n_tokens[row] != second.n_tokens[found->second]) {
      ++usage.n_unequal;
      continue;
    }
    rows.emplace_back(row, found->second);
  }
  if (rows.empty()) {
    throw Error(ErrorKind::data, "usage needs a prompt that has as many tokens in both");
  }
  usage.shape = first.shape;
  const auto n = static_cast<Eigen::Index>(rows.size());
  usage.first.resize(n, first.values.cols());
  usage.second.resize(n, first.values.cols());
  const auto counts_of = [](const Signatures& signatures, std::size_t row) {
    const auto i = static_cast<Eigen::Index>(row);
    Eigen::RowVectorXd counts = signatures.values.row(i);
    for (int layer = 0; layer < signatures.shape.n_layers; ++layer) {
      counts.segment(static_cast<Eigen::Index>(layer) * signatures.shape.n_experts,
                     signatures.shape.n_experts) *= signatures.layer_sums(i, layer);
    }
    return Eigen::RowVectorXd(counts.array().round());
  };
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto [a, b] = rows[static_cast<std::size_t>(i)];
    usage.first.row(i) = counts_of(first, a).cast<float>();
    usage.second.row(i) = counts_of(second, b).cast<float>();
    usage.n_tokens.push_back(first.n_tokens[a]);
    usage.ids.push_back(first.ids[a]);
    usage.categories.push_back(first.categories[a]);
    if (!groups.empty()) usage.groups.push_back(groups[a]);
  }
  usage.check = {Comparability::no_tokens, "the routing of single tokens is not known", 0};
  return usage;
}

}  // namespace moexray::stats
