#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/routing.h"

namespace moexray::trace {

/// One line of an events file. Views are valid until the next line is parsed.
struct EventLine {
  std::string_view prompt_id;
  std::int64_t layer = -1;
  std::int64_t pos = -1;
  TokenType type = TokenType::prompt;
  bool is_template = false;
  std::int64_t token_id = -1;
  bool is_flat = false;           ///< one expert with its rank, not all k
  std::int64_t rank = -1;         ///< flat: −1: not given
  std::vector<ExpertId> experts;  ///< flat: one
  std::vector<float> weights;     ///< as many, or none
  std::vector<float> logits;      ///< [E] if they are read and this record has them
};

/// Parses lines of events files, both forms, keys in any order, other keys ignored.
class EventParser {
 public:
  /// @param with_logits reads the key "router_logits" too, which is ignored else
  explicit EventParser(const RoutingShape& shape, bool with_logits = false);
  ~EventParser();

  /// Checks types, that layer and expert ids are in range, that weights are finite and not
  /// negative, and that logits are E finite numbers. At least 64 bytes must be readable behind
  /// `line`.
  /// @throws Error (data) without a place, which only the caller knows.
  const EventLine& parse(std::string_view line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moexray::trace
