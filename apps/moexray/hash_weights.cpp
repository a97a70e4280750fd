#include "hash_weights.h"

#include <cstdint>
#include <optional>

#include "moexray/checkpoint/weights_hash.h"
#include "progress.h"

namespace moexray::app {
namespace {

constexpr std::uint64_t megabyte = 1'000'000;
// Below this no disk is slow enough for anyone to wonder.
constexpr std::uint64_t min_shown_bytes = 500 * megabyte;

}  // namespace

std::string hash_weights(const Checkpoint& checkpoint, int n_threads, Console& console) {
  const std::uint64_t n_bytes = n_weight_bytes(checkpoint.tensors());
  std::optional<Progress> progress;
  WeightsHashOptions options{n_threads, &console.stop_requested(), {}};
  if (n_bytes >= min_shown_bytes) {
    progress.emplace(console, "hashing the weights", static_cast<std::int64_t>(n_bytes / megabyte),
                     "MB");
    options.on_bytes = [&](std::uint64_t n) {
      progress->update(static_cast<std::int64_t>(n / megabyte));
    };
  }
  std::string hash = weights_xxh3(checkpoint.tensors(), options);
  if (progress) progress->finish();
  return hash;
}

}  // namespace moexray::app
