#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "moexray/checkpoint/checkpoint.h"

namespace moexray {

/// Hashes of weights that were computed before, one small file a checkpoint: gigabytes need not be
/// read again for a hash that is known. A hash is given back only if nothing speaks against it:
/// every file of weights is the one it was, by name, device, inode, size, and the times of its last
/// modification and last change (FileIdentity), and the same tensors are taken from them.
class WeightsHashCache {
 public:
  /// @param directory of the cache; made when something is kept. Empty: nothing is found or kept.
  explicit WeightsHashCache(std::filesystem::path directory);
  /// Where a user's caches are: $XDG_CACHE_HOME/moexray/weights, or ~/.cache/moexray/weights; empty
  /// where the environment names no absolute directory.
  static std::filesystem::path user_directory();

  /// The hash of the checkpoint's weights, if it was kept for exactly these files.
  std::optional<std::string> find(const Checkpoint& checkpoint) const;
  /// Keeps a hash that weights_xxh3() gave for the open checkpoint. Does nothing where a later
  /// change could go unseen: a file is no longer the one that was opened, or was written less than
  /// `min_age` before `now` (clocks of file systems are coarse). Returns whether it was kept; a
  /// cache that cannot be written is none.
  bool keep(const Checkpoint& checkpoint, std::string_view hash,
            std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;

  static constexpr std::chrono::seconds min_age{3};

 private:
  std::filesystem::path file_of(const Checkpoint& checkpoint) const;

  std::filesystem::path directory_;
};

}  // namespace moexray
