#include "hash_weights.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "moexray/checkpoint/weights_hash.h"
#include "moexray/checkpoint/weights_hash_cache.h"
#include "progress.h"

namespace moexray::app {
namespace {

constexpr std::uint64_t megabyte = 1'000'000;
// Below this no disk is slow enough for anyone to wonder.
constexpr std::uint64_t min_shown_bytes = 500 * megabyte;
// Below this a hash takes less time than anyone could notice.
constexpr std::uint64_t min_kept_bytes = 100 * megabyte;

std::string hash_with_progress(const Checkpoint& checkpoint, int n_threads, Console& console) {
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

}  // namespace

std::string hash_weights(const Checkpoint& checkpoint, int n_threads, bool again,
                         Console& console) {
  const bool is_quick = n_weight_bytes(checkpoint.tensors()) < min_kept_bytes;
  const WeightsHashCache cache(is_quick ? "" : WeightsHashCache::user_directory());
  if (!again) {
    if (std::optional<std::string> hash = cache.find(checkpoint)) return *std::move(hash);
  }
  std::string hash = hash_with_progress(checkpoint, n_threads, console);
  cache.keep(checkpoint, hash);
  return hash;
}

}  // namespace moexray::app
