#pragma once

#include <span>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/core/routing.h"

namespace moexray {

/// The id of the largest logit; of equal ones the lowest id.
/// @throws Error (data) if no logit is above −∞ (every token has been forbidden).
TokenId most_probable_token(std::span<const float> logits);

struct SamplingOptions {
  double temperature = 1.0;  ///< above 0; logits are divided by it
  double top_p = 1.0;        ///< in [0, 1]; 1 keeps every token
};

/// Draws a token as Hugging Face's `TemperatureLogitsWarper` and `TopPLogitsWarper` define the
/// distribution, in double precision: p = softmax(logits / temperature); of the tokens in order of
/// falling p (equal ones: lower id first) those are kept before which less than top_p has been
/// gathered, the first always; then p is scaled to sum 1 again. Takes one value of the stream.
/// There is no top-k limit, which `transformers` sets to 50 unless told otherwise.
/// @throws Error (usage) for options out of range, Error (data) if no logit is above −∞.
TokenId sample_token(std::span<const float> logits, const SamplingOptions& options,
                     RandomStream& stream);

/// The distribution that sample_token draws from, [vocabulary], sum 1.
std::vector<double> sampling_probabilities(std::span<const float> logits,
                                           const SamplingOptions& options);

/// ln of the probability that the softmax of all the logits gives a token; 0 at most. Summed in
/// double, in the order of the ids.
/// @throws Error (data) for an id that has no logit.
float log_probability(std::span<const float> logits, TokenId token);

}  // namespace moexray
