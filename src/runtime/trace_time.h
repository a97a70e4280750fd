#pragma once

#include <cstdint>
#include <optional>

#include "moexray/core/routing.h"

namespace moexray {

/// How long a trace will still take. Tokens of prompts go through the model by the hundred, the
/// generated ones one a sequence, which is several times slower: each kind has its own rate. And
/// sequences may end early: of what later batches could generate, they are taken to generate the
/// share that earlier ones did.
class TraceTime {
 public:
  /// Tokens of each kind that go through the model.
  struct Tokens {
    std::int64_t prompt = 0;
    std::int64_t generated = 0;

    std::int64_t total() const { return prompt + generated; }
  };

  /// `ahead`: if no sequence ends early.
  explicit TraceTime(const Tokens& ahead) : ahead_(ahead) {}

  void begin_batch(const Tokens& planned);
  /// A forward pass took so long.
  void add_pass(TokenType type, std::int64_t n_tokens, double seconds);
  /// All sequences of the batch have ended.
  void end_batch();

  std::int64_t n_done() const { return done_.total(); }
  /// What has gone through the model and what is thought to follow.
  std::int64_t n_expected() const;
  /// Nothing until every kind of token that is ahead has been timed.
  std::optional<double> seconds_left() const;

 private:
  Tokens expected_ahead() const;

  Tokens ahead_;    // of batches that have not begun, as planned
  Tokens planned_;  // of the batch in work
  Tokens batch_;    // of it done
  Tokens done_;     // in all
  double prompt_seconds_ = 0;
  double generation_seconds_ = 0;
  std::int64_t n_could_generate_ = 0;  // finished batches, as planned
  std::int64_t n_did_generate_ = 0;
};

}  // namespace moexray
