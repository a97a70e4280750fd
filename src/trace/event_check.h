#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "event_parser.h"
#include "moexray/core/routing.h"
#include "moexray/trace/reader.h"

namespace moexray::trace {

/// A set of the numbers 0, 1, 2, …, cheap when they come in order; otherwise its memory is
/// proportional to the numbers seen, not to the largest one.
class SeenSet {
 public:
  /// False if `key` was in the set already.
  bool insert(std::uint64_t key);
  bool contains(std::uint64_t key) const;
  std::uint64_t size() const { return n_in_order_ + n_sparse_; }
  /// The smallest number that is not in the set.
  std::uint64_t first_missing() const;

 private:
  static constexpr std::uint64_t block_keys = 512;
  using Block = std::array<std::uint64_t, block_keys / 64>;

  std::uint64_t n_in_order_ = 0;  // 0 … n_in_order_ − 1 are in the set
  std::uint64_t n_sparse_ = 0;    // in blocks_
  std::map<std::uint64_t, Block> blocks_;
};

/// Follows the records of one prompt: gathers flat ones, checks each against the prompt's line and
/// the others, and hands complete records to the visitor.
class PromptCheck {
 public:
  PromptCheck(const TracePrompt& prompt, std::size_t prompt_index, const RoutingShape& shape);

  /// @throws Error (data) without a place.
  void add(const EventLine& line, EventVisitor& visitor);
  /// Checks that nothing is missing. @throws Error (data) without a place.
  void finish() const;

 private:
  // The flat records of one token and layer.
  struct Pending {
    std::vector<ExpertId> experts;  // −1: not seen
    std::vector<float> weights;
    std::vector<float> logits;  // of the record of rank 0, where there are any
    int n = 0;
    TokenType type = TokenType::prompt;
    bool is_template = false;
    std::int64_t token_id = -1;
  };

  std::uint64_t key_of(const EventLine& line) const;
  std::int64_t position_of(std::uint64_t key) const;
  void check_token(const EventLine& line) const;
  void gather(const EventLine& line, EventVisitor& visitor);
  void take(std::uint64_t key, const RoutingRecord& record, std::span<const float> logits,
            EventVisitor& visitor);
  void check_distinct(std::span<const ExpertId> experts) const;
  [[noreturn]] void fail_at(std::string what, std::uint64_t key) const;

  const TracePrompt* prompt_;
  std::size_t index_;
  RoutingShape shape_;
  bool is_ordered_;        // the trace promises an order
  std::int64_t n_tokens_;  // T, −1: not known
  std::int64_t n_routed_;  // positions that have records, −1: not known
  SeenSet seen_;
  std::map<std::uint64_t, Pending> pending_;
  std::uint64_t n_template_ = 0;  // records of template tokens
  std::int64_t max_pos_ = -1;
  std::int64_t max_prompt_pos_ = -1;
  std::int64_t min_generation_pos_;
};

}  // namespace moexray::trace
