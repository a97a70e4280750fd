#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/config.h"

namespace moexray {

/// `--memory` unless given: a fixed figure, so that the plan does not depend on the machine.
inline constexpr std::int64_t default_batch_memory_bytes = std::int64_t{4} << 30;

/// `--batch auto` never plans larger batches: the batch is what an interrupted run loses.
inline constexpr std::int64_t max_auto_batch = 128;

/// What one sequence of a batch occupies while it is in work.
struct SequenceCost {
  std::int64_t bytes_per_token = 0;  ///< keys and values of all layers, and the routing kept
  std::int64_t bytes = 0;            ///< whatever its length: its logits
};

/// The cost with this model: n_cache_values() in the type of the computation ("bfloat16": 2 bytes,
/// else 4), routing 6 bytes an event (and 4 a router logit), logits twice 4 bytes a vocabulary
/// entry.
SequenceCost sequence_cost(const ModelConfig& config, std::string_view dtype, bool router_logits);

/// How prompts are put into batches.
struct BatchPlan {
  std::int64_t batch = 0;           ///< the resolved batch size
  std::vector<std::int64_t> sizes;  ///< prompts per batch, consecutive in input order: `batch`
                                    ///< each, the last one what is left
};

/// Plans batches of consecutive prompts. `n_tokens` are the tokens each prompt needs room for
/// (n_forward_tokens(P, new)), in input order. `requested` is the batch size wished for, or 0: then
/// it is the largest one up to max_auto_batch with which every batch stays within `memory_bytes`.
/// The plan depends on nothing else.
/// @throws Error (usage) if with 0 a prompt alone needs more than `memory_bytes`.
BatchPlan plan_batches(std::span<const std::int64_t> n_tokens, std::int64_t requested,
                       std::int64_t memory_bytes, const SequenceCost& cost);

/// A size as `--memory` takes it: digits and an optional unit K, M, G or T, powers of 1,024; "KiB",
/// "MiB", … mean the same: "512M", "4GiB", "1048576".
/// @throws Error (usage) for anything else, zero, and sizes of 2⁶³ bytes and more.
std::int64_t parse_memory_size(std::string_view text);

}  // namespace moexray
