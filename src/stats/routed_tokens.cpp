#include "moexray/stats/routed_tokens.h"

#include <algorithm>
#include <string>
#include <tuple>
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

TokenAccumulator::TokenAccumulator(const RoutingShape& shape, std::size_t n_prompts,
                                   Selection selection)
    : shape_(shape), selection_(std::move(selection)), prompts_(n_prompts) {
  if (shape.n_layers < 1 || shape.top_k < 1 || shape.top_k > shape.n_experts ||
      shape.n_experts > max_experts) {
    refuse("impossible routing shape", {},
           "n_layers ≥ 1, 1 ≤ top_k ≤ n_experts ≤ " + std::to_string(max_experts),
           "n_layers " + std::to_string(shape.n_layers) + ", n_experts " +
               std::to_string(shape.n_experts) + ", top_k " + std::to_string(shape.top_k));
  }
}

void TokenAccumulator::add(std::size_t prompt, const RoutingRecord& record) {
  if (prompt >= prompts_.size() || record.layer < 0 || record.layer >= shape_.n_layers ||
      record.pos < 0 || record.experts.size() != static_cast<std::size_t>(shape_.top_k)) {
    refuse(
        "routing record out of range", "prompt index " + std::to_string(prompt),
        std::to_string(shape_.n_layers) + " layers, " + std::to_string(shape_.top_k) + " experts",
        "layer " + std::to_string(record.layer) + ", position " + std::to_string(record.pos) +
            ", " + std::to_string(record.experts.size()) + " experts");
  }
  Prompt& target = prompts_[prompt];
  target.entries.push_back(
      {{record.pos, record.token_id, record.type, record.is_template, selection_.counts(record)},
       record.layer,
       target.experts.size()});
  for (const ExpertId expert : record.experts) {
    if (expert < 0 || expert >= shape_.n_experts) {
      refuse("expert out of range", "prompt index " + std::to_string(prompt),
             "0 to " + std::to_string(shape_.n_experts - 1), std::to_string(expert));
    }
    target.experts.push_back(static_cast<std::uint16_t>(expert));
  }
}

void TokenAccumulator::append(Prompt prompt, const std::string& id, RoutedTokens& result) const {
  const auto order = [](const Entry& a, const Entry& b) {
    return std::tie(a.token.pos, a.layer) < std::tie(b.token.pos, b.layer);
  };
  if (!std::is_sorted(prompt.entries.begin(), prompt.entries.end(), order)) {
    std::sort(prompt.entries.begin(), prompt.entries.end(), order);
  }
  const auto n_layers = static_cast<std::size_t>(shape_.n_layers);
  for (std::size_t i = 0; i < prompt.entries.size(); ++i) {
    const Entry& entry = prompt.entries[i];
    const std::size_t token_start = i - i % n_layers;
    if (entry.layer != static_cast<int>(i % n_layers) ||
        entry.token.pos != prompt.entries[token_start].token.pos) {
      refuse(
          "token without one record at every layer", place_of(id, entry.token.pos),
          "layers 0 to " + std::to_string(n_layers - 1) + " once each",
          "layer " + std::to_string(entry.layer) + " in place of " + std::to_string(i % n_layers));
    }
    if (entry.layer == 0) result.tokens.push_back(entry.token);
    const auto experts = prompt.experts.begin() + static_cast<std::ptrdiff_t>(entry.place);
    result.experts.insert(result.experts.end(), experts, experts + shape_.top_k);
  }
  if (prompt.entries.size() % n_layers != 0) {
    refuse("token without one record at every layer", place_of(id, prompt.entries.back().token.pos),
           std::to_string(n_layers) + " layers", std::to_string(prompt.entries.size() % n_layers));
  }
  result.first.push_back(result.tokens.size());
}

RoutedTokens TokenAccumulator::finish(const Signatures& signatures) && {
  RoutedTokens result{shape_, {0}, {}, {}};
  std::size_t n_experts = 0;
  for (const std::size_t index : signatures.prompt_indices) {
    n_experts += prompts_.at(index).experts.size();
  }
  result.experts.reserve(n_experts);
  result.tokens.reserve(n_experts / static_cast<std::size_t>(shape_.n_layers * shape_.top_k));
  for (std::size_t row = 0; row < signatures.size(); ++row) {
    // Moved out, so that a prompt's records are freed once they have been copied.
    append(std::exchange(prompts_[signatures.prompt_indices[row]], {}), signatures.ids[row],
           result);
  }
  return result;
}

}  // namespace moexray::stats
