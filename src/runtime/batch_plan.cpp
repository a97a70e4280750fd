#include "moexray/runtime/batch_plan.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "moexray/core/error.h"

namespace moexray {
namespace {

// Saturates: a sum that large is above every limit.
std::int64_t cost_of(std::int64_t n_tokens, const SequenceCost& cost) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(n_tokens, cost.bytes_per_token, &bytes) ||
      __builtin_add_overflow(bytes, cost.bytes, &bytes)) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return bytes;
}

// True if no batch of `size` consecutive prompts costs more than `memory_bytes`.
bool fits(std::span<const std::int64_t> costs, std::int64_t size, std::int64_t memory_bytes) {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    if (i % static_cast<std::size_t>(size) == 0) bytes = 0;
    if (__builtin_add_overflow(bytes, costs[i], &bytes) || bytes > memory_bytes) return false;
  }
  return true;
}

std::int64_t largest_fitting(std::span<const std::int64_t> costs, std::int64_t memory_bytes) {
  const std::int64_t limit =
      std::min<std::int64_t>(max_auto_batch, static_cast<std::int64_t>(costs.size()));
  for (std::int64_t size = limit; size > 1; --size) {
    if (fits(costs, size, memory_bytes)) return size;
  }
  const auto largest = std::max_element(costs.begin(), costs.end());
  if (largest != costs.end() && *largest > memory_bytes) {
    throw Error(ErrorKind::usage,
                {"the longest prompt does not fit", "--memory",
                 "at least " + std::to_string((*largest >> 20) + 1) + "M for prompt " +
                     std::to_string(largest - costs.begin() + 1),
                 std::to_string(memory_bytes >> 20) + "M"});
  }
  return 1;
}

}  // namespace

SequenceCost sequence_cost(const ModelConfig& config, std::string_view dtype, bool router_logits) {
  const std::int64_t n_value_bytes = dtype == "bfloat16" ? 2 : 4;
  const RoutingShape shape = config.routing_shape();
  const std::int64_t n_routing_bytes =
      6 * shape.top_k + (router_logits ? 4 * std::int64_t{shape.n_experts} : 0);
  return {n_cache_values(config.spec) * n_value_bytes + shape.n_layers * n_routing_bytes,
          std::int64_t{8} * config.spec.vocab_size};
}

BatchPlan plan_batches(std::span<const std::int64_t> n_tokens, std::int64_t requested,
                       std::int64_t memory_bytes, const SequenceCost& cost) {
  if (requested < 0 || memory_bytes < 1) {
    throw Error(ErrorKind::usage, "batch size and memory must be positive");
  }
  std::vector<std::int64_t> costs;
  costs.reserve(n_tokens.size());
  for (const std::int64_t n : n_tokens) costs.push_back(cost_of(n, cost));
  BatchPlan plan;
  plan.batch = requested > 0 ? requested : largest_fitting(costs, memory_bytes);
  for (auto left = static_cast<std::int64_t>(n_tokens.size()); left > 0; left -= plan.batch) {
    plan.sizes.push_back(std::min(left, plan.batch));
  }
  return plan;
}

std::int64_t parse_memory_size(std::string_view text) {
  const auto refuse = [&] {
    throw Error(ErrorKind::usage, {"wrong size",
                                   {},
                                   "a size like 512M or 4GiB",
                                   '"' + std::string(text.substr(0, 40)) + '"'});
  };
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || value <= 0) refuse();
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.size() > 1 && unit.ends_with("iB")) unit.remove_suffix(2);
  constexpr std::string_view units = "KMGT";
  if (unit.empty() && text.ends_with("iB")) refuse();
  if (unit.empty()) return value;
  const std::size_t power = units.find(unit.front());
  if (unit.size() != 1 || power == std::string_view::npos) refuse();
  const std::int64_t factor = std::int64_t{1} << (10 * (power + 1));
  if (__builtin_mul_overflow(value, factor, &value)) refuse();
  return value;
}

}  // namespace moexray
