#include "moexray/runtime/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "moexray/core/error.h"

namespace moexray {
namespace {

struct Candidate {
  double probability = 0;
  TokenId id = 0;
};

// The order of a heap whose top is the most probable candidate, the lowest id among equals.
bool comes_later(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability < b.probability : a.id > b.id;
}

void check_options(const SamplingOptions& options) {
  const auto refuse = [](const char* key, const char* expected, double found) {
    throw Error(ErrorKind::usage, {"cannot sample", key, expected, std::to_string(found)});
  };
  if (!(options.temperature > 0) || !std::isfinite(options.temperature)) {
    refuse("temperature", "a number above 0", options.temperature);
  }
  if (!(options.top_p >= 0 && options.top_p <= 1)) {
    refuse("top_p", "a number from 0 to 1", options.top_p);
  }
}

// exp((logit − largest) / temperature): proportional to the probabilities, the largest is 1.
std::vector<Candidate> candidates_of(std::span<const float> logits, double temperature) {
  const double largest = logits[static_cast<std::size_t>(most_probable_token(logits))];
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double p = std::exp((static_cast<double>(logits[id]) - largest) / temperature);
    if (p > 0) candidates.push_back({p, static_cast<TokenId>(id)});
  }
  return candidates;
}

double sum_of(std::span<const Candidate> candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.probability;
  return total;
}

// Moves the candidates that top_p keeps to the end, the most probable one last, and drops the rest.
// A heap finds them without sorting the whole vocabulary.
void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  const double total = sum_of(candidates);
  std::make_heap(candidates.begin(), candidates.end(), comes_later);
  auto kept_begin = candidates.end();
  double gathered = 0;
  do {
    gathered += candidates.front().probability / total;
    std::pop_heap(candidates.begin(), kept_begin, comes_later);
    --kept_begin;
  } while (kept_begin != candidates.begin() && gathered < top_p);
  candidates.erase(candidates.begin(), kept_begin);
}

// What is drawn from, in an order that depends on the logits and options alone.
std::vector<Candidate> kept_candidates(std::span<const float> logits,
                                       const SamplingOptions& options) {
  check_options(options);
  std::vector<Candidate> candidates = candidates_of(logits, options.temperature);
  if (options.top_p < 1) keep_top_p(candidates, options.top_p);
  return candidates;
}

}  // namespace

TokenId most_probable_token(std::span<const float> logits) {
  float best = -std::numeric_limits<float>::infinity();
  TokenId best_id = -1;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] > best) {
      best = logits[id];
      best_id = static_cast<TokenId>(id);
    }
  }
  if (best_id < 0) throw Error(ErrorKind::data, "no token can follow: every logit is -inf");
  return best_id;
}

TokenId sample_token(std::span<const float> logits, const SamplingOptions& options,
                     RandomStream& stream) {
  const std::vector<Candidate> candidates = kept_candidates(logits, options);
  double left = stream.uniform() * sum_of(candidates);
  for (const Candidate& candidate : candidates) {
    left -= candidate.probability;
    if (left < 0) return candidate.id;
  }
  // Rounding can leave a rest; it belongs to the last candidate.
  return candidates.back().id;
}

std::vector<double> sampling_probabilities(std::span<const float> logits,
                                           const SamplingOptions& options) {
  const std::vector<Candidate> candidates = kept_candidates(logits, options);
  const double total = sum_of(candidates);
  std::vector<double> probabilities(logits.size(), 0.0);
  for (const Candidate& candidate : candidates) {
    probabilities[static_cast<std::size_t>(candidate.id)] = candidate.probability / total;
  }
  return probabilities;
}

float log_probability(std::span<const float> logits, TokenId token) {
  if (token < 0 || static_cast<std::size_t>(token) >= logits.size()) {
    throw Error(ErrorKind::data, {"no logit of a token that is to be scored",
                                  {},
                                  "an id below " + std::to_string(logits.size()),
                                  std::to_string(token)});
  }
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  const double value = logits[static_cast<std::size_t>(token)] - largest - std::log(sum);
  return static_cast<float>(std::min(value, 0.0));
}

}  // namespace moexray
