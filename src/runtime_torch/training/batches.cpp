#include "batches.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "moexray/core/error.h"
#include "moexray/core/shuffle.h"

namespace moexray::torch_runtime {

WindowStream::WindowStream(const TokenDocuments& documents, std::int64_t n_positions,
                           std::uint64_t seed)
    : documents_(documents),
      n_positions_(n_positions),
      seed_(seed),
      windows_per_epoch_((static_cast<std::int64_t>(documents.tokens.size()) - 1) / n_positions) {
  if (windows_per_epoch_ < 1) {
    throw Error(ErrorKind::data, {"too little training text", "corpus",
                                  "at least " + std::to_string(n_positions + 1) + " tokens",
                                  std::to_string(documents.tokens.size()) + " tokens"});
  }
  seek(0);
}

void WindowStream::seek(std::int64_t n_windows) {
  start_epoch(n_windows / windows_per_epoch_);
  window_ = n_windows % windows_per_epoch_;
}

void WindowStream::start_epoch(std::int64_t epoch) {
  window_ = 0;
  if (epoch == epoch_) return;
  epoch_ = epoch;
  std::vector<std::size_t> order(documents_.starts.size() - 1);
  std::iota(order.begin(), order.end(), std::size_t{0});
  RandomStream random(seed_, "epoch " + std::to_string(epoch));
  shuffle(order, random);
  tokens_.clear();
  tokens_.reserve(documents_.tokens.size());
  for (const std::size_t document : order) {
    tokens_.insert(tokens_.end(), documents_.tokens.begin() + documents_.starts[document],
                   documents_.tokens.begin() + documents_.starts[document + 1]);
  }
}

void WindowStream::next(TokenId* inputs, TokenId* targets) {
  if (window_ == windows_per_epoch_) start_epoch(epoch_ + 1);
  const TokenId* window = tokens_.data() + window_ * n_positions_;
  std::copy_n(window, n_positions_, inputs);
  std::copy_n(window + 1, n_positions_, targets);
  ++window_;
}

}  // namespace moexray::torch_runtime
