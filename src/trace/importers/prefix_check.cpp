#include "prefix_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "moexray/core/escape.h"

namespace moexray::imports {
namespace {

constexpr std::size_t max_kept_prompts = 64;
constexpr std::size_t max_kept_tokens = 128;
constexpr std::size_t min_shared_tokens = 8;
// A guess: how much rounding moves differs between engines and batch sizes.
constexpr double max_share = 0.05;

}  // namespace

std::string PrefixCheck::look_at(const std::string& id, std::span<const TokenId> token_ids,
                                 const RoutingBuffer& routing) {
  const RoutingShape& shape = routing.shape();
  const auto k = static_cast<std::size_t>(shape.top_k);
  const std::size_t row_size = static_cast<std::size_t>(shape.n_layers) * k;
  Start own{id, {}, {}};
  const std::size_t n = std::min(
      {max_kept_tokens, token_ids.size(), static_cast<std::size_t>(routing.n_positions())});
  own.token_ids.assign(token_ids.begin(), token_ids.begin() + static_cast<std::ptrdiff_t>(n));
  for (std::size_t t = 0; t < n; ++t) {
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      const auto row = routing.experts(layer, static_cast<std::int64_t>(t));
      own.experts.insert(own.experts.end(), row.begin(), row.end());
      std::sort(own.experts.end() - static_cast<std::ptrdiff_t>(k), own.experts.end());
    }
  }
  const Start* best = nullptr;
  std::size_t n_shared = 0;
  for (const Start& other : starts_) {
    const auto [a, b] = std::mismatch(own.token_ids.begin(), own.token_ids.end(),
                                      other.token_ids.begin(), other.token_ids.end());
    const auto n_common = static_cast<std::size_t>(a - own.token_ids.begin());
    if (n_common <= n_shared) continue;
    n_shared = n_common;
    best = &other;
  }
  std::string text;
  if (best != nullptr && n_shared >= min_shared_tokens) {
    std::size_t n_different = 0;
    for (std::size_t i = 0; i < n_shared * row_size; i += k) {
      const auto first = own.experts.begin() + static_cast<std::ptrdiff_t>(i);
      const auto second = best->experts.begin() + static_cast<std::ptrdiff_t>(i);
      n_different += std::equal(first, first + static_cast<std::ptrdiff_t>(k), second) ? 0 : 1;
    }
    const double share = static_cast<double>(n_different) * static_cast<double>(k) /
                         (static_cast<double>(n_shared) * static_cast<double>(row_size));
    if (share > max_share) {
      text = fmt::format(
          "prompt \"{}\" begins with the {} tokens of \"{}\", and {:.0f}% of their rows differ: "
          "rows "
          "of another request, or shifted ones?",
          printable(id, 120), n_shared, printable(best->id, 120), 100 * share);
    }
  }
  if (starts_.size() < max_kept_prompts) starts_.push_back(std::move(own));
  return text;
}

}  // namespace moexray::imports
