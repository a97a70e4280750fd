#pragma once

#include <cstdint>
#include <vector>

#include "moexray/core/random.h"
#include "moexray/runtime/training.h"

namespace moexray::torch_runtime {

/// The training stream: documents in a new random order every epoch, one after the other, cut into
/// windows of n_positions tokens and their successors. Where it stands is a function of the number
/// of windows taken.
class WindowStream {
 public:
  WindowStream(const TokenDocuments& documents, std::int64_t n_positions, std::uint64_t seed);

  /// Copies the next window: inputs [n_positions] and their next tokens.
  void next(TokenId* inputs, TokenId* targets);
  /// Jumps to where the stream is after `n_windows` calls of next() from the start.
  void seek(std::int64_t n_windows);

  std::int64_t windows_per_epoch() const { return windows_per_epoch_; }

 private:
  void start_epoch(std::int64_t epoch);

  const TokenDocuments& documents_;
  std::int64_t n_positions_;
  std::uint64_t seed_;
  std::int64_t windows_per_epoch_;
  std::int64_t epoch_ = -1;
  std::int64_t window_ = 0;
  std::vector<TokenId> tokens_;  ///< of the whole epoch
};

}  // namespace moexray::torch_runtime
