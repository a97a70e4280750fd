#include "event_check.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "fail.h"
#include "prompt_line.h"

namespace moexray::trace {

bool SeenSet::insert(std::uint64_t key) {
  if (key < n_in_order_) return false;
  if (key == n_in_order_ && blocks_.empty()) {
    ++n_in_order_;
    return true;
  }
  std::uint64_t& word = blocks_[key / block_keys][key % block_keys / 64];
  const std::uint64_t bit = std::uint64_t{1} << key % 64;
  if ((word & bit) != 0) return false;
  word |= bit;
  ++n_sparse_;
  return true;
}

bool SeenSet::contains(std::uint64_t key) const {
  if (key < n_in_order_) return true;
  const auto block = blocks_.find(key / block_keys);
  if (block == blocks_.end()) return false;
  return (block->second[key % block_keys / 64] >> key % 64 & 1) != 0;
}

std::uint64_t SeenSet::first_missing() const {
  std::uint64_t key = n_in_order_;
  while (contains(key)) ++key;
  return key;
}

PromptCheck::PromptCheck(const TracePrompt& prompt, std::size_t prompt_index,
                         const RoutingShape& shape)
    : prompt_(&prompt),
      index_(prompt_index),
      shape_(shape),
      is_ordered_(!prompt.checksum.empty()),
      n_tokens_(n_traced_tokens(prompt)),
      n_routed_(n_routed_tokens(prompt)),
      min_generation_pos_(std::numeric_limits<std::int64_t>::max()) {}

// Records by position, then layer, have the keys 0, 1, 2, …
std::uint64_t PromptCheck::key_of(const EventLine& line) const {
  const std::int64_t row =
      prompt_->positions.empty() ? line.pos : index_of_position(prompt_->positions, line.pos);
  return static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>(shape_.n_layers) +
         static_cast<std::uint64_t>(line.layer);
}

std::int64_t PromptCheck::position_of(std::uint64_t key) const {
  const auto row = static_cast<std::int64_t>(key / static_cast<std::uint64_t>(shape_.n_layers));
  return prompt_->positions.empty() ? row : position_at(prompt_->positions, row);
}

void PromptCheck::fail_at(std::string what, std::uint64_t key) const {
  const auto n_layers = static_cast<std::uint64_t>(shape_.n_layers);
  fail("prompt \"" + prompt_->id + "\", position " + std::to_string(position_of(key)) + ", layer " +
       std::to_string(key % n_layers) + ": " + std::move(what));
}

void PromptCheck::check_token(const EventLine& line) const {
  if (n_tokens_ >= 0 && line.pos >= n_tokens_) {
    fail("wrong value of key \"pos\"",
         "below " + std::to_string(n_tokens_) + " (the prompt's tokens)", std::to_string(line.pos));
  }
  const TracePrompt& prompt = *prompt_;
  if (!prompt.positions.empty() && index_of_position(prompt.positions, line.pos) < 0) {
    fail("wrong value of key \"pos\"", "a position that prompts.jsonl says has records",
         std::to_string(line.pos));
  }
  const bool is_generated = line.type == TokenType::generation;
  if (prompt.n_prompt_tokens >= 0 && is_generated != (line.pos >= prompt.n_prompt_tokens)) {
    fail("wrong value of key \"type\"", is_generated ? "\"prompt\"" : "\"generation\"",
         is_generated ? "\"generation\"" : "\"prompt\"");
  }
  if (line.is_template && is_generated) fail("a generated token is marked as a template token");
  if (prompt.token_ids.empty()) return;
  if (line.pos >= static_cast<std::int64_t>(prompt.token_ids.size())) {
    fail("wrong value of key \"pos\"", "below " + std::to_string(prompt.token_ids.size()),
         std::to_string(line.pos));
  }
  const TokenId expected = prompt.token_ids[static_cast<std::size_t>(line.pos)];
  if (line.token_id >= 0 && line.token_id != expected) {
    fail("wrong value of key \"token_id\"", std::to_string(expected) + " (as prompts.jsonl says)",
         std::to_string(line.token_id));
  }
}

void PromptCheck::add(const EventLine& line, EventVisitor& visitor) {
  check_token(line);
  if (line.is_flat) return gather(line, visitor);
  const RoutingRecord record{
      static_cast<int>(line.layer),        line.pos,     line.type,   line.is_template,
      static_cast<TokenId>(line.token_id), line.experts, line.weights};
  take(key_of(line), record, line.logits, visitor);
}

void PromptCheck::gather(const EventLine& line, EventVisitor& visitor) {
  const std::uint64_t key = key_of(line);
  if (seen_.contains(key)) fail_at("more than top_k events", key);
  if (is_ordered_ && !pending_.empty() && !pending_.contains(key)) {
    fail_at("fewer than top_k events", pending_.begin()->first);
  }
  const auto k = static_cast<std::size_t>(shape_.top_k);
  Pending& pending = pending_[key];
  if (pending.n == 0) {
    pending.experts.assign(k, -1);
    pending.weights.assign(line.weights.empty() ? 0 : k, 0.0F);
    pending.type = line.type;
    pending.is_template = line.is_template;
    pending.token_id = line.token_id;
  }
  const auto rank = static_cast<std::size_t>(line.rank >= 0 ? line.rank : pending.n);
  if (is_ordered_ && rank != static_cast<std::size_t>(pending.n)) {
    fail("wrong value of key \"rank\"", std::to_string(pending.n), std::to_string(rank));
  }
  if (pending.experts[rank] >= 0) fail_at("two events of one rank", key);
  if (pending.type != line.type || pending.is_template != line.is_template ||
      pending.token_id != line.token_id || pending.weights.empty() != line.weights.empty()) {
    fail_at("events contradict each other", key);
  }
  pending.experts[rank] = line.experts.front();
  if (!line.weights.empty()) pending.weights[rank] = line.weights.front();
  if (!line.logits.empty()) pending.logits = line.logits;
  if (++pending.n < shape_.top_k) return;
  const Pending whole = std::move(pending);
  pending_.erase(key);
  take(key,
       {static_cast<int>(line.layer), line.pos, whole.type, whole.is_template,
        static_cast<TokenId>(whole.token_id), whole.experts, whole.weights},
       whole.logits, visitor);
}

void PromptCheck::check_distinct(std::span<const ExpertId> experts) const {
  bool is_distinct = true;
  if (experts.size() <= 16) {
    for (std::size_t i = 1; i < experts.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) is_distinct = is_distinct && experts[i] != experts[j];
    }
  } else {
    is_distinct = std::set(experts.begin(), experts.end()).size() == experts.size();
  }
  if (!is_distinct) fail("an expert is given twice for one token and layer");
}

void PromptCheck::take(std::uint64_t key, const RoutingRecord& record,
                       std::span<const float> logits, EventVisitor& visitor) {
  check_distinct(record.experts);
  if (is_ordered_ && key != seen_.size()) {
    if (key < seen_.size()) fail_at("a record is out of order or given twice", key);
    fail_at("no record, or it is out of order", seen_.size());
  }
  if (!seen_.insert(key) || pending_.contains(key)) fail_at("given twice", key);
  max_pos_ = std::max(max_pos_, record.pos);
  if (record.is_template) ++n_template_;
  if (record.type == TokenType::prompt) {
    max_prompt_pos_ = std::max(max_prompt_pos_, record.pos);
  } else {
    min_generation_pos_ = std::min(min_generation_pos_, record.pos);
  }
  if (max_prompt_pos_ >= min_generation_pos_) {
    fail_at("a prompt token stands at or behind a generated one", key);
  }
  if (logits.empty()) {
    visitor.on_record(index_, record);
  } else {
    visitor.on_record_with_logits(index_, record, logits);
  }
}

void PromptCheck::finish() const {
  if (!pending_.empty()) fail_at("fewer than top_k events", pending_.begin()->first);
  if (max_pos_ < 0) fail("prompt \"" + prompt_->id + "\" has no events");
  const auto n_layers = static_cast<std::uint64_t>(shape_.n_layers);
  const auto n_tokens = static_cast<std::uint64_t>(n_routed_ >= 0 ? n_routed_ : max_pos_ + 1);
  if (seen_.size() != n_tokens * n_layers) fail_at("no record", seen_.first_missing());
  const std::uint64_t n_events = seen_.size() * static_cast<std::uint64_t>(shape_.top_k);
  if (prompt_->n_events >= 0 && n_events != static_cast<std::uint64_t>(prompt_->n_events)) {
    fail("wrong number of events of prompt \"" + prompt_->id + "\"",
         std::to_string(prompt_->n_events), std::to_string(n_events));
  }
  const std::int64_t n_template = prompt_->n_template_tokens;
  // Those at positions without records are not marked.
  if (!prompt_->positions.empty()) return;
  // Other software may know how many template tokens there are without marking them.
  if ((is_ordered_ || n_template_ > 0) && n_template >= 0 &&
      n_template_ != static_cast<std::uint64_t>(n_template) * n_layers) {
    fail("wrong number of template tokens of prompt \"" + prompt_->id + "\"",
         std::to_string(n_template), std::to_string(n_template_ / n_layers));
  }
}

}  // namespace moexray::trace
