#include "moexray/stats/signatures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/system.h"

namespace moexray::stats {
namespace {

[[noreturn]] void fail(std::string where, std::string what, std::string expected = {},
                       std::string found = {}) {
  throw Error(ErrorKind::data,
              {std::move(what), std::move(where), std::move(expected), std::move(found)});
}

void check_shape(const RoutingShape& shape, std::size_t n_prompts) {
  if (shape.n_layers < 1 || shape.n_experts < 1 || shape.top_k < 0 ||
      shape.top_k > shape.n_experts) {
    fail({}, "impossible routing shape", "n_layers ≥ 1, 1 ≤ top_k ≤ n_experts",
         "n_layers " + std::to_string(shape.n_layers) + ", n_experts " +
             std::to_string(shape.n_experts) + ", top_k " + std::to_string(shape.top_k));
  }
  const double n_bytes =
      static_cast<double>(n_prompts) * shape.n_layers * (shape.n_experts + 1.0) * sizeof(double);
  const auto memory = static_cast<double>(available_memory_bytes());
  if (n_bytes > memory) {
    fail({}, "signatures do not fit into memory",
         "at most " + std::to_string(static_cast<std::int64_t>(memory / 1e6)) + " MB",
         std::to_string(n_prompts) + " prompts × " + std::to_string(shape.n_layers) + " layers × " +
             std::to_string(shape.n_experts) + " experts");
  }
}

std::string reason_left_out(const Selection& selection) {
  std::string reason = "no ";
  if (selection.tokens == TokenSelection::generation) reason += "generated ";
  if (selection.tokens == TokenSelection::prompt) reason += "prompt ";
  reason += "tokens";
  if (selection.exclude_template) reason += " outside the chat template";
  return reason;
}

}  // namespace

SignatureAccumulator::SignatureAccumulator(const RoutingShape& shape,
                                           std::vector<PromptLabel> prompts, Selection selection)
    : shape_(shape), prompts_(std::move(prompts)), selection_(std::move(selection)) {
  check_shape(shape_, prompts_.size());
  const auto n = static_cast<Eigen::Index>(prompts_.size());
  sums_ = Matrix::Zero(n, static_cast<Eigen::Index>(shape_.n_layers) * shape_.n_experts);
  layer_tokens_ = CountMatrix::Zero(n, shape_.n_layers);
}

std::string SignatureAccumulator::where(std::size_t prompt, int layer) const {
  return "prompt \"" + prompts_[prompt].id + "\", layer " + std::to_string(layer);
}

void SignatureAccumulator::check(std::size_t prompt, const RoutingRecord& record) const {
  if (prompt >= prompts_.size()) {
    fail({}, "prompt index out of range", "below " + std::to_string(prompts_.size()),
         std::to_string(prompt));
  }
  if (shape_.top_k < 1) fail({}, "impossible routing shape", "top_k ≥ 1", "0");
  if (record.layer < 0 || record.layer >= shape_.n_layers) {
    fail(where(prompt, record.layer), "layer out of range",
         "0 to " + std::to_string(shape_.n_layers - 1), std::to_string(record.layer));
  }
  for (const ExpertId expert : record.experts) {
    if (expert < 0 || expert >= shape_.n_experts) {
      fail(where(prompt, record.layer), "expert out of range",
           "0 to " + std::to_string(shape_.n_experts - 1), std::to_string(expert));
    }
  }
  if (!record.weights.empty() && record.weights.size() != record.experts.size()) {
    fail(where(prompt, record.layer), "number of weights",
         std::to_string(record.experts.size()) + ", as many as experts",
         std::to_string(record.weights.size()));
  }
  for (const float weight : record.weights) {
    if (!std::isfinite(weight) || weight < 0) {
      fail(where(prompt, record.layer) + ", position " + std::to_string(record.pos),
           "router weight", "a finite number, not negative", std::to_string(weight));
    }
  }
  if (selection_.weighted && record.weights.empty() && !record.experts.empty()) {
    fail(where(prompt, record.layer) + ", position " + std::to_string(record.pos),
         "no router weights recorded, which weighted signatures need");
  }
}

void SignatureAccumulator::add(std::size_t prompt, const RoutingRecord& record) {
  check(prompt, record);
  if (!selection_.counts(record)) return;
  const auto row = static_cast<Eigen::Index>(prompt);
  double* block = &sums_(row, static_cast<Eigen::Index>(record.layer) * shape_.n_experts);
  for (std::size_t i = 0; i < record.experts.size(); ++i) {
    block[record.experts[i]] += selection_.weighted ? static_cast<double>(record.weights[i]) : 1.0;
  }
  ++layer_tokens_(row, record.layer);
}

void SignatureAccumulator::add_counts(std::size_t prompt, std::span<const std::int64_t> counts) {
  if (prompt >= prompts_.size() || static_cast<Eigen::Index>(counts.size()) != sums_.cols()) {
    fail({}, "number of counts", std::to_string(sums_.cols()), std::to_string(counts.size()));
  }
  const auto row = static_cast<Eigen::Index>(prompt);
  const auto n_experts = static_cast<std::size_t>(shape_.n_experts);
  for (int layer = 0; layer < shape_.n_layers; ++layer) {
    const std::size_t first = static_cast<std::size_t>(layer) * n_experts;
    std::int64_t sum = 0;
    for (std::size_t e = first; e < first + n_experts; ++e) {
      if (counts[e] < 0) fail(where(prompt, layer), "a negative count");
      sums_(row, static_cast<Eigen::Index>(e)) += static_cast<double>(counts[e]);
      sum += counts[e];
    }
    if (sum == 0) fail(where(prompt, layer), "no selections at a layer");
    if (shape_.top_k == 0) continue;
    if (sum % shape_.top_k != 0) {
      fail(where(prompt, layer), "the counts of a layer are no whole number of tokens",
           "a multiple of " + std::to_string(shape_.top_k), std::to_string(sum));
    }
    layer_tokens_(row, layer) += sum / shape_.top_k;
  }
}

bool SignatureAccumulator::has_every_layer(std::size_t prompt) const {
  if (shape_.top_k == 0) return true;  // counts, looked at when they were added
  const auto tokens = layer_tokens_.row(static_cast<Eigen::Index>(prompt));
  const bool restricted = selection_.tokens != TokenSelection::all || selection_.exclude_template;
  if (restricted && tokens.maxCoeff() == 0) return false;
  for (int layer = 0; layer < shape_.n_layers; ++layer) {
    if (tokens(layer) == 0) {
      fail(where(prompt, layer), "no routing events", "at least one token at every layer", "none");
    }
  }
  return true;
}

Signatures SignatureAccumulator::finish() && {
  Signatures result;
  result.shape = shape_;
  result.layer_sums.resize(sums_.rows(), shape_.n_layers);
  Eigen::Index n = 0;
  for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    if (!has_every_layer(prompt)) {
      result.left_out.push_back({prompts_[prompt].id, reason_left_out(selection_)});
      continue;
    }
    const auto from = static_cast<Eigen::Index>(prompt);
    for (int layer = 0; layer < shape_.n_layers; ++layer) {
      auto block = sums_.row(from).segment(static_cast<Eigen::Index>(layer) * shape_.n_experts,
                                           shape_.n_experts);
      const double total = block.sum();
      if (!(total > 0)) fail(where(prompt, layer), "router weights sum to zero");
      block /= total;
      result.layer_sums(n, layer) = total;
    }
    // Rows of prompts left out are closed up in place, so that no second matrix is needed.
    if (n != from) {
      sums_.row(n) = sums_.row(from);
      layer_tokens_.row(n) = layer_tokens_.row(from);
    }
    result.prompt_indices.push_back(prompt);
    result.n_tokens.push_back(layer_tokens_.row(n).maxCoeff());
    result.ids.push_back(std::move(prompts_[prompt].id));
    result.categories.push_back(std::move(prompts_[prompt].category));
    ++n;
  }
  if (n == 0) {
    fail({}, prompts_.empty() ? "no prompts" : "no prompt has a token left to count",
         "at least one", reason_left_out(selection_));
  }
  if (n != sums_.rows()) {
    sums_.conservativeResize(n, Eigen::NoChange);
    layer_tokens_.conservativeResize(n, Eigen::NoChange);
    result.layer_sums.conservativeResize(n, Eigen::NoChange);
  }
  result.values = std::move(sums_);
  result.layer_tokens = std::move(layer_tokens_);
  return result;
}

CategoryIndex index_categories(const Signatures& signatures) {
  std::map<std::string, int> index;
  std::string missing;
  std::size_t n_missing = 0;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    if (!signatures.categories[i].empty()) {
      index.emplace(signatures.categories[i], 0);
    } else if (n_missing++ < 5) {
      missing += (missing.empty() ? "\"" : ", \"") + signatures.ids[i] + "\"";
    }
  }
  if (n_missing > 0) {
    fail({}, "prompts without a category", "one for every prompt",
         std::to_string(n_missing) + " without: " + missing + (n_missing > 5 ? ", …" : ""));
  }
  CategoryIndex result;
  for (auto& [name, position] : index) {
    position = static_cast<int>(result.names.size());
    result.names.push_back(name);
  }
  result.n_prompts.assign(result.names.size(), 0);
  for (const std::string& category : signatures.categories) {
    const int position = index.find(category)->second;
    result.of_prompt.push_back(position);
    ++result.n_prompts[static_cast<std::size_t>(position)];
  }
  return result;
}

}  // namespace moexray::stats
