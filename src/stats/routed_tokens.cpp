#include "moexray/stats/routed_tokens.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

[[noreturn]] void refuse(std::string what, std::string where, std::string expected,
                         std::string found) {
  throw Error(ErrorKind::data,
              {std::move(what), std::move(where), std::move(expected), std::move(found)});
}

std::string place_of(const std::string& id, std::int64_t pos) {
  return "prompt \"" + id + "\", position " + std::to_string(pos);
}

}  // namespace

bool RoutedTokens::has_ids() const {
  return std::all_of(tokens.begin(), tokens.end(),
                     [](const RoutedToken& token) { return !token.selected || token.id >= 0; });
}

RoutedTokens first_experts(const RoutedTokens& tokens, int k) {
  const auto n = static_cast<std::size_t>(k);
  const auto of_each = static_cast<std::size_t>(tokens.shape.top_k);
  RoutedTokens result{tokens.shape, tokens.first, tokens.tokens, {}};
  result.shape.top_k = k;
  const auto narrowed = [&](const std::vector<std::uint16_t>& from) {
    std::vector<std::uint16_t> to;
    to.reserve(from.size() / of_each * n);
    for (std::size_t i = 0; i < from.size(); i += of_each) {
      const auto begin = from.begin() + static_cast<std::ptrdiff_t>(i);
      to.insert(to.end(), begin, begin + k);
    }
    return to;
  };
  result.experts = narrowed(tokens.experts);
  result.weight_shares = narrowed(tokens.weight_shares);
  return result;
}

TokenAccumulator::TokenAccumulator(const RoutingShape& shape, std::size_t n_prompts,
                                   Selection selection, KeptOfTokens kept)
    : shape_(shape), selection_(std::move(selection)), kept_(kept), prompts_(n_prompts) {
  if (shape.n_layers < 1 || shape.top_k < 1 || shape.top_k > shape.n_experts ||
      shape.n_experts > max_experts) {
    refuse("impossible routing shape", {},
           "n_layers ≥ 1, 1 ≤ top_k ≤ n_experts ≤ " + std::to_string(max_experts),
           "n_layers " + std::to_string(shape.n_layers) + ", n_experts " +
               std::to_string(shape.n_experts) + ", top_k " + std::to_string(shape.top_k));
  }
}

void TokenAccumulator::check(std::size_t prompt, const RoutingRecord& record,
                             std::span<const float> logits) const {
  const auto k = static_cast<std::size_t>(shape_.top_k);
  if (prompt >= prompts_.size() || record.layer < 0 || record.layer >= shape_.n_layers ||
      record.pos < 0 || record.pos > std::numeric_limits<std::int32_t>::max() ||
      record.experts.size() != k) {
    refuse(
        "routing record out of range", "prompt index " + std::to_string(prompt),
        std::to_string(shape_.n_layers) + " layers, " + std::to_string(shape_.top_k) + " experts",
        "layer " + std::to_string(record.layer) + ", position " + std::to_string(record.pos) +
            ", " + std::to_string(record.experts.size()) + " experts");
  }
  for (const ExpertId expert : record.experts) {
    if (expert >= 0 && expert < shape_.n_experts) continue;
    refuse("expert out of range", "prompt index " + std::to_string(prompt),
           "0 to " + std::to_string(shape_.n_experts - 1), std::to_string(expert));
  }
  const auto refuse_number = [&](const char* what, std::size_t expected, std::size_t found) {
    refuse(std::string("wrong number of ") + what, "prompt index " + std::to_string(prompt),
           std::to_string(expected), std::to_string(found));
  };
  if (kept_.weights && !record.weights.empty() && record.weights.size() != k) {
    refuse_number("weights", k, record.weights.size());
  }
  const auto n_experts = static_cast<std::size_t>(shape_.n_experts);
  if (kept_.logits && !logits.empty() && logits.size() != n_experts) {
    refuse_number("router logits", n_experts, logits.size());
  }
}

void TokenAccumulator::add(std::size_t prompt, const RoutingRecord& record,
                           std::span<const float> logits) {
  check(prompt, record, logits);
  Prompt& target = prompts_[prompt];
  target.entries.push_back({static_cast<std::int32_t>(record.pos), record.layer});
  if (record.layer == 0) {
    target.tokens.push_back(
        {record.pos, record.token_id, record.type, record.is_template, selection_.counts(record)});
  }
  target.experts.insert(target.experts.end(), record.experts.begin(), record.experts.end());
  if (kept_.weights && !record.weights.empty()) {
    const double sum = std::accumulate(record.weights.begin(), record.weights.end(), 0.0);
    for (const float weight : record.weights) {
      const double share = sum > 0 ? weight / sum : 1.0 / shape_.top_k;
      target.weight_shares.push_back(static_cast<std::uint16_t>(std::lround(65'535 * share)));
    }
  }
  if (kept_.logits && !logits.empty()) add_logits(record, logits, target);
}

void TokenAccumulator::add_logits(const RoutingRecord& record, std::span<const float> logits,
                                  Prompt& target) const {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  double least_chosen = top;
  std::vector<std::uint16_t> others;
  others.reserve(logits.size());
  for (std::size_t e = 0; e < logits.size(); ++e) {
    if (std::find(record.experts.begin(), record.experts.end(), static_cast<ExpertId>(e)) !=
        record.experts.end()) {
      least_chosen = std::min<double>(least_chosen, logits[e]);
    } else {
      others.push_back(static_cast<std::uint16_t>(e));
    }
  }
  const auto n_next = std::min(others.size(), static_cast<std::size_t>(shape_.top_k));
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>(n_next);
  std::partial_sort(others.begin(), middle, others.end(), [&](std::uint16_t a, std::uint16_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  target.next_experts.insert(target.next_experts.end(), others.begin(), middle);
  // Of k = E nothing can come next.
  const double next = others.empty() ? 0 : std::exp(logits[others.front()] - top);
  target.margins.push_back(static_cast<float>((std::exp(least_chosen - top) - next) / sum));
}

void TokenAccumulator::append(Prompt prompt, const std::string& id, RoutedTokens& result) const {
  std::vector<std::size_t> order(prompt.entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (!std::is_sorted(prompt.entries.begin(), prompt.entries.end())) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return prompt.entries[a] < prompt.entries[b];
    });
    std::stable_sort(prompt.tokens.begin(), prompt.tokens.end(),
                     [](const RoutedToken& a, const RoutedToken& b) { return a.pos < b.pos; });
  }
  const auto n_layers = static_cast<std::size_t>(shape_.n_layers);
  const auto take = [](const auto& from, std::size_t place, std::size_t n, auto& to) {
    if (from.empty()) return;
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(place * n);
    to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
  };
  const auto k = static_cast<std::size_t>(shape_.top_k);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Entry& entry = prompt.entries[order[i]];
    const Entry& start = prompt.entries[order[i - i % n_layers]];
    if (entry.layer != static_cast<int>(i % n_layers) || entry.pos != start.pos) {
      refuse(
          "token without one record at every layer", place_of(id, entry.pos),
          "layers 0 to " + std::to_string(n_layers - 1) + " once each",
          "layer " + std::to_string(entry.layer) + " in place of " + std::to_string(i % n_layers));
    }
    take(prompt.experts, order[i], k, result.experts);
    take(prompt.weight_shares, order[i], k, result.weight_shares);
    take(prompt.next_experts, order[i], result.n_next(), result.next_experts);
    take(prompt.margins, order[i], 1, result.margins);
  }
  if (order.size() % n_layers != 0) {
    refuse("token without one record at every layer",
           place_of(id, prompt.entries[order.back()].pos), std::to_string(n_layers) + " layers",
           std::to_string(order.size() % n_layers));
  }
  result.tokens.insert(result.tokens.end(), prompt.tokens.begin(), prompt.tokens.end());
  result.first.push_back(result.tokens.size());
}

RoutedTokens TokenAccumulator::finish(const Signatures& signatures) && {
  RoutedTokens result{shape_, {0}, {}, {}};
  std::size_t n_experts = 0;
  for (const std::size_t index : signatures.prompt_indices) {
    Prompt& prompt = prompts_.at(index);
    n_experts += prompt.experts.size();
    // What some records lack is kept of none.
    kept_.weights = kept_.weights && prompt.weight_shares.size() == prompt.experts.size();
    kept_.logits = kept_.logits && prompt.margins.size() == prompt.entries.size();
  }
  result.experts.reserve(n_experts);
  if (kept_.weights) result.weight_shares.reserve(n_experts);
  result.tokens.reserve(n_experts / static_cast<std::size_t>(shape_.n_layers * shape_.top_k));
  for (std::size_t row = 0; row < signatures.size(); ++row) {
    // Moved out, so that a prompt's records are freed once they have been copied.
    Prompt prompt = std::exchange(prompts_[signatures.prompt_indices[row]], {});
    if (!kept_.weights) prompt.weight_shares.clear();
    if (!kept_.logits) {
      prompt.next_experts.clear();
      prompt.margins.clear();
    }
    append(std::move(prompt), signatures.ids[row], result);
  }
  return result;
}

}  // namespace moexray::stats
